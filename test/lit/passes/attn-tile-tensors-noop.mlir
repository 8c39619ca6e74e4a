// RUN: aec-opt %s --split-input-file --attn-tile-tensors | FileCheck %s

// Views, empty tensors and constants stay.

// CHECK-LABEL: func.func @views
// CHECK-NEXT: tensor.extract_slice
// CHECK-NEXT: tensor.empty
// CHECK-NEXT: linalg.transpose
// CHECK-NEXT: tensor.collapse_shape
// CHECK-NEXT: arith.constant dense
// CHECK-NEXT: return
func.func @views(%x: tensor<4x6x8xf32>) -> (tensor<48xf32>, tensor<3xf32>) {
  %0 = tensor.extract_slice %x[1, 0, 0] [1, 6, 8] [1, 1, 1] : tensor<4x6x8xf32> to tensor<6x8xf32>
  %e = tensor.empty() : tensor<8x6xf32>
  %t = linalg.transpose ins(%0 : tensor<6x8xf32>) outs(%e : tensor<8x6xf32>) permutation = [1, 0]
  %1 = tensor.collapse_shape %t [[0, 1]] : tensor<8x6xf32> into tensor<48xf32>
  %c = arith.constant dense<1.0> : tensor<3xf32>
  return %1, %c : tensor<48xf32>, tensor<3xf32>
}

// -----

// What nobody reads goes.

// CHECK-LABEL: func.func @unused
// CHECK-NEXT: return
func.func @unused(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = math.exp %x : tensor<4xf32>
  return %x : tensor<4xf32>
}
