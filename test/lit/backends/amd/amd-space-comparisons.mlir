// RUN: aec-opt %s --split-input-file --amd-space-comparisons | FileCheck %s
// RUN: aec-opt %s --split-input-file '--amd-space-comparisons=ahead=1' | FileCheck %s --check-prefix=ONE
// RUN: not aec-opt %s --split-input-file '--amd-space-comparisons=ahead=0' 2>&1 | FileCheck %s --check-prefix=NONE

// NONE: expects ahead to be 1 or more, got 0

// Comparisons are two parts in front of what they choose, or one.
// CHECK-LABEL: gpu.func @bound(
// CHECK:         %[[M0:.+]] = arith.cmpi sge
// CHECK-NEXT:    %[[M1:.+]] = arith.cmpi sge
// CHECK-NEXT:    rocdl.sched.barrier none
// CHECK-NEXT:    arith.select %[[M0]],
// CHECK-NEXT:    %[[M2:.+]] = arith.cmpi sge
// CHECK-NEXT:    rocdl.sched.barrier none
// CHECK-NEXT:    arith.select %[[M1]],
// CHECK-NEXT:    rocdl.sched.barrier none
// CHECK-NEXT:    arith.select %[[M2]],
// ONE-LABEL:   gpu.func @bound(
// ONE:           %[[M0:.+]] = arith.cmpi sge
// ONE-NEXT:      rocdl.sched.barrier none
// ONE-NEXT:      arith.select %[[M0]],
// ONE-NEXT:      %[[M1:.+]] = arith.cmpi sge
// ONE-NEXT:      rocdl.sched.barrier none
// ONE-NEXT:      arith.select %[[M1]],
// ONE-NEXT:      %[[M2:.+]] = arith.cmpi sge
// ONE-NEXT:      rocdl.sched.barrier none
// ONE-NEXT:      arith.select %[[M2]],
gpu.module @kernels {
  gpu.func @bound(%left: vector<4xi32>, %x0: vector<4xf32>, %x1: vector<4xf32>, %x2: vector<4xf32>, %o: memref<12xf32>) kernel {
    %low = arith.constant dense<0xFF800000> : vector<4xf32>
    %c0 = arith.constant dense<[0, 1, 2, 3]> : vector<4xi32>
    %c1 = arith.constant dense<[16, 17, 18, 19]> : vector<4xi32>
    %c2 = arith.constant dense<[32, 33, 34, 35]> : vector<4xi32>
    %z = arith.constant 0 : index
    %four = arith.constant 4 : index
    %eight = arith.constant 8 : index
    %m0 = arith.cmpi sge, %left, %c0 : vector<4xi32>
    %m1 = arith.cmpi sge, %left, %c1 : vector<4xi32>
    %m2 = arith.cmpi sge, %left, %c2 : vector<4xi32>
    %s0 = arith.select %m0, %x0, %low : vector<4xi1>, vector<4xf32>
    %s1 = arith.select %m1, %x1, %low : vector<4xi1>, vector<4xf32>
    %s2 = arith.select %m2, %x2, %low : vector<4xi1>, vector<4xf32>
    vector.store %s0, %o[%z] : memref<12xf32>, vector<4xf32>
    vector.store %s1, %o[%four] : memref<12xf32>, vector<4xf32>
    vector.store %s2, %o[%eight] : memref<12xf32>, vector<4xf32>
    gpu.return
  }
}

// -----

// One choice, a comparison that chooses twice, one of another block, integers, and numbers stay as they are.
// CHECK-LABEL: gpu.func @others(
// CHECK-NOT:     rocdl.sched.barrier
gpu.module @kernels {
  gpu.func @others(%left: vector<4xi32>, %x: vector<4xf32>, %y: vector<4xf32>, %n: i32, %a: f32, %o: memref<4xf32>) kernel {
    %z = arith.constant 0 : index
    %zero = arith.constant 0 : i32
    %c0 = arith.constant dense<[0, 1, 2, 3]> : vector<4xi32>
    %c1 = arith.constant dense<[4, 5, 6, 7]> : vector<4xi32>
    %m0 = arith.cmpi sge, %left, %c0 : vector<4xi32>
    %m1 = arith.cmpi sge, %left, %c1 : vector<4xi32>
    %s0 = arith.select %m0, %x, %y : vector<4xi1>, vector<4xf32>
    %s1 = arith.select %m0, %y, %x : vector<4xi1>, vector<4xf32>
    %s2 = arith.select %m1, %s0, %s1 : vector<4xi1>, vector<4xf32>
    vector.store %s2, %o[%z] : memref<4xf32>, vector<4xf32>
    %is = arith.cmpi sge, %n, %zero : i32
    %m2 = arith.cmpi slt, %left, %c0 : vector<4xi32>
    %m3 = arith.cmpi slt, %left, %c1 : vector<4xi32>
    scf.if %is {
      %s3 = arith.select %m2, %x, %y : vector<4xi1>, vector<4xf32>
      %s4 = arith.select %m3, %x, %s3 : vector<4xi1>, vector<4xf32>
      vector.store %s4, %o[%z] : memref<4xf32>, vector<4xf32>
    }
    %m4 = arith.cmpi sle, %left, %c0 : vector<4xi32>
    %m5 = arith.cmpi sle, %left, %c1 : vector<4xi32>
    %i0 = arith.select %m4, %c0, %c1 : vector<4xi1>, vector<4xi32>
    %i1 = arith.select %m5, %c0, %c1 : vector<4xi1>, vector<4xi32>
    %i2 = arith.addi %i0, %i1 : vector<4xi32>
    %i3 = arith.sitofp %i2 : vector<4xi32> to vector<4xf32>
    vector.store %i3, %o[%z] : memref<4xf32>, vector<4xf32>
    %is0 = arith.cmpi sgt, %n, %zero : i32
    %is1 = arith.cmpi eq, %n, %zero : i32
    %t0 = arith.select %is0, %a, %a : f32
    %t1 = arith.select %is1, %t0, %a : f32
    memref.store %t1, %o[%z] : memref<4xf32>
    gpu.return
  }
}

// -----

// Comparisons that choose where registers are loaded from are all in front of the first choice; what goes straight into
// local memory is left alone.
// CHECK-LABEL: gpu.func @rows(
// CHECK:         %[[IN:.+]] = arith.cmpi slt, {{.+}} : vector<2xi32>
// CHECK:         rocdl.sched.barrier none
// CHECK-NEXT:    arith.select
// CHECK-NEXT:    rocdl.raw.ptr.buffer.load
// CHECK-NEXT:    arith.select
// CHECK-NEXT:    rocdl.raw.ptr.buffer.load
// CHECK-NOT:     rocdl.sched.barrier
gpu.module @kernels {
  gpu.func @rows(%rows: vector<2xi32>, %ends: vector<2xi32>, %at: i32, %b: !llvm.ptr<8>, %l: !llvm.ptr<3>, %o: memref<4xf32>) kernel {
    %z = arith.constant 0 : index
    %zero = arith.constant 0 : i32
    %four = arith.constant 4 : i32
    %beyond = arith.constant -2147483648 : i32
    %in = arith.cmpi slt, %rows, %ends : vector<2xi32>
    %in0 = vector.extract %in[0] : i1 from vector<2xi1>
    %in1 = vector.extract %in[1] : i1 from vector<2xi1>
    %at0 = arith.select %in0, %at, %beyond : i32
    %x0 = rocdl.raw.ptr.buffer.load %b, %at0, %zero, 0 : f32
    %at1 = arith.select %in1, %at, %beyond : i32
    %x1 = rocdl.raw.ptr.buffer.load %b, %at1, %zero, 0 : f32
    %x = arith.addf %x0, %x1 : f32
    memref.store %x, %o[%z] : memref<4xf32>
    gpu.return
  }
  gpu.func @straight(%rows: vector<2xi32>, %ends: vector<2xi32>, %at: i32, %b: !llvm.ptr<8>, %l: !llvm.ptr<3>) kernel {
    %zero = arith.constant 0 : i32
    %four = arith.constant 4 : i32
    %beyond = arith.constant -2147483648 : i32
    %in = arith.cmpi slt, %rows, %ends : vector<2xi32>
    %in0 = vector.extract %in[0] : i1 from vector<2xi1>
    %in1 = vector.extract %in[1] : i1 from vector<2xi1>
    %at0 = arith.select %in0, %at, %beyond : i32
    rocdl.raw.ptr.buffer.load.lds %b, %l, %four, %at0, %zero, %zero, 0
    %at1 = arith.select %in1, %at, %beyond : i32
    rocdl.raw.ptr.buffer.load.lds %b, %l, %four, %at1, %zero, %zero, 0
    gpu.return
  }
}
