// RUN: aec-opt %s --split-input-file --amd-place-barriers | FileCheck %s

!memory = memref<256xi8, #gpu.address_space<workgroup>>
!view = memref<32xf16, #gpu.address_space<workgroup>>

// A barrier where what others wrote is read, and one before it is written again in the next turn.
// CHECK-LABEL: gpu.func @loop
// CHECK:         scf.for
// CHECK-NEXT:      gpu.barrier memfence [#gpu.address_space<workgroup>]
// CHECK-NEXT:      vector.store
// CHECK-NEXT:      vector.store
// CHECK-NEXT:      gpu.barrier memfence [#gpu.address_space<workgroup>]
// CHECK-NEXT:      vector.load
// CHECK-NEXT:      vector.load
// CHECK-NEXT:    }
gpu.module @kernels {
  gpu.func @loop(%n: index, %x: vector<4xf16>, %i: index, %j: index) workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %v = memref.view %lds[%c0][] : !memory to !view
    scf.for %t = %c0 to %n step %c1 {
      vector.store %x, %v[%i] : !view, vector<4xf16>
      vector.store %x, %v[%j] : !view, vector<4xf16>
      %a = vector.load %v[%j] : !view, vector<4xf16>
      %b = vector.load %v[%i] : !view, vector<4xf16>
    }
    gpu.return
  }
}

// -----

!memory = memref<256xi8, #gpu.address_space<workgroup>>
!view = memref<32xf16, #gpu.address_space<workgroup>>

// Other bytes need none, and a barrier that is there is enough.
// CHECK-LABEL: gpu.func @apart
// CHECK-NOT:     gpu.barrier
// CHECK:         vector.store
// CHECK-NEXT:    vector.load
// CHECK-NEXT:    gpu.barrier
// CHECK-NEXT:    vector.load
// CHECK-NOT:     gpu.barrier
gpu.module @kernels {
  gpu.func @apart(%x: vector<4xf16>, %i: index) workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c64 = arith.constant 64 : index
    %v = memref.view %lds[%c0][] : !memory to !view
    %w = memref.view %lds[%c64][] : !memory to !view
    vector.store %x, %v[%i] : !view, vector<4xf16>
    %a = vector.load %w[%i] : !view, vector<4xf16>
    gpu.barrier
    %b = vector.load %v[%i] : !view, vector<4xf16>
    gpu.return
  }
}

// -----

!memory = memref<256xi8, #gpu.address_space<workgroup>>
!view = memref<32xf16, #gpu.address_space<workgroup>>
!other = memref<32xf16, #gpu.address_space<workgroup>>

// Views of the same bytes; one way through a branch is enough to need a barrier behind it.
// CHECK-LABEL: gpu.func @branch
// CHECK:         scf.if
// CHECK-NEXT:      vector.store
// CHECK-NEXT:    }
// CHECK-NEXT:    gpu.barrier
// CHECK-NEXT:    vector.load
gpu.module @kernels {
  gpu.func @branch(%c: i1, %x: vector<4xf16>, %i: index) workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c32 = arith.constant 32 : index
    %v = memref.view %lds[%c0][] : !memory to !view
    %w = memref.view %lds[%c32][] : !memory to !other
    scf.if %c {
      vector.store %x, %v[%i] : !view, vector<4xf16>
    }
    %a = vector.load %w[%i] : !other, vector<4xf16>
    gpu.return
  }
}
