// RUN: aec-opt %s --cpu-outline-parallel --split-input-file --verify-diagnostics

func.func @tensors(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'scf.forall' op expects no results: bufferize first}}
  %y = scf.forall (%i) in (4) shared_outs(%o = %x) -> (tensor<4xf32>) {
    %e = tensor.extract_slice %o[%i] [1] [1] : tensor<4xf32> to tensor<1xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %e into %o[%i] [1] [1] : tensor<1xf32> into tensor<4xf32>
    }
  }
  return %y : tensor<4xf32>
}

// -----

func.func @captured_tensor(%x: tensor<4xf32>, %out: memref<4xf32>) {
  // expected-error @+1 {{'scf.forall' op unsupported: a value of type tensor<4xf32> from outside the loop}}
  scf.forall (%i) in (4) {
    %e = tensor.extract %x[%i] : tensor<4xf32>
    memref.store %e, %out[%i] : memref<4xf32>
  }
  return
}

// -----

module {
  module @inner {
    func.func @f(%out: memref<4xindex>) {
      // expected-error @+1 {{'scf.forall' op expects to be in a function of the outermost module}}
      scf.forall (%i) in (4) {
        memref.store %i, %out[%i] : memref<4xindex>
      }
      return
    }
  }
}

// -----

func.func private @loop(%out: memref<4xindex>) {
  scf.forall (%i) in (4) {
    memref.store %i, %out[%i] : memref<4xindex>
  }
  return
}

func.func @address() -> ((memref<4xindex>) -> ()) {
  // expected-error @+1 {{'func.constant' op unsupported: the address of a function that has parallel loops}}
  %f = func.constant @loop : (memref<4xindex>) -> ()
  return %f : (memref<4xindex>) -> ()
}

// -----

// expected-error @below {{unsupported: the runtime has a function 'malloc'}}
func.func private @malloc(i32)
func.func @allocates(%out: memref<f32>, %n: index) attributes {llvm.emit_c_interface} {
  %x = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %x[%n] : memref<?xf32>
  memref.store %v, %out[] : memref<f32>
  memref.dealloc %x : memref<?xf32>
  return
}
