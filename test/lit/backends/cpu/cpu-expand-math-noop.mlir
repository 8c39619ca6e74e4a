// RUN: aec-opt %s -o %t.before
// RUN: aec-opt %s --cpu-expand-math -o %t.after
// RUN: diff %t.before %t.after

// Operations on tensors are left until they are loops; others MLIR lowers.
func.func @ordinary(%x: tensor<4xf32>, %y: f32) -> (tensor<4xi1>, f32) {
  %0 = math.isinf %x : tensor<4xf32>
  %1 = math.exp %y : f32
  return %0, %1 : tensor<4xi1>, f32
}
