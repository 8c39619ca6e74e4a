// Dilated sliding window: a window with gaps, which reaches further with as many keys.
//
//     keep j where 0 <= i - j < window * dilation and (i - j) % dilation = 0
//
// Beltagy, Peters and Cohan, "Longformer", 2020, https://arxiv.org/abs/2004.05150
//
// In Python: examples/dilated.py
//
// Run: aec-run examples/mlir/dilated.mlir --dim B=2 --dim S=53 --check

func.func @dilated(
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
    %distance = arith.subi %i, %j : index
    %c0 = arith.constant 0 : index
    %past = arith.cmpi sge, %distance, %c0 : index
    %reach = arith.constant 24 : index
    %in_reach = arith.cmpi slt, %distance, %reach : index
    %near = arith.andi %past, %in_reach : i1
    %dilation = arith.constant 3 : index
    %steps = arith.floordivsi %distance, %dilation : index
    %whole_steps = arith.muli %steps, %dilation : index
    %rest = arith.subi %distance, %whole_steps : index
    %on_step = arith.cmpi eq, %rest, %c0 : index
    %keep = arith.andi %near, %on_step : i1
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
