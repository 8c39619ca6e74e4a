// Retention in its parallel form: scores that fade with the distance, normalised by the sum of their sizes.
//
//     s_ij = q_i . k_j / sqrt(D) * gamma_h^(i - j),  j <= i        p_ij = s_ij / max(sum_j' |s_ij'|, 1)
//
// Sun et al., "Retentive Network", 2023, https://arxiv.org/abs/2307.08621
//
// In Python: examples/retention.py
//
// Run: aec-run examples/mlir/retention.mlir --dim B=2 --dim S=53 --check

func.func @retention(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x32xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x32xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %minus_five = arith.constant -5.0 : f32
    %h_i64 = arith.index_cast %h : index to i64
    %h_f32 = arith.sitofp %h_i64 : i64 to f32
    %exponent = arith.subf %minus_five, %h_f32 : f32
    %one_minus_gamma = math.exp2 %exponent : f32
    %one = arith.constant 1.0 : f32
    %gamma = arith.subf %one, %one_minus_gamma : f32
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    %log_gamma = math.log2 %gamma : f32
    %distance = arith.subi %i, %j : index
    %distance_i64 = arith.index_cast %distance : index to i64
    %distance_f32 = arith.sitofp %distance_i64 : i64 to f32
    %log_decay = arith.mulf %log_gamma, %distance_f32 : f32
    %decay = math.exp2 %log_decay : f32
    %score = arith.mulf %scaled, %decay : f32
    "attn.yield"(%score) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %absolute = math.absf %s : f32
    %sum = "attn.row_reduce"(%absolute) {kind = "sum"} : (f32) -> f32
    %one = arith.constant 1.0 : f32
    %divisor = arith.maximumf %sum, %one : f32
    %weight = arith.divf %s, %divisor : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>) -> tensor<?x4x?x32xf32>
  return %o : tensor<?x4x?x32xf32>
}
