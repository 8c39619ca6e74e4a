// RetNet's recurrent form: every head forgets at a fixed rate of its own.
//
//     S_t = gamma_h S_(t-1) + k_t v_t^T        o_t = q_t S_t / sqrt(D)        gamma_h = 1 - 2^(-5 - h)
//
// Sun et al., "Retentive Network", 2023, https://arxiv.org/abs/2307.08621
//
// In Python: examples/retnet.py
//
// Run: aec-run examples/mlir/retnet.mlir --dim B=2 --dim T=37 --check

func.func @retnet(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"},
    %v: tensor<?x4x?x32xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"},
    %initial: tensor<?x4x16x32xf32> {attn.dims = ["B", "", "", ""], attn.name = "initial"}
) -> (tensor<?x4x?x32xf32> {attn.name = "o"}, tensor<?x4x16x32xf32> {attn.name = "final"}) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<16x32xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<32xf32>,
        %b: index, %h: index, %t: index):
    %minus_five = arith.constant -5.0 : f32
    %h_i64 = arith.index_cast %h : index to i64
    %h_f32 = arith.sitofp %h_i64 : i64 to f32
    %exponent = arith.subf %minus_five, %h_f32 : f32
    %one_minus_gamma = math.exp2 %exponent : f32
    %one = arith.constant 1.0 : f32
    %gamma = arith.subf %one, %one_minus_gamma : f32
    %gamma_all = tensor.splat %gamma : tensor<16x32xf32>
    %kept = arith.mulf %gamma_all, %S : tensor<16x32xf32>
    %empty = tensor.empty() : tensor<16x32xf32>
    %kt_rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%empty : tensor<16x32xf32>) dimensions = [1]
    %vt_columns = linalg.broadcast ins(%vt : tensor<32xf32>) outs(%empty : tensor<16x32xf32>) dimensions = [0]
    %kv = arith.mulf %kt_rows, %vt_columns : tensor<16x32xf32>
    %S1 = arith.addf %kept, %kv : tensor<16x32xf32>
    %zero = arith.constant 0.0 : f32
    %empty2 = tensor.empty() : tensor<32xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%empty2 : tensor<32xf32>) -> tensor<32xf32>
    %read = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x32xf32>)
        outs(%zeros : tensor<32xf32>) -> tensor<32xf32>
    %scale = arith.constant dense<0.25> : tensor<32xf32>
    %out = arith.mulf %read, %scale : tensor<32xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x32xf32>, tensor<32xf32>) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>)
    -> (tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>)
  return %o, %final : tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>
}
