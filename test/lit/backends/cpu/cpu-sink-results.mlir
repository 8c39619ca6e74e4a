// RUN: aec-opt %s --pass-pipeline='builtin.module(func.func(cpu-sink-results))' | FileCheck %s

// Branches in branches; a result that is used otherwise, and a scalar one, are still yielded.
// CHECK-LABEL: func.func @nested(
// CHECK-SAME:    %[[X:[^ ]+]]: tensor<?xf32>, %[[Y:[^ ]+]]: tensor<?xf32>, %[[C:[^ ]+]]: i1, %[[D:[^ ]+]]: i1, %[[OUT:[^ ]+]]: memref<?xf32>
// CHECK-NEXT:    %[[KEPT:.+]]:2 = scf.if %[[C]] -> (index, tensor<?xf32>) {
// CHECK-NEXT:      %[[ONE:.+]] = arith.constant 1 : index
// CHECK-NEXT:      scf.if %[[D]] {
// CHECK-NEXT:        bufferization.materialize_in_destination %[[X]] in restrict writable %[[OUT]]
// CHECK-NEXT:      } else {
// CHECK-NEXT:        bufferization.materialize_in_destination %[[Y]] in restrict writable %[[OUT]]
// CHECK-NEXT:      }
// CHECK-NEXT:      scf.yield %[[ONE]], %[[X]]
// CHECK-NEXT:    } else {
// CHECK-NEXT:      %[[TWO:.+]] = arith.constant 2 : index
// CHECK-NEXT:      bufferization.materialize_in_destination %[[Y]] in restrict writable %[[OUT]]
// CHECK-NEXT:      scf.yield %[[TWO]], %[[Y]]
// CHECK-NEXT:    }
// CHECK-NEXT:    bufferization.materialize_in_destination %[[KEPT]]#1 in restrict writable
// CHECK-NEXT:    bufferization.materialize_in_destination %[[KEPT]]#1 in restrict writable
// CHECK-NEXT:    return %[[KEPT]]#0
func.func @nested(%x: tensor<?xf32>, %y: tensor<?xf32>, %c: i1, %d: i1, %out: memref<?xf32>, %p: memref<?xf32>, %q: memref<?xf32>) -> index {
  %r:3 = scf.if %c -> (tensor<?xf32>, index, tensor<?xf32>) {
    %one = arith.constant 1 : index
    %z = scf.if %d -> tensor<?xf32> {
      scf.yield %x : tensor<?xf32>
    } else {
      scf.yield %y : tensor<?xf32>
    }
    scf.yield %z, %one, %x : tensor<?xf32>, index, tensor<?xf32>
  } else {
    %two = arith.constant 2 : index
    scf.yield %y, %two, %y : tensor<?xf32>, index, tensor<?xf32>
  }
  bufferization.materialize_in_destination %r#0 in restrict writable %out : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#2 in restrict writable %p : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#2 in restrict writable %q : (tensor<?xf32>, memref<?xf32>) -> ()
  return %r#1 : index
}
