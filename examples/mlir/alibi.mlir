// ALiBi: no position embeddings, but a penalty on the score that grows with the distance.
//
//     s_ij = q_i . k_j / sqrt(D) + slope_h (j - i),  j <= i        slope_h = 2^(-8 (h + 1) / H)
//
// Press, Smith and Lewis, "Train Short, Test Long", 2021, https://arxiv.org/abs/2108.12409
//
// In Python: examples/alibi.py
//
// Run: aec-run examples/mlir/alibi.mlir --dim B=2 --dim S=53 --input slopes=uniform:0,1 --check

func.func @alibi(
    %q: tensor<?x8x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x8x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x8x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %slopes: tensor<8xf32> {attn.name = "slopes"}
) -> (tensor<?x8x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    %slope = tensor.extract %slopes[%h] : tensor<8xf32>
    %distance = arith.subi %j, %i : index
    %distance_i64 = arith.index_cast %distance : index to i64
    %distance_f32 = arith.sitofp %distance_i64 : i64 to f32
    %penalty = arith.mulf %slope, %distance_f32 : f32
    %score = arith.addf %scaled, %penalty : f32
    "attn.yield"(%score) : (f32) -> ()
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
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>, tensor<?x8x?x16xf32>) -> tensor<?x8x?x16xf32>
  return %o : tensor<?x8x?x16xf32>
}
