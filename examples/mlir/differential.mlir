// Differential attention: the difference of two softmax attentions over the same values.
//
//     o = softmax(q1 K1^T / sqrt(D)) V - lambda softmax(q2 K2^T / sqrt(D)) V
//
// Ye et al., "Differential Transformer", 2024, https://arxiv.org/abs/2410.05258
//
// In Python: examples/differential.py
//
// Run: aec-run examples/mlir/differential.mlir --dim B=2 --dim S=53 --input weight=0.8 --check

#identity = affine_map<(b, h, i, d) -> (b, h, i, d)>

func.func @differential(
    %q: tensor<?x4x?x32xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x32xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x32xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %weight: f32 {attn.name = "weight"}
) -> (tensor<?x4x?x32xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x32xf32>
  %length = tensor.dim %q, %c2 : tensor<?x4x?x32xf32>
  %q1 = tensor.extract_slice %q[0, 0, 0, 0] [%batch, 4, %length, 16] [1, 1, 1, 1]
      : tensor<?x4x?x32xf32> to tensor<?x4x?x16xf32>
  %k1 = tensor.extract_slice %k[0, 0, 0, 0] [%batch, 4, %length, 16] [1, 1, 1, 1]
      : tensor<?x4x?x32xf32> to tensor<?x4x?x16xf32>
  %signal = "attn.attention"(%q1, %k1, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %exp, %total : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>) -> tensor<?x4x?x32xf32>

  %q2 = tensor.extract_slice %q[0, 0, 0, 16] [%batch, 4, %length, 16] [1, 1, 1, 1]
      : tensor<?x4x?x32xf32> to tensor<?x4x?x16xf32>
  %k2 = tensor.extract_slice %k[0, 0, 0, 16] [%batch, 4, %length, 16] [1, 1, 1, 1]
      : tensor<?x4x?x32xf32> to tensor<?x4x?x16xf32>
  %noise = "attn.attention"(%q2, %k2, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %exp, %total : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>) -> tensor<?x4x?x32xf32>

  %empty = tensor.empty(%batch, %length) : tensor<?x4x?x32xf32>
  %o = linalg.generic {
      indexing_maps = [#identity, #identity, #identity],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%signal, %noise : tensor<?x4x?x32xf32>, tensor<?x4x?x32xf32>)
      outs(%empty : tensor<?x4x?x32xf32>) {
  ^bb0(%x: f32, %y: f32, %unused: f32):
    %weighted = arith.mulf %weight, %y : f32
    %difference = arith.subf %x, %weighted : f32
    linalg.yield %difference : f32
  } -> tensor<?x4x?x32xf32>
  return %o : tensor<?x4x?x32xf32>
}
