// Softpick: a softmax that can give exactly 0, and whose weights need not add up to 1.
//
//     p_ij = max(exp(s_ij) - 1, 0) / sum_j' |exp(s_ij') - 1|,  j <= i
//
// Zuhri et al., "Softpick: No Attention Sink, No Massive Activations with Rectified Softmax", 2025,
// https://arxiv.org/abs/2504.20966
//
// In Python: examples/softpick.py
//
// Run: aec-run examples/mlir/softpick.mlir --dim B=2 --dim S=53 --check

func.func @softpick(
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
    %minus_top = arith.negf %top : f32
    %one_shifted = math.exp %minus_top : f32
    %signed = arith.subf %exp, %one_shifted : f32
    %positive = arith.maximumf %signed, %zero : f32
    %absolute = math.absf %signed : f32
    %total = "attn.row_reduce"(%absolute) {kind = "sum"} : (f32) -> f32
    %epsilon = arith.constant 1.0e-06 : f32
    %divisor = arith.addf %total, %epsilon : f32
    %weight = arith.divf %positive, %divisor : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
