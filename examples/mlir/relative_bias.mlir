// T5's relative bias: a learnt number per head and distance, distances grouped into buckets.
//
//     s_ij = q_i . k_j + bias[h, bucket(j - i)]
//
// Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2019, https://arxiv.org/abs/1910.10683
//
// In Python: examples/relative_bias.py
//
// Run: aec-run examples/mlir/relative_bias.mlir --dim B=2 --dim S=53 --check

func.func @relative_bias(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"},
    %bias: tensor<4x32xf32> {attn.name = "bias"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %j, %i : index
    %distance_size = math.absi %distance : index
    %c8 = arith.constant 8 : index
    %bucket0 = arith.minsi %distance_size, %c8 : index
    %c12 = arith.constant 12 : index
    %from_12 = arith.cmpi sge, %distance_size, %c12 : index
    %c1 = arith.constant 1 : index
    %c0 = arith.constant 0 : index
    %step_12 = arith.select %from_12, %c1, %c0 : index
    %bucket1 = arith.addi %bucket0, %step_12 : index
    %c16 = arith.constant 16 : index
    %from_16 = arith.cmpi sge, %distance_size, %c16 : index
    %step_16 = arith.select %from_16, %c1, %c0 : index
    %bucket2 = arith.addi %bucket1, %step_16 : index
    %c23 = arith.constant 23 : index
    %from_23 = arith.cmpi sge, %distance_size, %c23 : index
    %step_23 = arith.select %from_23, %c1, %c0 : index
    %bucket3 = arith.addi %bucket2, %step_23 : index
    %c32 = arith.constant 32 : index
    %from_32 = arith.cmpi sge, %distance_size, %c32 : index
    %step_32 = arith.select %from_32, %c1, %c0 : index
    %bucket4 = arith.addi %bucket3, %step_32 : index
    %c46 = arith.constant 46 : index
    %from_46 = arith.cmpi sge, %distance_size, %c46 : index
    %step_46 = arith.select %from_46, %c1, %c0 : index
    %bucket5 = arith.addi %bucket4, %step_46 : index
    %c64 = arith.constant 64 : index
    %from_64 = arith.cmpi sge, %distance_size, %c64 : index
    %step_64 = arith.select %from_64, %c1, %c0 : index
    %bucket6 = arith.addi %bucket5, %step_64 : index
    %c91 = arith.constant 91 : index
    %from_91 = arith.cmpi sge, %distance_size, %c91 : index
    %step_91 = arith.select %from_91, %c1, %c0 : index
    %bucket7 = arith.addi %bucket6, %step_91 : index
    %after = arith.cmpi sgt, %distance, %c0 : index
    %other_half = arith.select %after, %c16, %c0 : index
    %bucket = arith.addi %bucket7, %other_half : index
    %bias_h = tensor.extract %bias[%h, %bucket] : tensor<4x32xf32>
    %score = arith.addf %s, %bias_h : f32
    "attn.yield"(%score) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
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
