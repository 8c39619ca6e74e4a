// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx950 waves=1 near=true direct=true},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx950 waves=1 near=true},canonicalize,cse)' | FileCheck %s --check-prefix=REGISTERS
// RUN: not aec-opt %s --split-input-file --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx942 direct=true})' 2>&1 | FileCheck %s --check-prefix=CHIP

// CHIP: expects direct for a chip that loads 16 bytes into LDS, got gfx942

// What a loop reads ahead for a product goes into one of two copies in local memory, 2112 bytes apart, while the
// other one is read: two lines of 1024 bytes, 32 apart. Reads turn four rows each. The copies change places.
// CHECK-LABEL: gpu.func @turned(
// CHECK-SAME:    %[[V:[^ ]+]]: !llvm.ptr<1>
// CHECK-SAME:    workgroup(%[[LDS:[^ ]+]] : memref<4224xi8, #gpu.address_space<workgroup>>)
// CHECK-SAME:    amd.shared_bytes = 4224 : i64
// CHECK-DAG:     %[[C0:.+]] = arith.constant 0 : i32
// CHECK-DAG:     %[[APART:.+]] = arith.constant 2112 : i32
// CHECK-DAG:     %[[LINE:.+]] = arith.constant 1056 : i32
// CHECK-DAG:     %[[BYTES:.+]] = arith.constant 16 : i32
// CHECK:         %[[FIRST:.+]] = rocdl.make.buffer.rsrc %[[V]],
// CHECK:         memref.extract_aligned_pointer_as_index %[[LDS]]
// CHECK:         rocdl.raw.ptr.buffer.load.lds %[[FIRST]], %{{.+}}, %[[BYTES]], %{{.+}}, 0 {amd.copy = 0 : i64}
// CHECK:         rocdl.raw.ptr.buffer.load.lds %[[FIRST]], %{{.+}}, %[[BYTES]], %{{.+}}, 0 {amd.copy = 0 : i64}
// CHECK:         scf.for %{{.+}} iter_args(%[[TURN:.+]] = %[[C0]], %{{.+}}) -> (i32, vector<4xf32>, vector<4xf32>)
// CHECK:           %[[NEXT:.+]] = arith.subi %[[APART]], %[[TURN]] : i32
// CHECK:           arith.addi %{{.+}}, %[[NEXT]] : i32
// CHECK-COUNT-2:   rocdl.raw.ptr.buffer.load.lds %{{.+}} {amd.copy = 1 : i64}
// CHECK:           arith.addi %{{.+}}, %[[TURN]] : i32
// CHECK-COUNT-4:   rocdl.ds.read.tr16.b64 %{{.+}} {amd.copy = 0 : i64} : <3> -> vector<4xf16>
// CHECK-COUNT-2:   amdgpu.mfma 16x16x32
// CHECK:           scf.yield %[[NEXT]],
// CHECK-NOT:     vector.store

// REGISTERS-LABEL: gpu.func @turned(
// REGISTERS:         scf.for %{{.+}} vector<4xf16>,
// REGISTERS:           rocdl.raw.ptr.buffer.load %{{.+}} {amd.ahead}
// REGISTERS-NOT:     buffer.load.lds
#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (k, n)>
#out = affine_map<(m, n, k) -> (m, n)>
gpu.module @kernels {
  gpu.func @turned(%v: memref<?xf16>, %o: memref<?xf32>, %n: index) kernel attributes {amd.divisibility = array<i64: 16, 16, 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %last = arith.subi %n, %c1 : index
    %all = arith.constant dense<true> : vector<32x32xi1>
    %some = arith.constant dense<true> : vector<16x32xi1>
    %zeros = arith.constant dense<0.0> : vector<32x32xf16>
    %start = arith.constant dense<0.0> : vector<16x32xf32>
    %p = arith.constant dense<1.0> : vector<16x32xf16>
    %c32 = arith.constant dense<32> : vector<32x1xi32>
    %step = vector.step : vector<32xindex>
    %i32 = arith.index_cast %step : vector<32xindex> to vector<32xi32>
    %rows = vector.shape_cast %i32 : vector<32xi32> to vector<32x1xi32>
    %starts = arith.muli %rows, %c32 : vector<32x1xi32>
    %wide = vector.broadcast %starts : vector<32x1xi32> to vector<32x32xi32>
    %columns = vector.broadcast %i32 : vector<32xi32> to vector<32x32xi32>
    %offsets = arith.addi %wide, %columns : vector<32x32xi32>
    %first = vector.gather %v[%c0] [%offsets], %all, %zeros
      : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
    %sum:2 = scf.for %t = %c0 to %n step %c1 iter_args(%so = %start, %tile = %first)
        -> (vector<16x32xf32>, vector<32x32xf16>) {
      %after = arith.addi %t, %c1 : index
      %ahead = arith.minsi %after, %last : index
      %place = arith.muli %ahead, %c1024 : index
      %next = vector.gather %v[%place] [%offsets], %all, %zeros {amd.ahead}
        : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
      %s = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %p, %tile, %so : vector<16x32xf16>, vector<32x32xf16> into vector<16x32xf32>
      scf.yield %s, %next : vector<16x32xf32>, vector<32x32xf16>
    }
    %sixteen = vector.step : vector<16xindex>
    %low = arith.index_cast %sixteen : vector<16xindex> to vector<16xi32>
    %low_rows = vector.shape_cast %low : vector<16xi32> to vector<16x1xi32>
    %c32x16 = arith.constant dense<32> : vector<16x1xi32>
    %low_starts = arith.muli %low_rows, %c32x16 : vector<16x1xi32>
    %low_wide = vector.broadcast %low_starts : vector<16x1xi32> to vector<16x32xi32>
    %low_columns = vector.broadcast %i32 : vector<32xi32> to vector<16x32xi32>
    %places = arith.addi %low_wide, %low_columns : vector<16x32xi32>
    vector.scatter %o[%c0] [%places], %some, %sum#0
      : memref<?xf32>, vector<16x32xi32>, vector<16x32xi1>, vector<16x32xf32>
    gpu.return
  }
}

// -----

// Each of the tiles of a loop is loaded along the dimension in which its own elements follow each other: what
// products sum along is read 8 at a time where it is that one, and turned where it is the other.
// CHECK-LABEL: gpu.func @along_either(
// CHECK:         scf.for
// CHECK-COUNT-4:   rocdl.raw.ptr.buffer.load.lds
// CHECK-COUNT-2:   llvm.load %{{.+}} -> vector<8xf16>
// CHECK-COUNT-2:   amdgpu.mfma 16x16x32
// CHECK-NOT:       llvm.load
// CHECK-COUNT-4:   rocdl.ds.read.tr16.b64
// CHECK-COUNT-2:   amdgpu.mfma 16x16x32
// CHECK-NOT:       llvm.load
// CHECK:           scf.yield
#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (k, n)>
#out = affine_map<(m, n, k) -> (m, n)>
gpu.module @kernels {
  gpu.func @along_either(%a: memref<?xf16>, %b: memref<?xf16>, %o: memref<?xf32>, %n: index) kernel
      attributes {amd.divisibility = array<i64: 16, 16, 16, 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c1024 = arith.constant 1024 : index
    %all = arith.constant dense<true> : vector<32x32xi1>
    %some = arith.constant dense<true> : vector<16x32xi1>
    %zeros = arith.constant dense<0.0> : vector<32x32xf16>
    %start = arith.constant dense<0.0> : vector<16x32xf32>
    %p = arith.constant dense<1.0> : vector<16x32xf16>
    %c32 = arith.constant dense<32> : vector<32x32xi32>
    %step = vector.step : vector<32xindex>
    %i32 = arith.index_cast %step : vector<32xindex> to vector<32xi32>
    %column = vector.shape_cast %i32 : vector<32xi32> to vector<32x1xi32>
    %rows = vector.broadcast %column : vector<32x1xi32> to vector<32x32xi32>
    %columns = vector.broadcast %i32 : vector<32xi32> to vector<32x32xi32>
    %far_columns = arith.muli %columns, %c32 : vector<32x32xi32>
    %down = arith.addi %rows, %far_columns : vector<32x32xi32>
    %far_rows = arith.muli %rows, %c32 : vector<32x32xi32>
    %across = arith.addi %far_rows, %columns : vector<32x32xi32>
    %first_a = vector.gather %a[%c0] [%down], %all, %zeros
      : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
    %first_b = vector.gather %b[%c0] [%across], %all, %zeros
      : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
    %sum:3 = scf.for %t = %c0 to %n step %c1 iter_args(%so = %start, %ta = %first_a, %tb = %first_b)
        -> (vector<16x32xf32>, vector<32x32xf16>, vector<32x32xf16>) {
      %place = arith.muli %t, %c1024 : index
      %next_a = vector.gather %a[%place] [%down], %all, %zeros {amd.ahead}
        : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
      %next_b = vector.gather %b[%place] [%across], %all, %zeros {amd.ahead}
        : memref<?xf16>, vector<32x32xi32>, vector<32x32xi1>, vector<32x32xf16> into vector<32x32xf16>
      %s = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %p, %ta, %so : vector<16x32xf16>, vector<32x32xf16> into vector<16x32xf32>
      %r = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %p, %tb, %s : vector<16x32xf16>, vector<32x32xf16> into vector<16x32xf32>
      scf.yield %r, %next_a, %next_b : vector<16x32xf32>, vector<32x32xf16>, vector<32x32xf16>
    }
    %sixteen = vector.step : vector<16xindex>
    %low = arith.index_cast %sixteen : vector<16xindex> to vector<16xi32>
    %low_rows = vector.shape_cast %low : vector<16xi32> to vector<16x1xi32>
    %c32x16 = arith.constant dense<32> : vector<16x1xi32>
    %low_starts = arith.muli %low_rows, %c32x16 : vector<16x1xi32>
    %low_wide = vector.broadcast %low_starts : vector<16x1xi32> to vector<16x32xi32>
    %low_columns = vector.broadcast %i32 : vector<32xi32> to vector<16x32xi32>
    %places = arith.addi %low_wide, %low_columns : vector<16x32xi32>
    vector.scatter %o[%c0] [%places], %some, %sum#0
      : memref<?xf32>, vector<16x32xi32>, vector<16x32xi1>, vector<16x32xf32>
    gpu.return
  }
}
