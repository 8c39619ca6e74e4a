// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx942 waves=4 near=true},canonicalize,cse,loop-invariant-code-motion)' | FileCheck %s

// There is one buffer for a memory. What moves in a loop, or lies behind the buffer, is in the offsets of lanes where there
// is a mask; what all lanes share leaves something of the buffer, and is the same in all turns.
// CHECK-LABEL: gpu.func @moved(
// CHECK-SAME:    %[[A:[^ ]+]]: !llvm.ptr<1>, %[[O:[^ ]+]]: !llvm.ptr<1>,
// CHECK-DAG:     %[[C0:[^ ]+]] = arith.constant 0 : i32
// CHECK-DAG:     %[[BEYOND:[^ ]+]] = arith.constant -2147483648 : i32
// CHECK:         %[[LEFT:[^ ]+]] = arith.maxsi %{{[^ ]+}}, %[[C0]] : i32
// CHECK:         %[[AT:[^ ]+]] = llvm.getelementptr %[[A]]
// CHECK-NEXT:    %[[BUFFER:[^ ]+]] = rocdl.make.buffer.rsrc %[[AT]],
// CHECK:         rocdl.raw.ptr.buffer.load %[[BUFFER]], %[[LANE:[^ ]+]], %[[C0]],
// CHECK:         %[[SECOND:[^ ]+]] = arith.muli
// CHECK:         rocdl.raw.ptr.buffer.load %[[BUFFER]], %[[LANE]], %[[SECOND]],
// CHECK:         %[[LAST:[^ ]+]] = arith.addi %[[LANE]], %{{[^ ]+}} : i32
// CHECK:         %[[PLACE:[^ ]+]] = arith.select %{{[^ ]+}}, %[[LAST]], %[[BEYOND]] : i32
// CHECK:         rocdl.raw.ptr.buffer.load %[[BUFFER]], %[[PLACE]], %[[C0]],
// CHECK:         %[[SHARED:[^ ]+]] = arith.minui %[[SECOND]], %[[LEFT]] : i32
// CHECK:         rocdl.raw.ptr.buffer.load %[[BUFFER]], %{{[^ ]+}}, %[[SHARED]],
// CHECK:         scf.for
// CHECK-NOT:       rocdl.make.buffer.rsrc
// CHECK-NOT:       arith.minui
// CHECK:           %[[MOVED:[^ ]+]] = arith.addi %[[LANE]], %{{[^ ]+}} : i32
// CHECK:           %[[PLACE:[^ ]+]] = arith.select %{{[^ ]+}}, %[[MOVED]], %[[BEYOND]] : i32
// CHECK:           rocdl.raw.ptr.buffer.load %[[BUFFER]], %[[PLACE]], %[[C0]],
// CHECK:           rocdl.raw.ptr.buffer.load %[[BUFFER]], %{{[^ ]+}}, %[[SHARED]],
// CHECK:           scf.yield
gpu.module @kernels {
  gpu.func @moved(%a: memref<?xf32>, %o: memref<?xf32>, %n: i32, %stride: i64) kernel
      attributes {amd.divisibility = array<i64: 16, 16, 1, 4>, tt_host.sizes = array<i64: 2>} {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %c64 = arith.constant 64 : i32
    %zeros = arith.constant dense<0.0> : vector<64x64xf32>
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %wide = arith.extsi %i : vector<64xi32> to vector<64xi64>
    %strides = vector.broadcast %stride : i64 to vector<64xi64>
    %rows = arith.muli %wide, %strides : vector<64xi64>
    %rows1 = vector.shape_cast %rows : vector<64xi64> to vector<64x1xi64>
    %rows2 = vector.broadcast %rows1 : vector<64x1xi64> to vector<64x64xi64>
    %columns = vector.broadcast %wide : vector<64xi64> to vector<64x64xi64>
    %places = arith.addi %rows2, %columns : vector<64x64xi64>
    %block = gpu.block_id x
    %id = arith.index_cast %block : index to i64
    %own = arith.muli %id, %stride : i64
    %all = arith.constant dense<true> : vector<64x64xi1>
    %head = arith.index_cast %own : i64 to index
    %x = vector.gather %a[%head] [%places], %all, %zeros
      : memref<?xf32>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf32> into vector<64x64xf32>
    %tiles = arith.divui %n, %c64 : i32
    %t0 = arith.extsi %tiles : i32 to i64
    %t1 = arith.muli %t0, %stride : i64
    %t2 = arith.addi %t1, %own : i64
    %t3 = arith.index_cast %t2 : i64 to index
    %size = vector.broadcast %n : i32 to vector<64xi32>
    %some = arith.cmpi slt, %i, %size : vector<64xi32>
    %some1 = vector.shape_cast %some : vector<64xi1> to vector<64x1xi1>
    %some2 = vector.broadcast %some1 : vector<64x1xi1> to vector<64x64xi1>
    %last = vector.gather %a[%t3] [%places], %some2, %zeros
      : memref<?xf32>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf32> into vector<64x64xf32>
    %sum = arith.addf %x, %last : vector<64x64xf32>
    %r = scf.for %t = %z to %n step %one iter_args(%s = %sum) -> (vector<64x64xf32>) : i32 {
      %first = arith.muli %t, %c64 : i32
      %left = arith.subi %n, %first : i32
      %lefts = vector.broadcast %left : i32 to vector<64xi32>
      %in = arith.cmpi slt, %i, %lefts : vector<64xi32>
      %in1 = vector.shape_cast %in : vector<64xi1> to vector<64x1xi1>
      %in2 = vector.broadcast %in1 : vector<64x1xi1> to vector<64x64xi1>
      %f0 = arith.extsi %first : i32 to i64
      %f1 = arith.muli %f0, %stride : i64
      %f2 = arith.addi %f1, %own : i64
      %at = arith.index_cast %f2 : i64 to index
      %y = vector.gather %a[%at] [%places], %in2, %zeros
        : memref<?xf32>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf32> into vector<64x64xf32>
      %next = arith.addf %s, %y : vector<64x64xf32>
      scf.yield %next : vector<64x64xf32>
    }
    vector.scatter %o[%head] [%places], %all, %r
      : memref<?xf32>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf32>
    gpu.return
  }
}
