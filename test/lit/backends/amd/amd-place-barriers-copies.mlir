// RUN: aec-opt %s --split-input-file --amd-place-barriers | FileCheck %s

!memory = memref<256xi8, #gpu.address_space<workgroup>>

// One barrier for each turn: all have read the copy that is written next, and what was on its way has come. What
// is on its way to the next turn is not waited for by others, but before the kernel ends.
// CHECK-LABEL: gpu.func @copies
// CHECK-NOT:     gpu.barrier
// CHECK:         scf.for
// CHECK:           rocdl.s.waitcnt 3952
// CHECK-NEXT:      gpu.barrier memfence [#gpu.address_space<workgroup>]
// CHECK-NEXT:      rocdl.raw.ptr.buffer.load.lds
// CHECK-NOT:       amd.copy
// CHECK:           llvm.load
// CHECK-NEXT:      rocdl.ds.read.tr16.b64
// CHECK-NEXT:      scf.yield
// CHECK:         rocdl.s.waitcnt 3952
// CHECK-NEXT:    gpu.return
gpu.module @kernels {
  gpu.func @copies(%n: index, %b: !llvm.ptr<8>, %o: i32) workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %z = arith.constant 0 : i32
    %w = arith.constant 16 : i32
    %apart = arith.constant 128 : i32
    %at = memref.extract_aligned_pointer_as_index %lds : !memory -> index
    %i = arith.index_cast %at : index to i32
    %p = llvm.inttoptr %i : i32 to !llvm.ptr<3>
    rocdl.raw.ptr.buffer.load.lds %b, %p, %w, %o, %z, %z, 0 {amd.copy = 0 : i64}
    %r = scf.for %t = %c0 to %n step %c1 iter_args(%turn = %z) -> (i32) {
      %next = arith.subi %apart, %turn : i32
      %j = arith.addi %i, %next : i32
      %q = llvm.inttoptr %j : i32 to !llvm.ptr<3>
      rocdl.raw.ptr.buffer.load.lds %b, %q, %w, %o, %z, %z, 0 {amd.copy = 1 : i64}
      %k = arith.addi %i, %turn : i32
      %u = llvm.inttoptr %k : i32 to !llvm.ptr<3>
      %x = llvm.load %u {amd.copy = 0 : i64} : !llvm.ptr<3> -> vector<8xf16>
      %y = rocdl.ds.read.tr16.b64 %u {amd.copy = 0 : i64} : <3> -> vector<4xf16>
      scf.yield %next : i32
    }
    gpu.return
  }
}

// -----

!memory = memref<256xi8, #gpu.address_space<workgroup>>
!view = memref<32xf16, #gpu.address_space<workgroup>>

// A barrier in between, for other bytes, leaves the next turn's loads on their way: it is no gpu.barrier, whose
// fences wait for all. Behind the loop either copy may be anything, and who writes there waits.
// CHECK-LABEL: gpu.func @others
// CHECK:         scf.for
// CHECK:           rocdl.s.waitcnt
// CHECK-NEXT:      gpu.barrier
// CHECK-NEXT:      rocdl.raw.ptr.buffer.load.lds
// CHECK:           vector.store
// CHECK-NEXT:      llvm.fence syncscope("wavefront") release
// CHECK-NEXT:      rocdl.s.waitcnt 49279
// CHECK-NEXT:      rocdl.s.barrier
// CHECK-NEXT:      llvm.fence syncscope("wavefront") acquire
// CHECK-NEXT:      vector.load
// CHECK-NOT:       rocdl.s.waitcnt
// CHECK:           llvm.load
// CHECK:         }
// CHECK:         rocdl.s.waitcnt
// CHECK-NEXT:    gpu.barrier
// CHECK-NEXT:    vector.store
// CHECK-NOT:     rocdl.s.waitcnt
gpu.module @kernels {
  gpu.func @others(%n: index, %b: !llvm.ptr<8>, %o: i32, %f: vector<4xf16>, %l: index)
      workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %c128 = arith.constant 128 : index
    %z = arith.constant 0 : i32
    %w = arith.constant 16 : i32
    %apart = arith.constant 32 : i32
    %copies = memref.view %lds[%c0][] : !memory to !view
    %other = memref.view %lds[%c128][] : !memory to !view
    %at = memref.extract_aligned_pointer_as_index %copies : !view -> index
    %i = arith.index_cast %at : index to i32
    %p = llvm.inttoptr %i : i32 to !llvm.ptr<3>
    rocdl.raw.ptr.buffer.load.lds %b, %p, %w, %o, %z, %z, 0 {amd.copy = 0 : i64}
    %r = scf.for %t = %c0 to %n step %c1 iter_args(%turn = %z) -> (i32) {
      %next = arith.subi %apart, %turn : i32
      %j = arith.addi %i, %next : i32
      %q = llvm.inttoptr %j : i32 to !llvm.ptr<3>
      rocdl.raw.ptr.buffer.load.lds %b, %q, %w, %o, %z, %z, 0 {amd.copy = 1 : i64}
      vector.store %f, %other[%l] : !view, vector<4xf16>
      %g = vector.load %other[%c0] : !view, vector<4xf16>
      %k = arith.addi %i, %turn : i32
      %u = llvm.inttoptr %k : i32 to !llvm.ptr<3>
      %x = llvm.load %u {amd.copy = 0 : i64} : !llvm.ptr<3> -> vector<8xf16>
      scf.yield %next : i32
    }
    vector.store %f, %copies[%l] : !view, vector<4xf16>
    gpu.return
  }
}

// -----

!memory = memref<256xi8, #gpu.address_space<workgroup>>

// Where another barrier of the turn lies between reads and the loads that overwrite what was read, the one that
// waits for this turn's tiles still is before the loads for the next one, which it would else wait for, too.
// CHECK-LABEL: gpu.func @barrier_of_turn
// CHECK:         scf.for
// CHECK:           rocdl.s.waitcnt 3952
// CHECK-NEXT:      gpu.barrier memfence
// CHECK-NEXT:      rocdl.raw.ptr.buffer.load.lds
// CHECK-NOT:       rocdl.s.waitcnt
// CHECK:           llvm.load
// CHECK-NEXT:      gpu.barrier
// CHECK-NEXT:      scf.yield
gpu.module @kernels {
  gpu.func @barrier_of_turn(%n: index, %b: !llvm.ptr<8>, %o: i32) workgroup(%lds: !memory) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %z = arith.constant 0 : i32
    %w = arith.constant 16 : i32
    %apart = arith.constant 128 : i32
    %at = memref.extract_aligned_pointer_as_index %lds : !memory -> index
    %i = arith.index_cast %at : index to i32
    %p = llvm.inttoptr %i : i32 to !llvm.ptr<3>
    rocdl.raw.ptr.buffer.load.lds %b, %p, %w, %o, %z, %z, 0 {amd.copy = 0 : i64}
    %r = scf.for %t = %c0 to %n step %c1 iter_args(%turn = %z) -> (i32) {
      %next = arith.subi %apart, %turn : i32
      %j = arith.addi %i, %next : i32
      %q = llvm.inttoptr %j : i32 to !llvm.ptr<3>
      rocdl.raw.ptr.buffer.load.lds %b, %q, %w, %o, %z, %z, 0 {amd.copy = 1 : i64}
      %k = arith.addi %i, %turn : i32
      %u = llvm.inttoptr %k : i32 to !llvm.ptr<3>
      %x = llvm.load %u {amd.copy = 0 : i64} : !llvm.ptr<3> -> vector<8xf16>
      gpu.barrier
      scf.yield %next : i32
    }
    gpu.return
  }
}
