// RUN: aec-opt %s --pass-pipeline='builtin.module(func.func(cpu-sink-results))' -o %t.after
// RUN: aec-opt %s | diff - %t.after

// A result that something else reads, a destination that is made after the branches, and one in a loop.
func.func @elsewhere(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: i1, %out: memref<4xf32>, %n: index) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.if %c -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    scf.yield %y : tensor<4xf32>
  }
  bufferization.materialize_in_destination %r in restrict writable %out : (tensor<4xf32>, memref<4xf32>) -> ()
  %e = tensor.extract %r[%c0] : tensor<4xf32>
  %s = scf.if %c -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    scf.yield %y : tensor<4xf32>
  }
  %new = memref.alloc() : memref<4xf32>
  bufferization.materialize_in_destination %s in restrict writable %new : (tensor<4xf32>, memref<4xf32>) -> ()
  %t = scf.if %c -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    scf.yield %y : tensor<4xf32>
  }
  scf.for %i = %c0 to %n step %c1 {
    bufferization.materialize_in_destination %t in restrict writable %out : (tensor<4xf32>, memref<4xf32>) -> ()
  }
  return %e : f32
}

// An argument that is updated, whose old value something else reads after the branches.
func.func @updated(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: i1, %state: memref<4xf32>, %out: memref<4xf32>) {
  %old = bufferization.to_tensor %state restrict writable : memref<4xf32> to tensor<4xf32>
  %r = scf.if %c -> (tensor<4xf32>) {
    scf.yield %x : tensor<4xf32>
  } else {
    scf.yield %y : tensor<4xf32>
  }
  %n = arith.negf %old : tensor<4xf32>
  bufferization.materialize_in_destination %n in restrict writable %out : (tensor<4xf32>, memref<4xf32>) -> ()
  bufferization.materialize_in_destination %r in writable %state : (tensor<4xf32>, memref<4xf32>) -> ()
  return
}
