// RUN: aec-opt %s --allow-unregistered-dialect --tt-keep-grids=loops=true | FileCheck %s
// RUN: aec-opt %s --allow-unregistered-dialect --tt-keep-grids=loops=true --canonicalize | FileCheck %s --check-prefix=KEPT

// Loops that turn once are kept, in loops too; others, and those in branches, are left to simplification.
// CHECK-LABEL: func.func @loops
// CHECK:         scf.forall
// CHECK:           %[[ONE:.+]] = "tt_host.bound"(%[[C1:.+]]) : (index) -> index
// CHECK:           scf.for %{{.+}} = %[[C0:.+]] to %[[ONE]] step
// CHECK:           scf.for %{{.+}} = %[[C0]] to %[[C0]] step
// CHECK:           scf.for %{{.+}} = %[[C0]] to %[[C2:.+]] step
// CHECK:             %[[TWO:.+]] = "tt_host.bound"(%[[C2]]) : (index) -> index
// CHECK:             scf.for %{{.+}} = %[[C1]] to %[[TWO]] step
// CHECK:           scf.if
// CHECK-NOT:         tt_host.bound
// KEPT-LABEL:  func.func @loops
// KEPT:          scf.forall
// KEPT:            scf.for
// KEPT:              "test.one"
// KEPT-NOT:        "test.none"
// KEPT:            scf.for
// KEPT:              scf.for
// KEPT:                "test.inner"
// KEPT:            scf.if
// KEPT-NOT:          scf.for
// KEPT:              "test.branch"
func.func @loops(%x: tensor<4xf32>, %n: index, %is: i1) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %e = tensor.empty() : tensor<4xf32>
  %o = scf.forall (%t) in (%n) shared_outs(%out = %e) -> (tensor<4xf32>) {
    scf.for %i = %c0 to %c1 step %c1 {
      "test.one"(%i) : (index) -> ()
    }
    scf.for %i = %c0 to %c0 step %c1 {
      "test.none"(%i) : (index) -> ()
    }
    scf.for %i = %c0 to %c2 step %c1 {
      scf.for %j = %c1 to %c2 step %c1 {
        "test.inner"(%i, %j) : (index, index) -> ()
      }
    }
    scf.if %is {
      scf.for %i = %c0 to %c1 step %c1 {
        "test.branch"(%i) : (index) -> ()
      }
    }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  }
  return %o : tensor<4xf32>
}
