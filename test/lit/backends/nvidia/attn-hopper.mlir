// The options are those of schedules, and what a chip has.
// RUN: aec-opt %s --allow-unregistered-dialect '--attn-hopper=consumers=1 block-kv=64 stages=3 programs=132 library=ocml section=4 shared-bytes=200000 registers=32768 row-buffers=1 waits=together ping-pong=true' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s --allow-unregistered-dialect '--attn-hopper=consumers=1 pack-heads=true split-programs=132' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=FEW
// RUN: aec-opt %s --allow-unregistered-dialect --attn-hopper=guard-transposes=true --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=GUARD
// RUN: aec-opt %s --allow-unregistered-dialect --attn-hopper | FileCheck %s
// RUN: not aec-opt %s --attn-hopper 2>&1 | FileCheck %s --check-prefix=STRICT
// RUN: not aec-opt %s --allow-unregistered-dialect --attn-hopper=shared-bytes=1000 2>&1 | FileCheck %s --check-prefix=SHARED

// PIPELINE:      builtin.module(
// PIPELINE-SAME: attn-guard-operations,attn-derive-online{max-passes=64},
// PIPELINE-SAME: attn-tile{{{.*}}rows-last=false masked-values=check-result retry-block-kv=16 split-features=true score-ranges=3 tile-lists=true},
// PIPELINE-SAME: attn-tile-steps{value-block=16 step-elements=8192},attn-fuse-elementwise{operands=o},attn-tile-tensors,convert-elementwise-to-linalg,sccp,tt-keep-loops,canonicalize,cse,
// PIPELINE-SAME: convert-tiles-to-tt{library=ocml descriptors=true section=4 pairs=true},
// PIPELINE-SAME: tt-narrow-bits,tt-move-addends,tt-fold-exponents,tt-approximate-reciprocals,tt-mask-words,
// PIPELINE-SAME: tt-skew-products{carry-rounded=true},
// PIPELINE-SAME: ttg-specialize-warps{consumers=1 stages=3 programs=132 row-buffers=1 shared-bytes=200000 registers=32768},
// PIPELINE-SAME: ttg-assign-layouts,
// PIPELINE-SAME: ttg-overlap-products{waits=together},
// PIPELINE-SAME: ttg-order-groups)

// GUARD: tt-approximate-reciprocals,tt-guard-transposes,tt-mask-words,

// FEW: attn-tile{{{.*}}packed-rows=64 split-programs=132{{.*}}},

// STRICT: needs a context that allows unregistered dialects
// SHARED: error: 'tt.func' op needs {{[0-9]+}} bytes of shared memory, a block may have 1000

// Two groups of warps and one that copies. In a loop of the first group, scores of a tile and the sum of the tile before
// are begun one after the other, and only the scores are waited for before weights are computed.
// CHECK:       "ttg.num-warps" = 4
// CHECK-LABEL: func.func @softmax(
// CHECK-SAME:    %[[Q:[^:]+]]: tensor<?x8x?x64xbf16>
// CHECK-NOT:     {{attn\.|linalg\.|scf\.for}}
// CHECK:         %[[O:.+]] = "tt_host.launch"({{.*}}, %[[Q]], {{.*}}) {descriptors = array<i64: {{.+}}>, kernel = @[[KERNEL:.+]], outputs = array<i64: {{[0-9]+}}>}
// CHECK:         return %[[O]]
// CHECK:       "tt.func"() ({
// CHECK:         "ttg.warp_specialize"
// CHECK:           scf.for
// CHECK:             %[[S:[^ ]+]] = "ttng.warp_group_dot"
// CHECK:             %[[A:[^ ]+]] = "ttng.warp_group_dot"
// CHECK:             "ttng.warp_group_dot_wait"(%[[S]]) {pendings = 1 : i32}
// CHECK:             math.exp2
// CHECK:             "ttng.warp_group_dot_wait"(%[[A]]) {pendings = 0 : i32}
// CHECK-NEXT:        "ttng.arrive_barrier"
// CHECK:           "ttng.async_tma_copy_local_to_global"
// CHECK:         "ttg.warp_specialize.partitions"
// CHECK:           "ttng.async_tma_copy_global_to_local"
// CHECK:         partitionNumWarps = array<i32: 4, 1>
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
