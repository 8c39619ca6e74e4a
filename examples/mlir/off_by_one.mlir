// Softmax off by one: a head may attend to nothing.
//
//     p_ij = exp(s_ij) / (1 + sum_j' exp(s_ij'))
//
// Miller, "Attention Is Off By One", 2023, https://www.evanmiller.org/attention-is-off-by-one.html
//
// In Python: examples/off_by_one.py
//
// Run: aec-run examples/mlir/off_by_one.mlir --dim B=2 --dim S=53 --check

func.func @off_by_one(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
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
    %zero = arith.constant 0.0 : f32
    %top = arith.maximumf %max, %zero : f32
    %shifted = arith.subf %s, %top : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %minus_top = arith.negf %top : f32
    %nothing = math.exp %minus_top : f32
    %with_nothing = arith.addf %total, %nothing : f32
    %weight = arith.divf %exp, %with_nothing : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
