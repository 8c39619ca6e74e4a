// RUN: not aec-run %s 2>&1 | FileCheck %s

// Diagnostics name the file and the line, as those of aec-opt do.
func.func @wrong(%q: tensor<1x1x2x4xf32>, %k: tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf32> {
  %true = arith.constant true
// CHECK: aec-run-invalid.mlir:7:8: error: 'attn.attention' op expects q and k to have equal feature sizes, got 4 and 8
  %o = "attn.attention"(%q, %k, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x2x4xf32>, tensor<1x1x2x8xf32>, tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf32>
  return %o : tensor<1x1x2x8xf32>
}
