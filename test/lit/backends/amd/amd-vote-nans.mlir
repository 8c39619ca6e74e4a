// RUN: aec-opt %s --split-input-file --amd-vote-nans --canonicalize | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(amd-vote-nans,canonicalize,amd-distribute-tiles{chip=gfx942 waves=4},canonicalize,cse)' | FileCheck %s --check-prefix=LANES

// Multiples by 0 are 0 or NaN. A lane adds its own, then there is one comparison of each lane, no exchange between lanes,
// and one number of each wave in local memory.
// CHECK-LABEL: gpu.func @is_finite(
// CHECK:         %[[X:[^ ]+]] = vector.gather
// CHECK:         %[[ZEROS:[^ ]+]] = arith.mulf %[[X]], %{{.*}} : vector<64x64xf32>
// CHECK-NEXT:    %[[SUM:[^ ]+]] = vector.multi_reduction <add>, %[[ZEROS]], %{{.*}} {amd.vote} [0, 1] : vector<64x64xf32> to f32
// CHECK-NEXT:    arith.cmpf oeq, %[[SUM]], %{{.*}} : f32
// LANES-LABEL: gpu.func @is_finite(
// LANES-NOT:     gpu.shuffle
// LANES:         %[[IS:[^ ]+]] = arith.cmpf uno, %[[OWN:[^ ]+]], %[[OWN]] : f32
// LANES-NEXT:    %[[LANES:[^ ]+]] = rocdl.ballot %[[IS]] : i64
// LANES-NEXT:    arith.cmpi ne, %[[LANES]], %{{.*}} : i64
// LANES:         memref.store %{{.*}} : memref<4xi32, #gpu.address_space<workgroup>>
// LANES:         arith.ori %{{.*}} : i32
// LANES:         rocdl.readfirstlane
gpu.module @kernels {
  gpu.func @is_finite(%a: memref<?xf32>, %o: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16, 16>} {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %start = arith.constant -0.0 : f32
    %starts = arith.constant dense<-0.0> : vector<64xf32>
    %zeros = arith.constant dense<0.0> : vector<64x64xf32>
    %all = arith.constant dense<true> : vector<64x64xi1>
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %c64 = arith.constant dense<64> : vector<64xi32>
    %rows = arith.muli %i, %c64 : vector<64xi32>
    %rows1 = vector.shape_cast %rows : vector<64xi32> to vector<64x1xi32>
    %rows2 = vector.broadcast %rows1 : vector<64x1xi32> to vector<64x64xi32>
    %columns = vector.broadcast %i : vector<64xi32> to vector<64x64xi32>
    %places = arith.addi %rows2, %columns : vector<64x64xi32>
    %x = vector.gather %a[%c0] [%places], %all, %zeros
      : memref<?xf32>, vector<64x64xi32>, vector<64x64xi1>, vector<64x64xf32> into vector<64x64xf32>
    %products = arith.mulf %x, %zeros : vector<64x64xf32>
    %sums = vector.multi_reduction <add>, %products, %starts [1] : vector<64x64xf32> to vector<64xf32>
    %sum = vector.multi_reduction <add>, %sums, %start [0] : vector<64xf32> to f32
    %is = arith.cmpf oeq, %sum, %zero : f32
    %y = scf.if %is -> (f32) {
      scf.yield %zero : f32
    } else {
      scf.yield %one : f32
    }
    memref.store %y, %o[%c0] : memref<?xf32>
    gpu.return
  }
}

// -----

// Sums of other numbers, sums that are compared with another number, in another way or used, and rows that are used, are
// sums.
// CHECK-LABEL: gpu.func @sums(
// CHECK-NOT:     amd.vote
gpu.module @kernels {
  gpu.func @sums(%x: vector<16xf32>, %y: vector<16x16xf32>, %o: memref<?xi1>, %p: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %start = arith.constant -0.0 : f32
    %starts = arith.constant dense<-0.0> : vector<16xf32>
    %twos = arith.constant dense<2.0> : vector<16xf32>
    %zeros = arith.constant dense<0.0> : vector<16xf32>
    %tile = arith.constant dense<0.0> : vector<16x16xf32>
    %doubled = arith.mulf %x, %twos : vector<16xf32>
    %a = vector.multi_reduction <add>, %doubled, %start [0] : vector<16xf32> to f32
    %b = arith.cmpf oeq, %a, %zero : f32
    memref.store %b, %o[%c0] : memref<?xi1>
    %nothing = arith.mulf %x, %zeros : vector<16xf32>
    %c = vector.multi_reduction <add>, %nothing, %start [0] : vector<16xf32> to f32
    %d = arith.cmpf oeq, %c, %one : f32
    memref.store %d, %o[%c0] : memref<?xi1>
    %e = vector.multi_reduction <add>, %nothing, %one [0] : vector<16xf32> to f32
    %f = arith.cmpf oeq, %e, %zero : f32
    memref.store %f, %o[%c0] : memref<?xi1>
    %g = vector.multi_reduction <add>, %nothing, %start [0] : vector<16xf32> to f32
    %h = arith.cmpf olt, %g, %zero : f32
    memref.store %h, %o[%c0] : memref<?xi1>
    memref.store %g, %p[%c0] : memref<?xf32>
    %nothings = arith.mulf %y, %tile : vector<16x16xf32>
    %rows = vector.multi_reduction <add>, %nothings, %starts [1] : vector<16x16xf32> to vector<16xf32>
    %total = vector.multi_reduction <add>, %rows, %start [0] : vector<16xf32> to f32
    %i = arith.cmpf oeq, %total, %zero : f32
    memref.store %i, %o[%c0] : memref<?xi1>
    %again = arith.mulf %rows, %twos : vector<16xf32>
    %j = vector.multi_reduction <add>, %again, %start [0] : vector<16xf32> to f32
    memref.store %j, %p[%c0] : memref<?xf32>
    gpu.return
  }
}
