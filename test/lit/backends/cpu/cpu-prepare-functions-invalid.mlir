// RUN: aec-opt %s --cpu-prepare-functions --split-input-file --verify-diagnostics

// expected-error @+1 {{'func.func' op expects tensors and scalars in its signature, got memref<4xf32>}}
func.func @buffer(%x: memref<4xf32>) {
  return
}

// -----

func.func @callee(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

func.func @caller(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'func.call' op unsupported: a call of the public function 'callee'}}
  %y = func.call @callee(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// Its name in code is not free.
func.func private @aec.f(tensor<4xf32>) -> tensor<4xf32>
// expected-error @+1 {{'func.func' op unsupported: something else is called 'aec.f', its name in code}}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
