// RUN: aec-opt %s --attn-cpu-reference=block-q=8 --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s --attn-cpu-reference | FileCheck %s

// PIPELINE:      builtin.module(
// PIPELINE-SAME: attn-guard-operations,
// PIPELINE-SAME: convert-attn-to-linalg{block-q=8},
// PIPELINE-SAME: cpu-prepare-functions,func.func(cpu-sink-results),
// PIPELINE-SAME: convert-elementwise-to-linalg,canonicalize,cse,eliminate-empty-tensors,
// PIPELINE-SAME: one-shot-bufferize{allow-return-allocs-from-loops=true bufferize-function-boundaries=true},
// PIPELINE-SAME: buffer-deallocation-pipeline,convert-bufferization-to-memref,
// PIPELINE-SAME: cpu-expand-copies,
// PIPELINE-SAME: func.func(convert-linalg-to-loops),canonicalize,cse,func.func(loop-invariant-code-motion),
// PIPELINE-SAME: cpu-outline-parallel,func.func(scf-forall-to-for),
// PIPELINE-SAME: convert-vector-to-scf,convert-scf-to-cf,expand-strided-metadata,lower-affine,
// PIPELINE-SAME: cpu-expand-vector-math,cpu-expand-math,convert-math-to-funcs,math-expand-ops{ops=clampf},
// PIPELINE-SAME: math-extend-to-supported-types,
// PIPELINE-SAME: arith-emulate-unsupported-floats{source-types=bf16 target-type=f32},arith-expand{include-bf16=true},
// PIPELINE-SAME: convert-math-to-llvm,convert-math-to-libm,
// PIPELINE-SAME: convert-vector-to-llvm{enable-x86=false vector-transpose-lowering=shuffle1d},
// PIPELINE-SAME: convert-vector-to-llvm{enable-x86=false},finalize-memref-to-llvm{use-generic-functions=true},
// PIPELINE-SAME: convert-func-to-llvm,
// PIPELINE-SAME: convert-arith-to-llvm,convert-index-to-llvm,convert-ub-to-llvm,convert-cf-to-llvm,
// PIPELINE-SAME: canonicalize,cse,reconcile-unrealized-casts,
// PIPELINE-SAME: cpu-verify-lowering)

// Nothing but LLVM is left; the result is an argument, and the C interface is there.
// CHECK:     module
// CHECK-NOT: {{unrealized_conversion_cast|memrefCopy|attn\.}}
// CHECK:     llvm.func @aec.mean(
// CHECK-NOT: {{unrealized_conversion_cast|memrefCopy|attn\.}}
// CHECK:     llvm.func @_mlir_ciface_aec.mean(
// CHECK-NOT: {{unrealized_conversion_cast|memrefCopy|attn\.}}
func.func @mean(%q: tensor<?x2x?x4xbf16>, %k: tensor<?x2x?x4xbf16>, %v: tensor<?x2x?x4xbf16>) -> tensor<?x2x?x4xbf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %w = arith.divf %one, %n : f32
    "attn.yield"(%w) : (f32) -> ()
  }) : (tensor<?x2x?x4xbf16>, tensor<?x2x?x4xbf16>, tensor<?x2x?x4xbf16>) -> tensor<?x2x?x4xbf16>
  return %o : tensor<?x2x?x4xbf16>
}
