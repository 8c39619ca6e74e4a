// RUN: aec-opt %s --attn-tile-steps | FileCheck %s

// What is no recurrence stays as it is.
// CHECK-LABEL: func.func @attention
// CHECK:         "attn.attention"
// CHECK-NOT:     scf.forall
func.func @attention(%q: tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32> {
  %true = arith.constant true
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  return %o : tensor<1x2x?x16xf32>
}
