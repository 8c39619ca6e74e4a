// Attention sinks: a learnt score per head that takes a share of the weight and holds no value.
//
//     p_ij = exp(s_ij) / (exp(sink_h) + sum_j' exp(s_ij'))
//
// OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025, https://arxiv.org/abs/2508.10925 Xiao et al.,
// "Efficient Streaming Language Models with Attention Sinks", 2023, https://arxiv.org/abs/2309.17453
//
// In Python: examples/sinks.py
//
// Run: aec-run examples/mlir/sinks.mlir --dim B=2 --dim S=53 --check

func.func @sinks(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %sink: tensor<4xf32> {attn.name = "sink"}
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
    %window = arith.constant 24 : index
    %in_window = arith.cmpi slt, %distance, %window : index
    %keep = arith.andi %past, %in_window : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %sink_h = tensor.extract %sink[%h] : tensor<4xf32>
    %top = arith.maximumf %max, %sink_h : f32
    %shifted = arith.subf %s, %top : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %shifted2 = arith.subf %sink_h, %top : f32
    %sink_exp = math.exp %shifted2 : f32
    %with_sink = arith.addf %total, %sink_exp : f32
    %weight = arith.divf %exp, %with_sink : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
