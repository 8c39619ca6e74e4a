// RUN: aec-opt %s --split-input-file --attn-tile-tensors --verify-diagnostics

func.func @constants(%x: tensor<2xf32>) -> tensor<17xf32> {
  %a = arith.constant 1.0 : f32
  // expected-error @+1 {{'tensor.from_elements' op unsupported: a tensor of more than 16 scalars around attention}}
  %0 = tensor.from_elements %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a, %a : tensor<17xf32>
  return %0 : tensor<17xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @indexing(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %z: tensor<?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{'linalg.generic' op unsupported: results that are not indexed by all parallel loops around attention}}
  %0:2 = linalg.generic {indexing_maps = [#id, #id, #row], iterator_types = ["parallel", "reduction"]}
    ins(%x : tensor<?x?xf32>) outs(%y, %z : tensor<?x?xf32>, tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.addf %a, %c : f32
    linalg.yield %d, %d : f32, f32
  } -> (tensor<?x?xf32>, tensor<?xf32>)
  return %0#0 : tensor<?x?xf32>
}
