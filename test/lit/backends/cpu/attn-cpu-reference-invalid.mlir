// RUN: aec-opt %s --attn-cpu-reference --split-input-file --verify-diagnostics

// What MLIR's conversions leave alone is refused where it stands.
func.func @flush(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'arith.flush_denormals' op unsupported: it has no lowering to the CPU}}
  %0 = arith.flush_denormals %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @softmax(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %e = tensor.empty() : tensor<4x4xf32>
  // expected-error @+1 {{'linalg.softmax' op unsupported: it has no lowering to the CPU}}
  %0 = linalg.softmax dimension(1) ins(%x : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}
