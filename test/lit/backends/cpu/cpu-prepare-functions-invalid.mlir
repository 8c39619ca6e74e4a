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

// -----

// There is no such result.
// expected-error @+1 {{'func.func' op expects 'attn.in_place' of argument 0 to be the number of a result of type tensor<4xf32>, got 3 : i64}}
func.func @f(%x: tensor<4xf32> {attn.in_place = 3 : i64}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// Numbers of results are i64.
// expected-error @+1 {{'func.func' op expects 'attn.in_place' of argument 0 to be the number of a result of type tensor<4xf32>, got 0 : i32}}
func.func @f(%x: tensor<4xf32> {attn.in_place = 0 : i32}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// A result of another type has no place in the argument.
// expected-error @+1 {{'func.func' op expects 'attn.in_place' of argument 0 to be the number of a result of type tensor<4xf32>, got result 0 of type tensor<5xf32>}}
func.func @f(%x: tensor<4xf32> {attn.in_place = 0 : i64}, %y: tensor<5xf32>) -> tensor<5xf32> {
  return %y : tensor<5xf32>
}

// -----

// A result is one argument.
// expected-error @+1 {{'func.func' op expects 'attn.in_place' to name each result once, got 0 for arguments 0 and 1}}
func.func @f(%x: tensor<4xf32> {attn.in_place = 0 : i64}, %y: tensor<4xf32> {attn.in_place = 0 : i64}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// Numbers are passed by value.
// expected-error @+1 {{'func.func' op expects 'attn.in_place' on tensors, got argument 0 of type f32}}
func.func @f(%x: f32 {attn.in_place = 0 : i64}) -> f32 {
  return %x : f32
}
