// Mamba-2: one step size per position sets how much is forgotten and how much is written.
//
//     S_t = exp(A_h dt_t) S_(t-1) + (dt_t k_t) v_t^T        o_t = q_t S_t + D_h v_t
//
// Dao and Gu, "Transformers are SSMs", 2024, https://arxiv.org/abs/2405.21060
//
// In Python: examples/mamba2.py
//
// Run: aec-run examples/mlir/mamba2.mlir --dim B=2 --dim T=37 --input dt=uniform:0,1 \
//     --input A=uniform:-2,0 --check

func.func @mamba2(
    %q: tensor<?x1x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x1x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x8x?x8xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"},
    %dt: tensor<?x8x?xf32> {attn.dims = ["B", "", "T"], attn.name = "dt"},
    %A: tensor<8xf32> {attn.name = "A"},
    %D: tensor<8xf32> {attn.name = "D"}
) -> (tensor<?x8x?x8xf32> {attn.name = "o"}, tensor<?x8x16x8xf32> {attn.name = "final"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %q, %c0 : tensor<?x1x?x16xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%batch) : tensor<?x8x16x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8x16x8xf32>) -> tensor<?x8x16x8xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros) ({
  ^step(%S: tensor<16x8xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<8xf32>,
        %b: index, %h: index, %t: index):
    %dt_bht = tensor.extract %dt[%b, %h, %t] : tensor<?x8x?xf32>
    %A_h = tensor.extract %A[%h] : tensor<8xf32>
    %log_decay = arith.mulf %A_h, %dt_bht : f32
    %decay = math.exp %log_decay : f32
    %decay_all = tensor.splat %decay : tensor<16x8xf32>
    %kept = arith.mulf %decay_all, %S : tensor<16x8xf32>
    %dt_bht_all = tensor.splat %dt_bht : tensor<16xf32>
    %input = arith.mulf %dt_bht_all, %kt : tensor<16xf32>
    %empty2 = tensor.empty() : tensor<16x8xf32>
    %input_rows = linalg.broadcast ins(%input : tensor<16xf32>)
        outs(%empty2 : tensor<16x8xf32>) dimensions = [1]
    %vt_columns = linalg.broadcast ins(%vt : tensor<8xf32>) outs(%empty2 : tensor<16x8xf32>) dimensions = [0]
    %written = arith.mulf %input_rows, %vt_columns : tensor<16x8xf32>
    %S1 = arith.addf %kept, %written : tensor<16x8xf32>
    %empty3 = tensor.empty() : tensor<8xf32>
    %zeros2 = linalg.fill ins(%zero : f32) outs(%empty3 : tensor<8xf32>) -> tensor<8xf32>
    %read = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x8xf32>)
        outs(%zeros2 : tensor<8xf32>) -> tensor<8xf32>
    %D_h = tensor.extract %D[%h] : tensor<8xf32>
    %D_h_all = tensor.splat %D_h : tensor<8xf32>
    %skip = arith.mulf %D_h_all, %vt : tensor<8xf32>
    %out = arith.addf %read, %skip : tensor<8xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<?x1x?x16xf32>, tensor<?x1x?x16xf32>, tensor<?x8x?x8xf32>, tensor<?x8x16x8xf32>)
    -> (tensor<?x8x?x8xf32>, tensor<?x8x16x8xf32>)
  return %o, %final : tensor<?x8x?x8xf32>, tensor<?x8x16x8xf32>
}
