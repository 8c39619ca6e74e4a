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

// Functions whose names differ only by the prefix stay two functions, in either order, and calls follow.
// CHECK-LABEL: func.func private @aec.g(
// CHECK-NEXT:    arith.mulf
// CHECK-LABEL: func.func private @aec.aec.g(
// CHECK-NEXT:    arith.addf
// CHECK-LABEL: func.func private @aec.aec.aec.g(
// CHECK-NEXT:    arith.subf
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.mulf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @aec.g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @aec.aec.g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.subf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
// CHECK-LABEL: func.func @aec.calls(
// CHECK:         call @aec.g(
// CHECK-NEXT:    call @aec.aec.g(
// CHECK-NEXT:    call @aec.aec.aec.g(
func.func @calls(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = func.call @g(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = func.call @aec.g(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = func.call @aec.aec.g(%1) : (tensor<4xf32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// A declaration keeps its name, and a private function gives way to it.
// CHECK:       func.func private @aec.h(tensor<4xf32>)
// CHECK-LABEL: func.func private @aec.h.0(
func.func private @aec.h(tensor<4xf32>) -> tensor<4xf32>
func.func private @h(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// An argument that a function updates is a buffer with any strides, and the result is written there, last: another
// result may be what it was before. What is read is no place to compute in, so `restrict` is not said.
// CHECK-LABEL: func.func @aec.updates
// CHECK-SAME:    %[[X:[^ ]+]]: tensor<?xf32> {bufferization.writable = false},
// CHECK-SAME:    %[[STATE:[^ ]+]]: memref<?xf32, strided<[?], offset: ?>>, %[[OUT:[^ ]+]]: memref<?xf32>)
// CHECK-NEXT:    %[[OLD:[^ ]+]] = bufferization.to_tensor %[[STATE]] restrict writable
// CHECK-NEXT:    %[[NEW:[^ ]+]] = arith.addf %[[OLD]], %[[X]]
// CHECK-NEXT:    bufferization.materialize_in_destination %[[OLD]] in restrict writable %[[OUT]]
// CHECK-NEXT:    bufferization.materialize_in_destination %[[NEW]] in writable %[[STATE]]
func.func @updates(%x: tensor<?xf32>, %state: tensor<?xf32> {attn.in_place = 0 : i64}) -> (tensor<?xf32>, tensor<?xf32>) {
  %new = arith.addf %state, %x : tensor<?xf32>
  return %new, %state : tensor<?xf32>, tensor<?xf32>
}

// Where several are updated, none is written before all are read.
// CHECK-LABEL: func.func @aec.swaps
// CHECK-DAG:     %[[A:[^ ]+]] = bufferization.to_tensor %arg0
// CHECK-DAG:     %[[B:[^ ]+]] = bufferization.to_tensor %arg1
// CHECK-DAG:     %[[OLD_A:[^ ]+]] = bufferization.alloc_tensor() copy(%[[A]])
// CHECK-DAG:     %[[OLD_B:[^ ]+]] = bufferization.alloc_tensor() copy(%[[B]])
// CHECK-DAG:     bufferization.materialize_in_destination %[[OLD_A]] in writable %arg1
// CHECK-DAG:     bufferization.materialize_in_destination %[[OLD_B]] in writable %arg0
func.func @swaps(%a: tensor<4xf32> {attn.in_place = 1 : i64}, %b: tensor<4xf32> {attn.in_place = 0 : i64}) -> (tensor<4xf32>, tensor<4xf32>) {
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}

// Each way out of a function writes all of its results.
// CHECK-LABEL: func.func @aec.ways
// CHECK-SAME:    %[[C:[^ ]+]]: i1, %[[X:[^ ]+]]: tensor<4xf32> {{[{].*[}]}}, %[[N:[^ ]+]]: i32, %[[OUT:[^ ]+]]: memref<4xf32>, %[[COUNT:[^ ]+]]: memref<i32>)
// CHECK:         bufferization.materialize_in_destination %[[X]] in restrict writable %[[OUT]]
// CHECK-NEXT:    memref.store %[[N]], %[[COUNT]][]
// CHECK-NEXT:    return
// CHECK:         %[[Y:[^ ]+]] = arith.negf %[[X]]
// CHECK-NEXT:    bufferization.materialize_in_destination %[[Y]] in restrict writable %[[OUT]]
// CHECK-NEXT:    memref.store %[[N]], %[[COUNT]][]
// CHECK-NEXT:    return
func.func @ways(%c: i1, %x: tensor<4xf32>, %n: i32) -> (tensor<4xf32>, i32) {
  cf.cond_br %c, ^as_is, ^negated
^as_is:
  return %x, %n : tensor<4xf32>, i32
^negated:
  %y = arith.negf %x : tensor<4xf32>
  return %y, %n : tensor<4xf32>, i32
}
