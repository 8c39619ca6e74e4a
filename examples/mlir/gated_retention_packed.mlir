// Gated retention over packed sequences: many lengths, one batch row, no padding.
//
//     sequence n covers the positions offsets_n .. offsets_(n+1) - 1, and starts from its own state
//
// Sun et al., "You Only Cache Once" (YOCO), 2024, https://arxiv.org/abs/2405.05254
//
// In Python: examples/gated_retention_packed.py
//
// Run: aec-run examples/mlir/gated_retention_packed.mlir --dim T=37 --dim Bounds=5 \
//     --input offsets=offsets:T --input gate=uniform:-1,0 --check

func.func @gated_retention_packed(
    %q: tensor<1x4x?x16xf32> {attn.dims = ["", "", "T", ""], attn.name = "q"},
    %k: tensor<1x4x?x16xf32> {attn.dims = ["", "", "T", ""], attn.name = "k"},
    %v: tensor<1x4x?x16xf32> {attn.dims = ["", "", "T", ""], attn.name = "v"},
    %gate: tensor<1x4x?xf32> {attn.dims = ["", "", "T"], attn.name = "gate"},
    %offsets: tensor<?xi32> {attn.dims = ["Bounds"], attn.name = "offsets"}
) -> (tensor<1x4x?x16xf32> {attn.name = "o"}, tensor<?x4x16x16xf32> {attn.name = "final"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %offsets, %c0 : tensor<?xi32>
  %c1 = arith.constant 1 : index
  %distance = arith.subi %batch, %c1 : index
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%distance) : tensor<?x4x16x16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x16x16xf32>) -> tensor<?x4x16x16xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros, %offsets) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>,
        %b: index, %h: index, %t: index):
    %gate_bht = tensor.extract %gate[%b, %h, %t] : tensor<1x4x?xf32>
    %decay = math.exp %gate_bht : f32
    %decay_all = tensor.splat %decay : tensor<16x16xf32>
    %kept = arith.mulf %decay_all, %S : tensor<16x16xf32>
    %empty2 = tensor.empty() : tensor<16x16xf32>
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
  }) : (tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<?x4x16x16xf32>,
       tensor<?xi32>)
    -> (tensor<1x4x?x16xf32>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<1x4x?x16xf32>, tensor<?x4x16x16xf32>
}
