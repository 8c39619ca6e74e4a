// Softcap: scores squeezed smoothly into (-cap, cap), here with Gemma 2's sliding window.
//
//     s_ij = cap tanh(q_i . k_j / (cap sqrt(D))),  0 <= i - j < window
//
// Gemma Team, "Gemma 2", 2024, https://arxiv.org/abs/2408.00118
//
// In Python: examples/softcap.py
//
// Run: aec-run examples/mlir/softcap.mlir --dim B=2 --dim S=53 --check

func.func @softcap(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.005 : f32
    %scaled = arith.mulf %s, %scale : f32
    %tanh = math.tanh %scaled : f32
    %cap = arith.constant 50.0 : f32
    %score = arith.mulf %cap, %tanh : f32
    "attn.yield"(%score) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %i, %j : index
    %c0 = arith.constant 0 : index
    %past = arith.cmpi sge, %distance, %c0 : index
    %window = arith.constant 24 : index
    %in_window = arith.cmpi slt, %distance, %window : index
    %keep = arith.andi %past, %in_window : i1
    "attn.yield"(%keep) : (i1) -> ()
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
