// RUN: aec-opt %s --attn-tile | FileCheck %s

// Programs that are no streaming form stay as they are.
// CHECK-LABEL: func.func @direct
// CHECK:         "attn.attention"
// CHECK-NOT:     scf.forall
func.func @direct(%q: tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32> {
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
