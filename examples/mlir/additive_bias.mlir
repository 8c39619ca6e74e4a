// An additive bias tensor: any number per query and key, as an argument of the program.
//
//     s_ij = q_i . k_j / sqrt(D) + bias[b, h, i, j]
//
// Jumper et al., "Highly accurate protein structure prediction with AlphaFold", 2021,
// https://doi.org/10.1038/s41586-021-03819-2
//
// In Python: examples/additive_bias.py
//
// Run: aec-run examples/mlir/additive_bias.mlir --dim B=2 --dim S=53 --check

func.func @additive_bias(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %bias: tensor<?x1x?x?xf32> {attn.dims = ["B", "", "S", "S"], attn.name = "bias"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    %c0 = arith.constant 0 : index
    %bias_bij = tensor.extract %bias[%b, %c0, %i, %j] : tensor<?x1x?x?xf32>
    %score = arith.addf %scaled, %bias_bij : f32
    "attn.yield"(%score) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
