// Linear attention: no softmax, so that all of the past fits into one matrix.
//
//     S_t = S_(t-1) + k_t v_t^T        o_t = q_t S_t
//
// Katharopoulos et al., "Transformers are RNNs", 2020, https://arxiv.org/abs/2006.16236
//
// In Python: examples/linear_attention.py
//
// Run: aec-run examples/mlir/linear_attention.mlir --dim B=2 --dim T=37 --check

func.func @linear_attention(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x16x16xf32> {attn.name = "final"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%batch) : tensor<?x4x16x16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x16x16xf32>) -> tensor<?x4x16x16xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>,
        %b: index, %h: index, %t: index):
    %empty2 = tensor.empty() : tensor<16x16xf32>
    %kt_rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%empty2 : tensor<16x16xf32>) dimensions = [1]
    %vt_columns = linalg.broadcast ins(%vt : tensor<16xf32>)
        outs(%empty2 : tensor<16x16xf32>) dimensions = [0]
    %kv = arith.mulf %kt_rows, %vt_columns : tensor<16x16xf32>
    %S1 = arith.addf %S, %kv : tensor<16x16xf32>
    %empty3 = tensor.empty() : tensor<16xf32>
    %zeros2 = linalg.fill ins(%zero : f32) outs(%empty3 : tensor<16xf32>) -> tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x16xf32>)
        outs(%zeros2 : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>
}
