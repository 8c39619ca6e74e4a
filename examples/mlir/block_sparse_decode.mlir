// Block-sparse decoding: one new query per head reads the chosen blocks of a cache, grouped heads.
//
//     keep j where j < length_b and blocks[b, h', j // size]        h' = h // (Hq / Hkv)
//
// Gao et al., "SeerAttention-R", 2025, https://arxiv.org/abs/2506.08889
//
// In Python: examples/block_sparse_decode.py
//
// Run: aec-run examples/mlir/block_sparse_decode.mlir --dim B=3 --dim S=80 --dim Blocks=5 \
//     --input length=randint:0,80 --check

func.func @block_sparse_decode(
    %q: tensor<?x8x1x16xf32> {attn.dims = ["B", "", "", ""], attn.name = "q"},
    %k: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %blocks: tensor<?x2x?xi1> {attn.dims = ["B", "", "Blocks"], attn.name = "blocks"},
    %length: tensor<?xi32> {attn.dims = ["B"], attn.name = "length"}
) -> (tensor<?x8x1x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %length_b = tensor.extract %length[%b] : tensor<?xi32>
    %length_b_index = arith.index_cast %length_b : i32 to index
    %written = arith.cmpi slt, %j, %length_b_index : index
    %group = arith.constant 4 : index
    %kv_head = arith.floordivsi %h, %group : index
    %size = arith.constant 16 : index
    %key_block = arith.floordivsi %j, %size : index
    %chosen = tensor.extract %blocks[%b, %kv_head, %key_block] : tensor<?x2x?xi1>
    %keep = arith.andi %written, %chosen : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x8x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x8x1x16xf32>
  return %o : tensor<?x8x1x16xf32>
}
