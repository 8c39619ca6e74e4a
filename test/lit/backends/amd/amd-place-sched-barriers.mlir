// RUN: aec-opt %s --amd-place-sched-barriers | FileCheck %s
// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-place-sched-barriers{across=nothing})' | FileCheck %s --check-prefix=NOTHING
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-place-sched-barriers{across=all})' 2>&1 | FileCheck %s --check-prefix=ACROSS

// ACROSS: expects across to be one of arithmetic, nothing, got 'all'

#local = #gpu.address_space<workgroup>

gpu.module @kernels {
  // Reads of the next turn follow what was written of this one; the first of them has the barrier, and none
  // that is not ahead. The one before the loop has nothing to stay behind.
  // CHECK-LABEL: gpu.func @loop
  // CHECK-NOT:     rocdl.sched.barrier
  // CHECK:         scf.for
  // CHECK:           vector.store
  // CHECK-NEXT:      rocdl.raw.ptr.buffer.load
  // CHECK-NEXT:      rocdl.sched.barrier non_mem_non_sideeffect|valu|salu|mfma_wmma|transcendental
  // CHECK-NEXT:      %[[X:.+]] = rocdl.raw.ptr.buffer.load %{{.*}}, 0 : vector<4xi32>
  // CHECK-NEXT:      %[[Y:.+]] = rocdl.raw.ptr.buffer.load %{{.*}}, 0 : vector<4xi32>
  // CHECK-NEXT:      %[[S:.+]] = arith.addi %[[X]], %[[Y]]
  // CHECK-NEXT:      scf.yield %[[S]]
  // CHECK-NOT:     rocdl.sched.barrier
  // NOTHING-LABEL: gpu.func @loop
  // NOTHING:         rocdl.sched.barrier none
  gpu.func @loop(%b: !llvm.ptr<8>, %o: i32, %s: i32, %n: index) workgroup(%lds: memref<256xi32, #local>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %first = rocdl.raw.ptr.buffer.load %b, %o, %s, 0 {amd.ahead} : vector<4xi32>
    %last = scf.for %i = %c0 to %n step %c1 iter_args(%tile = %first) -> (vector<4xi32>) {
      vector.store %tile, %lds[%i] : memref<256xi32, #local>, vector<4xi32>
      %0 = rocdl.raw.ptr.buffer.load %b, %o, %s, 0 : vector<4xi32>
      %1 = rocdl.raw.ptr.buffer.load %b, %o, %s, 0 {amd.ahead} : vector<4xi32>
      %2 = rocdl.raw.ptr.buffer.load %b, %o, %s, 0 {amd.ahead} : vector<4xi32>
      %sum = arith.addi %1, %2 : vector<4xi32>
      scf.yield %sum : vector<4xi32>
    }
    vector.store %last, %lds[%c0] : memref<256xi32, #local>, vector<4xi32>
    gpu.return
  }

  // An access in a branch counts.
  // CHECK-LABEL: gpu.func @branch
  // CHECK:         scf.if
  // CHECK:         }
  // CHECK-NEXT:    rocdl.sched.barrier
  // CHECK-NEXT:    rocdl.raw.ptr.buffer.load
  gpu.func @branch(%b: !llvm.ptr<8>, %o: i32, %s: i32, %x: vector<4xi32>, %c: i1) workgroup(%lds: memref<256xi32, #local>) kernel {
    %c0 = arith.constant 0 : index
    scf.if %c {
      vector.store %x, %lds[%c0] : memref<256xi32, #local>, vector<4xi32>
    }
    %0 = rocdl.raw.ptr.buffer.load %b, %o, %s, 0 {amd.ahead} : vector<4xi32>
    rocdl.raw.ptr.buffer.store %0, %b, %o, %s, 0 : vector<4xi32>
    gpu.return
  }
}
