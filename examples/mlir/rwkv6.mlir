// RWKV-6: read first, then update; a bonus lets the current position count more than the past.
//
//     o_t = q_t (S_(t-1) + diag(u_h) k_t v_t^T)        S_t = diag(exp(w_t)) S_(t-1) + k_t v_t^T
//
// Peng et al., "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence", 2024,
// https://arxiv.org/abs/2404.05892
//
// In Python: examples/rwkv6.py
//
// Run: aec-run examples/mlir/rwkv6.mlir --dim B=2 --dim T=37 --input w=uniform:-1,0 --check

func.func @rwkv6(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"},
    %w: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "w"},
    %u: tensor<4x16xf32> {attn.name = "u"}
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
    %bonus_u = tensor.extract_slice %u[%h, 0] [1, 16] [1, 1] : tensor<4x16xf32> to tensor<16xf32>
    %w_bht = tensor.extract_slice %w[%b, %h, %t, 0] [1, 1, 1, 16] [1, 1, 1, 1]
        : tensor<?x4x?x16xf32> to tensor<16xf32>
    %decay = math.exp %w_bht : tensor<16xf32>
    %bonus_u_rows = linalg.broadcast ins(%bonus_u : tensor<16xf32>)
        outs(%empty2 : tensor<16x16xf32>) dimensions = [1]
    %bonus = arith.mulf %bonus_u_rows, %kv : tensor<16x16xf32>
    %S_bonus = arith.addf %S, %bonus : tensor<16x16xf32>
    %empty3 = tensor.empty() : tensor<16xf32>
    %zeros2 = linalg.fill ins(%zero : f32) outs(%empty3 : tensor<16xf32>) -> tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S_bonus : tensor<16xf32>, tensor<16x16xf32>)
        outs(%zeros2 : tensor<16xf32>) -> tensor<16xf32>
    %decay_rows = linalg.broadcast ins(%decay : tensor<16xf32>)
        outs(%empty2 : tensor<16x16xf32>) dimensions = [1]
    %kept = arith.mulf %decay_rows, %S : tensor<16x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<16x16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>
}
