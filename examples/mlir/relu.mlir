// ReLU attention: weights that are exactly 0 below a score of 0, divided by the length of the sequence.
//
//     p_ij = max(q_i . k_j / sqrt(D), 0) / S
//
// Wortsman et al., "Replacing softmax with ReLU in Vision Transformers", 2023,
// https://arxiv.org/abs/2309.08586
//
// In Python: examples/relu.py
//
// Run: aec-run examples/mlir/relu.mlir --dim B=2 --dim S=53 --check

func.func @relu(
    %q: tensor<?x6x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x6x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x6x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x6x?x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %length = tensor.dim %q, %c2 : tensor<?x6x?x16xf32>
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0.0 : f32
    %positive = arith.maximumf %s, %zero : f32
    %length_i64 = arith.index_cast %length : index to i64
    %length_f32 = arith.sitofp %length_i64 : i64 to f32
    %weight = arith.divf %positive, %length_f32 : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x6x?x16xf32>, tensor<?x6x?x16xf32>, tensor<?x6x?x16xf32>) -> tensor<?x6x?x16xf32>
  return %o : tensor<?x6x?x16xf32>
}
