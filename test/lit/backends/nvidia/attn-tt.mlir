// The options are those of schedules; the others say how the device computes.
// RUN: aec-opt %s --allow-unregistered-dialect '--attn-tt=block-q=32 block-kv=128 precision=tf32 library=ocml' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s --allow-unregistered-dialect --attn-tt="fold-exponents=false approximate-reciprocals=false" --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=NATURAL
// RUN: aec-opt %s --allow-unregistered-dialect --attn-tt="packed-rows=64 split-programs=132" --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=FEW
// RUN: aec-opt %s --allow-unregistered-dialect --attn-tt="guard-transposes=true" --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=GUARD
// RUN: aec-opt %s --allow-unregistered-dialect --attn-tt | FileCheck %s
// RUN: not aec-opt %s --attn-tt 2>&1 | FileCheck %s --check-prefix=STRICT

// PIPELINE:      builtin.module(
// PIPELINE-SAME: attn-guard-operations,attn-derive-online{max-passes=64},
// PIPELINE-SAME: attn-tile{block-q=32 block-kv=128 rows-last=false masked-values=check-result score-ranges=3 tile-lists=true},
// PIPELINE-SAME: attn-tile-steps{value-block=16 step-elements=8192},attn-fuse-elementwise,attn-tile-tensors,convert-elementwise-to-linalg,canonicalize,cse,
// PIPELINE-SAME: convert-tiles-to-tt{precision=tf32 library=ocml},
// PIPELINE-SAME: tt-narrow-bits,tt-move-addends,tt-fold-exponents,tt-approximate-reciprocals)

// NATURAL: convert-tiles-to-tt,tt-narrow-bits,tt-move-addends)

// GUARD: tt-approximate-reciprocals,tt-guard-transposes)

// FEW: attn-tile{rows-last=false packed-rows=64 split-programs=132 {{.*}}}

// STRICT: needs a context that allows unregistered dialects

// The host counts tiles and launches; what attention computes is in the kernel.
// CHECK-LABEL: func.func @softmax(
// CHECK-SAME:    %[[Q:[^:]+]]: tensor<?x8x?x64xbf16>
// CHECK-NOT:     {{attn\.|linalg\.|scf\.for}}
// CHECK:         %[[O:.+]] = "tt_host.launch"({{.*}}, %[[Q]], {{.*}}) {kernel = @[[KERNEL:.+]], outputs = array<i64: {{[0-9]+}}>}
// CHECK:         return %[[O]]
// CHECK:       "tt.func"() ({
// CHECK:         scf.for
// CHECK:           "tt.dot"
// CHECK:           "tt.dot"
// CHECK:         "tt.store"
// CHECK:       sym_name = "[[KERNEL]]"
func.func @softmax(%q: tensor<?x8x?x64xbf16>, %k: tensor<?x8x?x64xbf16>, %v: tensor<?x8x?x64xbf16>) -> tensor<?x8x?x64xbf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>, tensor<?x8x?x64xbf16>) -> tensor<?x8x?x64xbf16>
  return %o : tensor<?x8x?x64xbf16>
}
