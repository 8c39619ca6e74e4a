// Block-sparse attention: a mask of blocks, chosen while the program runs.
//
//     keep j where j <= i and blocks[b, h, i // size, j // size]
//
// Gao et al., "SeerAttention", 2024, https://arxiv.org/abs/2410.13276
//
// In Python: examples/block_sparse.py
//
// Run: aec-run examples/mlir/block_sparse.mlir --dim B=2 --dim S=53 --dim Blocks=4 --check

func.func @block_sparse(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %blocks: tensor<?x4x?x?xi1> {attn.dims = ["B", "", "Blocks", "Blocks"], attn.name = "blocks"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %past = arith.cmpi sle, %j, %i : index
    %c16 = arith.constant 16 : index
    %query_block = arith.floordivsi %i, %c16 : index
    %key_block = arith.floordivsi %j, %c16 : index
    %chosen = tensor.extract %blocks[%b, %h, %query_block, %key_block] : tensor<?x4x?x?xi1>
    %keep = arith.andi %past, %chosen : i1
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
