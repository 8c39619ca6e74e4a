// RUN: aec-opt %s -o %t.before
// RUN: aec-opt %s --attn-guard-operations -o %t.after
// RUN: diff %t.before %t.after

// Nothing here can fail, whatever the arguments are.
func.func @ordinary(%a: i32, %x: tensor<8x4xf32>, %n: index) -> (i32, f32, tensor<2x4xf32>) {
  %c3_i32 = arith.constant 3 : i32
  %c3 = arith.constant 3 : index
  %0 = arith.divsi %a, %c3_i32 : i32
  %extracted = tensor.extract %x[%c3, %c3] : tensor<8x4xf32>
  %extracted_slice = tensor.extract_slice %x[%n, 0] [2, 4] [1, 1] : tensor<8x4xf32> to tensor<2x4xf32>
  return %0, %extracted, %extracted_slice : i32, f32, tensor<2x4xf32>
}
