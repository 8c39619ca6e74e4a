// The options are those that schedules choose for described processors, cpu:avx512, cpu:avx2 and cpu:neon, without
// the second program for decoding.
// RUN: aec-opt %s '--attn-cpu=block-q=64 block-kv=32 decode-rows=32 tile-q=2 vector-bits=512 pair-products=true' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s '--attn-cpu=block-q=64 decode-rows=0 tile-q=4 vector-bits=512 pair-products=true x86=true' | FileCheck %s --check-prefix=AVX512
// RUN: aec-opt %s '--attn-cpu=block-q=64 decode-rows=0 tile-q=4 vector-bits=512 x86=true' | FileCheck %s --check-prefix=SINGLE
// RUN: aec-opt %s '--attn-cpu=block-q=32 decode-rows=0 tile-q=2 vector-bits=256 x86=true' | FileCheck %s --check-prefix=AVX2
// RUN: aec-opt %s '--attn-cpu=block-q=32 decode-rows=0 tile-q=4 vector-bits=128 x86=false' | FileCheck %s --check-prefix=NEON

// PIPELINE:      builtin.module(
// PIPELINE-SAME: attn-guard-operations,
// PIPELINE-SAME: attn-derive-online{keep-refused=true},
// PIPELINE-SAME: attn-derive-chunked{chunk=16 keep-refused=true},
// PIPELINE-SAME: func.func(cpu-choose-tiles{block-q=64 block-kv=32 tile-q=2 pair-products=true}),
// PIPELINE-SAME: attn-tile{decode-rows=32 decode-block-kv=64 score-ranges=3},
// PIPELINE-SAME: attn-tile-chunked{value-lanes=16 solve-rows=16},attn-tile-steps,attn-fuse-elementwise,convert-attn-to-linalg,canonicalize,cse,
// PIPELINE-SAME: cpu-prepare-functions,func.func(cpu-sink-results),
// PIPELINE-SAME: cpu-vectorize-tiles{tile-q=2 pair-products=true prefetch=true},
// PIPELINE-SAME: convert-elementwise-to-linalg,canonicalize,cse,eliminate-empty-tensors,
// PIPELINE-SAME: one-shot-bufferize{allow-return-allocs-from-loops=true bufferize-function-boundaries=true},
// PIPELINE-SAME: cpu-outline-parallel,func.func(scf-forall-to-for),
// PIPELINE-SAME: cpu-expand-vector-math{scale-instruction=true},
// PIPELINE-SAME: convert-vector-to-llvm{enable-x86=true vector-transpose-lowering=shuffle16x16},
// PIPELINE-SAME: cpu-verify-lowering)

// Vectors are those of the processor, and so are the instructions that only some have. Nothing but LLVM is left.
// AVX512-NOT:   {{vector<(4|8)xf32>|attn\.|unrealized_conversion_cast}}
// AVX512:       llvm.func @aec.softmax.tile
// AVX512:       llvm.intr.prefetch
// AVX512:       llvm.x86.avx512bf16.dpbf16ps.512
// AVX512:       llvm.x86.avx512.mask.scalef.ps.512
// AVX512:       llvm.func @aec.softmax(
// AVX512-NOT:   {{vector<(4|8)xf32>|attn\.|unrealized_conversion_cast}}

// Without the instruction for pairs of bf16.
// SINGLE-NOT:   avx512bf16
// SINGLE:       llvm.intr.fmuladd{{.*}} -> vector<16xf32>
// SINGLE-NOT:   avx512bf16
// SINGLE:       llvm.x86.avx512.mask.scalef.ps.512
// SINGLE-NOT:   avx512bf16
// SINGLE:       llvm.func @aec.softmax(

// AVX2-NOT:     {{vector<(4|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// AVX2:         llvm.func @aec.softmax.tile
// AVX2-NOT:     {{vector<(4|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// AVX2:         llvm.intr.fmuladd{{.*}} : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
// AVX2-NOT:     {{vector<(4|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// AVX2:         llvm.func @aec.softmax(

// NEON-NOT:     {{vector<(8|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// NEON:         llvm.func @aec.softmax.tile
// NEON-NOT:     {{vector<(8|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// NEON:         llvm.intr.fmuladd{{.*}} : (vector<4xf32>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
// NEON-NOT:     {{vector<(8|16)xf32>|x86|attn\.|unrealized_conversion_cast}}
// NEON:         llvm.func @aec.softmax(
func.func @softmax(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>)
    -> tensor<?x2x?x16xbf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %w = arith.divf %exp, %total : f32
    "attn.yield"(%w) : (f32) -> ()
  }) : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}
