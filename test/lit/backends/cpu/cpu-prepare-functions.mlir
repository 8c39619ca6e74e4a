// RUN: aec-opt %s --cpu-prepare-functions | FileCheck %s

// CHECK-LABEL: func.func @aec.results
// CHECK-SAME:    %[[X:[^ ]+]]: tensor<?xf32> {bufferization.writable = false}, %[[N:[^ ]+]]: i32,
// CHECK-SAME:    %[[OUT:[^ ]+]]: memref<?xf32>, %[[COUNT:[^ ]+]]: memref<i32>)
// CHECK-SAME:    attributes {llvm.emit_c_interface}
// CHECK-NEXT:    bufferization.materialize_in_destination %[[X]] in restrict writable %[[OUT]]
// CHECK-NEXT:    memref.store %[[N]], %[[COUNT]][]
// CHECK-NEXT:    return
func.func @results(%x: tensor<?xf32> {attn.name = "x", attn.dims = ["S"]}, %n: i32)
    -> (tensor<?xf32> {attn.name = "o"}, i32) {
  return %x, %n : tensor<?xf32>, i32
}

// Private functions are called from inside only.
// CHECK-LABEL: func.func private @aec.helper
// CHECK-SAME:    (%[[X:[^ ]+]]: tensor<4xf32>) -> tensor<4xf32> {
// CHECK-NEXT:    return %[[X]]
func.func private @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
