// Prefix-LM: a prefix is read in both directions, what follows it causally.
//
//     keep j where j <= i or j < prefix_b
//
// Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2019, https://arxiv.org/abs/1910.10683
// Dong et al., "Unified Language Model Pre-training" (UniLM), 2019, https://arxiv.org/abs/1905.03197
//
// In Python: examples/prefix_lm.py
//
// Run: aec-run examples/mlir/prefix_lm.mlir --dim B=2 --dim S=53 --input prefix=randint:0,20 --check

func.func @prefix_lm(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %prefix: tensor<?xi32> {attn.dims = ["B"], attn.name = "prefix"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %past = arith.cmpi sge, %i, %j : index
    %prefix_b = tensor.extract %prefix[%b] : tensor<?xi32>
    %prefix_index = arith.index_cast %prefix_b : i32 to index
    %in_prefix = arith.cmpi slt, %j, %prefix_index : index
    %keep = arith.ori %past, %in_prefix : i1
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
