// Multi-head latent attention, absorbed: all heads read one compressed cache, which is both key and value.
//
//     s_ij = q_i . c_j / sqrt(Dk),  j < length_b        o_i = sum_j softmax(s_i)_j c_j[:latent]
//
// DeepSeek-AI, "DeepSeek-V2", 2024, https://arxiv.org/abs/2405.04434
//
// In Python: examples/mla.py
//
// Run: aec-run examples/mlir/mla.mlir --dim B=3 --dim Sq=1 --dim Skv=53 --input length=randint:0,53 --check

func.func @mla(
    %q: tensor<?x16x?x72xf32> {attn.dims = ["B", "", "Sq", ""], attn.name = "q"},
    %cache: tensor<?x1x?x72xf32> {attn.dims = ["B", "", "Skv", ""], attn.name = "cache"},
    %length: tensor<?xi32> {attn.dims = ["B"], attn.name = "length"}
) -> (tensor<?x16x?x64xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %cache, %c0 : tensor<?x1x?x72xf32>
  %c2 = arith.constant 2 : index
  %cache_length = tensor.dim %cache, %c2 : tensor<?x1x?x72xf32>
  %values = tensor.extract_slice %cache[0, 0, 0, 0] [%batch, 1, %cache_length, 64] [1, 1, 1, 1]
      : tensor<?x1x?x72xf32> to tensor<?x1x?x64xf32>
  %o = "attn.attention"(%q, %cache, %values) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.204124153 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %length_b = tensor.extract %length[%b] : tensor<?xi32>
    %length_b_index = arith.index_cast %length_b : i32 to index
    %keep = arith.cmpi slt, %j, %length_b_index : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x16x?x72xf32>, tensor<?x1x?x72xf32>, tensor<?x1x?x64xf32>) -> tensor<?x16x?x64xf32>
  return %o : tensor<?x16x?x64xf32>
}
