// A cascade that nobody has named: softmax of standardised scores.
//
//     z_ij = (s_ij - mean_i) / std_i        p_ij = exp(z_ij) / sum_j' exp(z_ij'),  j <= i
//
// Four reductions, each of which needs the one before: the count and the sum, the squares around the mean,
// the
// maximum and the sum of exponentials. Any cascade is a program; nothing here is known to the compiler by
// name.
//
// In Python: examples/standardized_softmax.py
//
// Run: aec-run examples/mlir/standardized_softmax.mlir --dim B=2 --dim S=53 --check

func.func @standardized_softmax(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %past = arith.cmpi sle, %j, %i : index
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %counted = arith.select %past, %one, %zero : f32
    %count = "attn.row_reduce"(%counted) {kind = "sum"} : (f32) -> f32
    %sum = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %sum, %count : f32
    %centred = arith.subf %s, %mean : f32
    %squared = arith.mulf %centred, %centred : f32
    %squares = "attn.row_reduce"(%squared) {kind = "sum"} : (f32) -> f32
    %variance = arith.divf %squares, %count : f32
    %epsilon = arith.constant 1.0e-05 : f32
    %positive = arith.addf %variance, %epsilon : f32
    %inverse_std = math.rsqrt %positive : f32
    %z = arith.mulf %centred, %inverse_std : f32
    %max = "attn.row_reduce"(%z) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %z, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
