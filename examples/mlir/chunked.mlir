// Chunked attention: the sequence is cut into chunks, and a query reads the past of its own chunk.
//
//     keep j where j <= i and i // chunk = j // chunk
//
// Meta AI, "The Llama 4 herd", 2025, https://ai.meta.com/blog/llama-4-multimodal-intelligence/
//
// In Python: examples/chunked.py
//
// Run: aec-run examples/mlir/chunked.mlir --dim B=2 --dim S=53 --check

func.func @chunked(
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
    %past = arith.cmpi sge, %i, %j : index
    %chunk = arith.constant 16 : index
    %query_chunk = arith.floordivsi %i, %chunk : index
    %key_chunk = arith.floordivsi %j, %chunk : index
    %same_chunk = arith.cmpi eq, %query_chunk, %key_chunk : index
    %keep = arith.andi %past, %same_chunk : i1
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
