// RUN: aec-opt %s --allow-unregistered-dialect --tt-keep-loops | FileCheck %s

// A loop without results is no grid of tiles.
// CHECK-LABEL: func.func @rest
// CHECK-NOT:     tt_host
// CHECK:         scf.forall (%{{.+}}) in (1)
func.func @rest() {
  scf.forall (%i) in (1) {
    "test.effect"(%i) : (index) -> ()
  }
  return
}
