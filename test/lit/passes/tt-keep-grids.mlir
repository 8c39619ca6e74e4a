// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-keep-grids | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-keep-grids --canonicalize | FileCheck %s --check-prefix=KEPT

// A bound that is a constant of the grid becomes a value.
// CHECK-LABEL: func.func @constant(
// CHECK:         %[[ONE:.+]] = arith.constant 1 : index
// CHECK:         %[[LAST:.+]] = "tt_host.bound"(%[[ONE]]) : (index) -> index
// CHECK:         %[[O:.+]] = scf.forall (%{{.+}}, %{{.+}}) in (1, %[[LAST]]) shared_outs(%{{.+}} = %{{.+}}) -> (tensor<4xf32>) {
// CHECK:           scf.forall.in_parallel
// CHECK:         return %[[O]]
// KEPT-LABEL:  func.func @constant(
// KEPT:          scf.forall
func.func @constant(%x: tensor<4xf32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %o = scf.forall (%b, %t) in (1, 1) shared_outs(%out = %e) -> (tensor<4xf32>) {
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  }
  return %o : tensor<4xf32>
}

// -----

// So does one that only simplification finds to be a constant.
// CHECK-LABEL: func.func @computed(
// CHECK:         %[[ALL:.+]] = arith.ceildivui
// CHECK:         %[[LAST:.+]] = "tt_host.bound"(%[[ALL]]) : (index) -> index
// CHECK:         scf.forall (%{{.+}}, %{{.+}}) in (%{{.+}}, %[[LAST]]) shared_outs
// KEPT-LABEL:  func.func @computed(
// KEPT:          scf.forall
func.func @computed(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %n = tensor.dim %x, %c0 : tensor<4xf32>
  %tiles = arith.ceildivui %n, %c64 : index
  %e = tensor.empty() : tensor<4xf32>
  %o = scf.forall (%b, %t) in (%c1, %tiles) shared_outs(%out = %e) -> (tensor<4xf32>) {
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  }
  return %o : tensor<4xf32>
}

// -----

// Two results, and other values among the bounds.
// CHECK-LABEL: func.func @values(
// CHECK-SAME:    %[[N:[^:]+]]: index, %[[M:[^:]+]]: index
// CHECK:         %[[LAST:.+]] = "tt_host.bound"(%[[M]]) : (index) -> index
// CHECK:         %[[O:.+]]:2 = scf.forall (%{{.+}}, %{{.+}}, %{{.+}}) in (%[[N]], 3, %[[LAST]])
// CHECK:         return %[[O]]#0, %[[O]]#1
func.func @values(%n: index, %m: index, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  %o:2 = scf.forall (%b, %h, %t) in (%n, 3, %m) shared_outs(%out = %e, %other = %e) -> (tensor<4xf32>, tensor<4xf32>) {
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
      tensor.parallel_insert_slice %x into %other[0] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  }
  return %o#0, %o#1 : tensor<4xf32>, tensor<4xf32>
}
