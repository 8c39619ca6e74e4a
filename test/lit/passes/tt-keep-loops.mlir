// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-keep-loops | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-keep-loops --canonicalize | FileCheck %s --check-prefix=KEPT

// Loops that turn once are kept, in loops too; others, and those in branches, are left to simplification.
// CHECK-LABEL: func.func @loops
// CHECK:         scf.forall
// CHECK:           %[[ONE:.+]] = "tt_host.hidden"(%[[C1:.+]]) : (index) -> index
// CHECK:           scf.for %{{.+}} = %[[C0:.+]] to %[[ONE]] step
// CHECK:           scf.for %{{.+}} = %[[C0]] to %[[C0]] step
// CHECK:           scf.for %{{.+}} = %[[C0]] to %[[C2:.+]] step
// CHECK:             %[[TWO:.+]] = "tt_host.hidden"(%[[C2]]) : (index) -> index
// CHECK:             scf.for %{{.+}} = %[[C1]] to %[[TWO]] step
// CHECK:           scf.if
// CHECK-NOT:         tt_host.hidden
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

// -----

// A position that is the only one stays unknown, whether its bound is in the grid or a value; others are not touched.
// CHECK-LABEL: func.func @positions
// CHECK:         scf.forall (%[[B:.+]], %[[H:.+]], %[[T:.+]], %[[UNUSED:.+]]) in
// CHECK-DAG:       %[[ONLY_B:.+]] = "tt_host.hidden"(%[[B]]) : (index) -> index
// CHECK-DAG:       %[[ONLY_T:.+]] = "tt_host.hidden"(%[[T]]) : (index) -> index
// CHECK-NOT:       tt_host.hidden
// CHECK:           "test.position"(%[[ONLY_B]], %[[H]], %[[ONLY_T]])
// CHECK:           arith.cmpi ult, %[[ONLY_T]]
// KEPT-LABEL:  func.func @positions
// KEPT:            scf.for
func.func @positions(%x: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %e = tensor.empty() : tensor<4xf32>
  %o = scf.forall (%b, %h, %t, %unused) in (1, %n, %c1, %c1) shared_outs(%out = %e) -> (tensor<4xf32>) {
    "test.position"(%b, %h, %t) : (index, index, index) -> ()
    %is_first = arith.cmpi ult, %t, %c1 : index
    %turns = arith.select %is_first, %c1, %c2 : index
    scf.for %i = %c0 to %turns step %c1 {
      "test.turn"(%i) : (index) -> ()
    }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  } {mapping = [#gpu.block<linear_dim_0>, #gpu.block<linear_dim_1>, #gpu.block<linear_dim_2>, #gpu.block<linear_dim_3>]}
  return %o : tensor<4xf32>
}
