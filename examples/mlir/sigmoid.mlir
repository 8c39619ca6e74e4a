// Sigmoid attention: every weight by itself, no sum over the row.
//
//     p_ij = sigmoid(q_i . k_j / sqrt(D) + bias),  j <= i        bias = -log S
//
// Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024,
// https://arxiv.org/abs/2409.04431
//
// In Python: examples/sigmoid.py
//
// Run: aec-run examples/mlir/sigmoid.mlir --dim B=2 --dim S=53 --check

func.func @sigmoid(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %length = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    %length_i64 = arith.index_cast %length : index to i64
    %length_f32 = arith.sitofp %length_i64 : i64 to f32
    %log_length = math.log %length_f32 : f32
    %score = arith.subf %scaled, %log_length : f32
    "attn.yield"(%score) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %minus_s = arith.negf %s : f32
    %exp = math.exp %minus_s : f32
    %one = arith.constant 1.0 : f32
    %divisor = arith.addf %one, %exp : f32
    %weight = arith.divf %one, %divisor : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
