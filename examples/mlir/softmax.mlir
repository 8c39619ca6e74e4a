// Softmax attention, causal: the mechanism that every other one departs from.
//
//     s_ij = q_i . k_j / sqrt(D)
//     p_ij = exp(s_ij) / sum_j' exp(s_ij'),  j <= i
//     o_i  = sum_j p_ij v_j
//
// Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762
//
// In Python: examples/softmax.py
//
// Run: aec-run examples/mlir/softmax.mlir --dim B=2 --dim S=53 --check

func.func @softmax(
    %q: tensor<?x4x?x24xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x24xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?xf32> {attn.name = "lse"}) {
  %o, %lse = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.204124153 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sge, %i, %j : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    %log = math.log %total : f32
    %log_sum = arith.addf %max, %log : f32
    "attn.yield"(%weight, %log_sum) : (f32, f32) -> ()
  }) : (tensor<?x4x?x24xf32>, tensor<?x4x?x24xf32>, tensor<?x4x?x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x?xf32>)
  return %o, %lse : tensor<?x4x?x16xf32>, tensor<?x4x?xf32>
}
