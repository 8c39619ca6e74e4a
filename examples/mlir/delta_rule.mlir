// The delta rule: what the state holds for a key is replaced, not added to.
//
//     S_t = (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T        o_t = q_t S_t
//
// Schlag, Irie and Schmidhuber, "Linear Transformers Are Secretly Fast Weight Programmers", 2021,
// https://arxiv.org/abs/2102.11174
// Yang et al., "Parallelizing Linear Transformers with the Delta Rule over Sequence Length" (DeltaNet), 2024,
// https://arxiv.org/abs/2406.06484
//
// In Python: examples/delta_rule.py
//
// Run: aec-run examples/mlir/delta_rule.mlir --dim B=2 --dim T=37 --input k=uniform:-0.4,0.4 \
//     --input beta=uniform:0,1 --check

func.func @delta_rule(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"},
    %beta: tensor<?x4x?xf32> {attn.dims = ["B", "", "T"], attn.name = "beta"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x16x16xf32> {attn.name = "final"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%batch) : tensor<?x4x16x16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x16x16xf32>) -> tensor<?x4x16x16xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>,
        %b: index, %h: index, %t: index):
    %empty2 = tensor.empty() : tensor<16xf32>
    %zeros2 = linalg.fill ins(%zero : f32) outs(%empty2 : tensor<16xf32>) -> tensor<16xf32>
    %held = linalg.vecmat ins(%kt, %S : tensor<16xf32>, tensor<16x16xf32>)
        outs(%zeros2 : tensor<16xf32>) -> tensor<16xf32>
    %error = arith.subf %vt, %held : tensor<16xf32>
    %beta_bht = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
    %empty3 = tensor.empty() : tensor<16x16xf32>
    %kt_rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%empty3 : tensor<16x16xf32>) dimensions = [1]
    %error_columns = linalg.broadcast ins(%error : tensor<16xf32>)
        outs(%empty3 : tensor<16x16xf32>) dimensions = [0]
    %outer = arith.mulf %kt_rows, %error_columns : tensor<16x16xf32>
    %beta_bht_all = tensor.splat %beta_bht : tensor<16x16xf32>
    %written = arith.mulf %beta_bht_all, %outer : tensor<16x16xf32>
    %S1 = arith.addf %S, %written : tensor<16x16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x16xf32>)
        outs(%zeros2 : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x16x16xf32>
}
