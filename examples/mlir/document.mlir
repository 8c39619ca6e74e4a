// Document masking: several documents packed into one sequence, each blind to the others.
//
//     keep j where j <= i and document[b, i] = document[b, j]
//
// Grattafiori et al., "The Llama 3 Herd of Models", 2024, https://arxiv.org/abs/2407.21783
//
// In Python: examples/document.py
//
// Run: aec-run examples/mlir/document.mlir --dim B=2 --dim S=53 --input document=sorted:0,6 --check

func.func @document(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %document: tensor<?x?xi32> {attn.dims = ["B", "S"], attn.name = "document"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %past = arith.cmpi sle, %j, %i : index
    %document_bi = tensor.extract %document[%b, %i] : tensor<?x?xi32>
    %document_bj = tensor.extract %document[%b, %j] : tensor<?x?xi32>
    %same_document = arith.cmpi eq, %document_bi, %document_bj : i32
    %keep = arith.andi %past, %same_document : i1
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
