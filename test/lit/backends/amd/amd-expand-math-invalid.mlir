// RUN: aec-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(amd-expand-math))'

gpu.module @kernels {
  gpu.func @vectors_of_two_dimensions(%v: vector<2x2xf32>) -> vector<2x2xf32> {
    // expected-error @+1 {{'math.tanh' op expects scalars and vectors of one dimension}}
    %r = math.tanh %v : vector<2x2xf32>
    gpu.return %r : vector<2x2xf32>
  }
}

// -----

gpu.module @kernels {
  gpu.func @other_types(%x: f128) -> f128 {
    // expected-error @+1 {{'math.exp' op unsupported: f128; math functions are of f16, bf16, f32 and f64}}
    %r = math.exp %x : f128
    gpu.return %r : f128
  }
}
