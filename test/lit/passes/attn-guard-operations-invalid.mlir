// RUN: aec-opt %s --attn-guard-operations --split-input-file --verify-diagnostics

func.func @nowhere(%x: tensor<8xf32>, %y: tensor<4xf32>, %t: tensor<1xindex>) -> tensor<8xf32> {
  %c0 = arith.constant 0 : index
  %m = tensor.extract %t[%c0] : tensor<1xindex>
  // expected-error @+1 {{'tensor.insert_slice' op expects 4 elements by 3 to fit a dimension of size 8}}
  %r = tensor.insert_slice %y into %x[%m] [4] [3] : tensor<4xf32> into tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

func.func @dynamic(%x: tensor<?xf32>, %y: tensor<4xf32>, %t: tensor<1xindex>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %m = tensor.extract %t[%c0] : tensor<1xindex>
  // expected-error @+1 {{'tensor.insert_slice' op unsupported: an insertion at an offset that no caller can check, with dynamic sizes}}
  %r = tensor.insert_slice %y into %x[%m] [4] [1] : tensor<4xf32> into tensor<?xf32>
  return %r : tensor<?xf32>
}
