// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx942 waves=4},canonicalize,cse)' | FileCheck %s

// Registers with one mask share an offset, to which constants are added that instructions hold. A position that a loop
// moves is compared by what is left of its bound, once for all registers of a lane; a bound below -1 is as good as -1.
// CHECK-LABEL: gpu.func @bounded(
// CHECK-SAME:    %[[N:[^ ]+]]: i32, %[[ANY:[^ ]+]]: i32,
// CHECK-DAG:     %[[FOUR:[^ ]+]] = arith.constant dense<[0, 1, 2, 3]> : vector<4xi32>
// CHECK-DAG:     %[[BEYOND:[^ ]+]] = arith.constant -2147483648 : i32
// CHECK-DAG:     %[[ROWS:[^ ]+]] = arith.constant 4096 : i32
// CHECK-DAG:     %[[LEAST:[^ ]+]] = arith.constant -1 : i32
// CHECK:         %[[FIRST:[^ ]+]] = arith.select %{{[^ ]+}}, %{{[^ ]+}}, %[[BEYOND]] : i32
// CHECK-NEXT:    rocdl.raw.ptr.buffer.load %{{[^ ]+}}, %[[FIRST]],
// CHECK:         %[[SECOND:[^ ]+]] = arith.select %{{[^ ]+}}, %{{[^ ]+}}, %[[BEYOND]] : i32
// CHECK-NEXT:    %[[AT:[^ ]+]] = arith.addi %[[SECOND]], %[[ROWS]] : i32
// CHECK-NEXT:    rocdl.raw.ptr.buffer.load %{{[^ ]+}}, %[[AT]],
// CHECK:         scf.for
// CHECK:           %[[BOUND:[^ ]+]] = arith.maxsi %[[ANY]], %[[LEAST]] : i32
// CHECK-NEXT:      %[[LEFT:[^ ]+]] = arith.subi %[[BOUND]], %{{[^ ]+}} : i32
// CHECK-NEXT:      %[[LEFTS:[^ ]+]] = vector.broadcast %[[LEFT]] : i32 to vector<4xi32>
// CHECK-NEXT:      arith.cmpi sgt, %[[LEFTS]], %[[FOUR]] : vector<4xi32>
// CHECK-NOT:       arith.cmpi
// CHECK:           scf.yield
gpu.module @kernels {
  gpu.func @bounded(%a: memref<?xf32>, %o: memref<?xf32>, %n: i32, %any: i32) kernel
      attributes {amd.divisibility = array<i64: 16, 16, 1, 1>, tt_host.sizes = array<i64: 2>} {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %c64 = arith.constant 64 : i32
    %zeros = arith.constant dense<0.0> : vector<64x64xf32>
    %low = arith.constant dense<-1.0> : vector<64x64xf32>
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %stride = arith.constant dense<64> : vector<64xi32>
    %rows = arith.muli %i, %stride : vector<64xi32>
    %rows1 = vector.shape_cast %rows : vector<64xi32> to vector<64x1xi32>
    %rows2 = vector.broadcast %rows1 : vector<64x1xi32> to vector<64x64xi32>
    %columns = vector.broadcast %i : vector<64xi32> to vector<64x64xi32>
    %places = arith.addi %rows2, %columns : vector<64x64xi32>
    %size = vector.broadcast %n : i32 to vector<64xi32>
    %in = arith.cmpi slt, %i, %size : vector<64xi32>
    %in1 = vector.shape_cast %in : vector<64xi1> to vector<64x1xi1>
    %in2 = vector.broadcast %in1 : vector<64x1xi1> to vector<64x64xi1>
    %x = vector.gather %a[%c0] [%places], %in2, %zeros
      : memref<?xf32>, vector<64x64xi32>, vector<64x64xi1>, vector<64x64xf32> into vector<64x64xf32>
    %limits = vector.broadcast %any : i32 to vector<64x64xi32>
    %r = scf.for %t = %z to %n step %one iter_args(%s = %x) -> (vector<64x64xf32>) : i32 {
      %first = arith.muli %t, %c64 : i32
      %base = vector.broadcast %first : i32 to vector<64xi32>
      %at = arith.addi %base, %i : vector<64xi32>
      %ats = vector.broadcast %at : vector<64xi32> to vector<64x64xi32>
      %is = arith.cmpi slt, %ats, %limits : vector<64x64xi32>
      %y = arith.select %is, %s, %low : vector<64x64xi1>, vector<64x64xf32>
      scf.yield %y : vector<64x64xf32>
    }
    vector.scatter %o[%c0] [%places], %in2, %r
      : memref<?xf32>, vector<64x64xi32>, vector<64x64xi1>, vector<64x64xf32>
    gpu.return
  }
}
