// Gated linear attention: every feature of the key forgets at its own rate.
//
//     S_t = diag(exp(g_t)) S_(t-1) + k_t v_t^T        o_t = q_t S_t
//
// Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training", 2023,
// https://arxiv.org/abs/2312.06635
//
// In Python: examples/gla.py
//
// Run: aec-run examples/mlir/gla.mlir --dim B=2 --dim T=37 --input gate=uniform:-1,0 --check

func.func @gla(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"},
    %gate: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "gate"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x16x16xf32> {attn.name = "final"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%batch) : tensor<?x4x16x16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x16x16xf32>) -> tensor<?x4x16x16xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>,
        %b: index, %h: index, %t: index):
    %gate_bht = tensor.extract_slice %gate[%b, %h, %t, 0] [1, 1, 1, 16] [1, 1, 1, 1]
        : tensor<?x4x?x16xf32> to tensor<16xf32>
    %decay = math.exp %gate_bht : tensor<16xf32>
    %empty2 = tensor.empty() : tensor<16x16xf32>
    %decay_rows = linalg.broadcast ins(%decay : tensor<16xf32>)
        outs(%empty2 : tensor<16x16xf32>) dimensions = [1]
    %kept = arith.mulf %decay_rows, %S : tensor<16x16xf32>
    %kt_rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%empty2 : tensor<16x16xf32>) dimensions = [1]
    %vt_columns = linalg.broadcast ins(%vt : tensor<16xf32>)
        outs(%empty2 : tensor<16x16xf32>) dimensions = [0]
    %kv = arith.mulf %kt_rows, %vt_columns : tensor<16x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<16x16xf32>
    %empty3 = tensor.empty() : tensor<16xf32>
    %zeros2 = linalg.fill ins(%zero : f32) outs(%empty3 : tensor<16xf32>) -> tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x16xf32>)
        outs(%zeros2 : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>
}
