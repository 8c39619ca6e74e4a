// RUN: aec-opt %s --attn-tile-chunked | FileCheck %s

// Recurrences that have no chunked form stay as they are.
// CHECK-LABEL: func.func @steps
// CHECK:         "attn.recurrence"
// CHECK-NOT:     scf.forall
func.func @steps(%q: tensor<1x1x?x4xf32>, %v: tensor<1x1x?x3xf32>, %initial: tensor<1x1x4x3xf32>)
    -> (tensor<1x1x?x3xf32>, tensor<1x1x4x3xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %v, %initial) ({
  ^step(%S: tensor<4x3xf32>, %qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<3xf32>,
        %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<4x3xf32>, tensor<3xf32>) -> ()
  }) : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x3xf32>, tensor<1x1x4x3xf32>)
    -> (tensor<1x1x?x3xf32>, tensor<1x1x4x3xf32>)
  return %o, %final : tensor<1x1x?x3xf32>, tensor<1x1x4x3xf32>
}
