// RUN: aec-opt %s --allow-unregistered-dialect --convert-tiles-to-tt | FileCheck %s

// What is no tile program stays, also a loop without results.
// CHECK-LABEL: func.func @rest
// CHECK:         scf.forall
// CHECK:           "test.effect"
// CHECK:         linalg.fill
// CHECK-NOT:     tt
func.func @rest(%n: index, %x: f32) -> tensor<?xf32> {
  scf.forall (%i) in (%n) {
    "test.effect"(%i) : (index) -> ()
  }
  %empty = tensor.empty(%n) : tensor<?xf32>
  %o = linalg.fill ins(%x : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  return %o : tensor<?xf32>
}
