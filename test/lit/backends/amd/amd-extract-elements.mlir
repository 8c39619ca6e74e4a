// RUN: aec-opt %s --split-input-file --amd-extract-elements --canonicalize --cse | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(amd-extract-elements,canonicalize,cse,amd-distribute-tiles{chip=gfx942 waves=1},canonicalize,cse)' | FileCheck %s --check-prefix=LANES

// A column at a place that a loop counts is taken. A sum with 0 is left, which a sum of zeros and -0.0 is as well.
// Of the 16 registers of a lane four bits of the place choose one; two others say which lane has it.
// CHECK-LABEL: gpu.func @column(
// CHECK-DAG:     %[[ZERO:.+]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK:         %[[X:.+]] = vector.gather
// CHECK:         scf.for %[[T:[^ ]+]] = %{{.+}} to %{{.+}} step
// CHECK-NOT:       arith.cmpi
// CHECK-DAG:       %[[TURNED:.+]] = vector.transpose %[[X]], [1, 0] : vector<16x64xf32> to vector<64x16xf32>
// CHECK-DAG:       %[[PLACE:.+]] = arith.index_cast %[[T]] : i32 to index
// CHECK:           %[[TAKEN:.+]] = vector.extract %[[TURNED]][%[[PLACE]]] : vector<16xf32> from vector<64x16xf32>
// CHECK-NEXT:      arith.addf %[[TAKEN]], %[[ZERO]] : vector<16xf32>
// CHECK-NOT:     vector.multi_reduction
// LANES-LABEL: gpu.func @column(
// LANES:         scf.for %[[T:[^ ]+]] = %
// LANES:           %[[BIT:.+]] = arith.andi %[[T]], %{{.+}} : i32
// LANES-NEXT:      %[[IS_SET:.+]] = arith.cmpi ne, %[[BIT]], %{{.+}} : i32
// LANES-COUNT-3:   arith.cmpi ne, {{.+}} : i32
// LANES-NOT:       arith.cmpi
// LANES-COUNT-14:  arith.select {{.+}} : f32
// LANES-NEXT:      %[[OWN:.+]] = arith.select %[[IS_SET]], {{.+}} : f32
// LANES-NOT:       arith.select
// LANES:           arith.andi %[[T]], %{{.+}} : i32
// LANES:           rocdl.ds_bpermute
// LANES-NOT:       gpu.shuffle
// LANES-NOT:       rocdl.ds_bpermute
gpu.module @kernels {
  gpu.func @column(%a: memref<?xf32>, %o: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16, 16>} {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %n = arith.constant 64 : i32
    %start = arith.constant dense<-0.0> : vector<16xf32>
    %low = arith.constant dense<1.0> : vector<16xf32>
    %zeros = arith.constant dense<0.0> : vector<16x64xf32>
    %all = arith.constant dense<true> : vector<16x64xi1>
    %some = arith.constant dense<true> : vector<16xi1>
    %step = vector.step : vector<64xindex>
    %j = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %short = vector.step : vector<16xindex>
    %i = arith.index_cast %short : vector<16xindex> to vector<16xi32>
    %c64 = arith.constant dense<64> : vector<16xi32>
    %rows = arith.muli %i, %c64 : vector<16xi32>
    %rows1 = vector.shape_cast %rows : vector<16xi32> to vector<16x1xi32>
    %rows2 = vector.broadcast %rows1 : vector<16x1xi32> to vector<16x64xi32>
    %columns = vector.broadcast %j : vector<64xi32> to vector<16x64xi32>
    %places = arith.addi %rows2, %columns : vector<16x64xi32>
    %x = vector.gather %a[%c0] [%places], %all, %zeros
      : memref<?xf32>, vector<16x64xi32>, vector<16x64xi1>, vector<16x64xf32> into vector<16x64xf32>
    %r = scf.for %t = %z to %n step %one iter_args(%m = %low) -> (vector<16xf32>) : i32 {
      %ts = vector.broadcast %t : i32 to vector<64xi32>
      %here = arith.cmpi eq, %j, %ts : vector<64xi32>
      %here1 = vector.shape_cast %here : vector<64xi1> to vector<1x64xi1>
      %heres = vector.broadcast %here1 : vector<1x64xi1> to vector<16x64xi1>
      %chosen = arith.select %heres, %x, %zeros : vector<16x64xi1>, vector<16x64xf32>
      %column = vector.multi_reduction <add>, %chosen, %start [1] : vector<16x64xf32> to vector<16xf32>
      %next = arith.mulf %m, %column : vector<16xf32>
      scf.yield %next : vector<16xf32>
    }
    vector.scatter %o[%c0] [%i], %some, %r : memref<?xf32>, vector<16xi32>, vector<16xi1>, vector<16xf32>
    gpu.return
  }
}

// -----

// An element of a row of integers at a constant place, on the other side of a comparison: nothing is added. It is what lane
// 1 has in its second register, of 4 in 16 lanes.
// CHECK-LABEL: gpu.func @element(
// CHECK:         %[[X:.+]] = vector.gather
// CHECK-NEXT:    %[[TAKEN:.+]] = vector.extract %[[X]][5] : i32 from vector<64xi32>
// CHECK-NEXT:    memref.store %[[TAKEN]],
// LANES-LABEL: gpu.func @element(
// LANES-DAG:     %[[LANE:.+]] = arith.constant 1 : i32
// LANES-DAG:     %[[BYTES:.+]] = arith.constant 8 : i32
// LANES:         %[[AT:.+]] = arith.addi %{{.+}}, %[[BYTES]] : i32
// LANES-NEXT:    %[[X:.+]] = rocdl.raw.ptr.buffer.load
// LANES:         rocdl.readlane %[[X]], %[[LANE]] : (i32, i32) -> i32
gpu.module @kernels {
  gpu.func @element(%a: memref<?xi32>, %o: memref<?xi32>) kernel attributes {amd.divisibility = array<i64: 4, 4>} {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0 : i32
    %two = arith.constant dense<2> : vector<64xindex>
    %zeros = arith.constant dense<0> : vector<64xi32>
    %all = arith.constant dense<true> : vector<64xi1>
    %step = vector.step : vector<64xindex>
    %places = arith.muli %step, %two : vector<64xindex>
    %x = vector.gather %a[%c0] [%places], %all, %zeros
      : memref<?xi32>, vector<64xindex>, vector<64xi1>, vector<64xi32> into vector<64xi32>
    %c5 = arith.constant 5 : index
    %fives = vector.broadcast %c5 : index to vector<64xindex>
    %here = arith.cmpi eq, %fives, %step : vector<64xindex>
    %chosen = arith.select %here, %x, %zeros : vector<64xi1>, vector<64xi32>
    %r = vector.multi_reduction <add>, %chosen, %z [0] : vector<64xi32> to i32
    memref.store %r, %o[%c0] : memref<?xi32>
    gpu.return
  }
}

// -----

// Sums of what is 0 elsewhere by another rule are sums: a place that may be beyond the tile, one among negative zeros, one
// of several, a sum that begins elsewhere, and a maximum.
// CHECK-LABEL: gpu.func @sums(
// CHECK-COUNT-5: vector.multi_reduction
// CHECK-NOT:     vector.extract
gpu.module @kernels {
  gpu.func @sums(%x: vector<16xf32>, %p: i32, %o: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %z = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %n = arith.constant 17 : i32
    %m = arith.constant 16 : i32
    %start = arith.constant -0.0 : f32
    %first = arith.constant 1.0 : f32
    %zeros = arith.constant dense<0.0> : vector<16xf32>
    %negative = arith.constant dense<-0.0> : vector<16xf32>
    %step = vector.step : vector<16xindex>
    %i = arith.index_cast %step : vector<16xindex> to vector<16xi32>
    %a = scf.for %t = %z to %n step %one iter_args(%s = %start) -> (f32) : i32 {
      %ts = vector.broadcast %t : i32 to vector<16xi32>
      %here = arith.cmpi eq, %i, %ts : vector<16xi32>
      %chosen = arith.select %here, %x, %zeros : vector<16xi1>, vector<16xf32>
      %sum = vector.multi_reduction <add>, %chosen, %start [0] : vector<16xf32> to f32
      %next = arith.mulf %s, %sum : f32
      scf.yield %next : f32
    }
    memref.store %a, %o[%c0] : memref<?xf32>
    scf.for %t = %z to %m step %one : i32 {
      %ts = vector.broadcast %t : i32 to vector<16xi32>
      %here = arith.cmpi eq, %i, %ts : vector<16xi32>
      %behind = arith.cmpi sge, %i, %ts : vector<16xi32>
      %b = arith.select %here, %x, %negative : vector<16xi1>, vector<16xf32>
      %c = arith.select %behind, %x, %zeros : vector<16xi1>, vector<16xf32>
      %d = arith.select %here, %x, %zeros : vector<16xi1>, vector<16xf32>
      %sb = vector.multi_reduction <add>, %b, %start [0] : vector<16xf32> to f32
      %sc = vector.multi_reduction <add>, %c, %start [0] : vector<16xf32> to f32
      %sd = vector.multi_reduction <add>, %d, %first [0] : vector<16xf32> to f32
      %se = vector.multi_reduction <maximumf>, %d, %start [0] : vector<16xf32> to f32
      memref.store %sb, %o[%c0] : memref<?xf32>
      memref.store %sc, %o[%c0] : memref<?xf32>
      memref.store %sd, %o[%c0] : memref<?xf32>
      memref.store %se, %o[%c0] : memref<?xf32>
    }
    gpu.return
  }
}
