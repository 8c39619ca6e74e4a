// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx942 waves=4},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx950 waves=4},canonicalize,cse)' | FileCheck %s --check-prefix=GFX950
// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx942 waves=2 matrix=32},canonicalize,cse)' | FileCheck %s --check-prefix=WIDE

// The left factor goes to registers, since waves have rows of their own; the right one through local memory,
// turned, with rows of 80 elements and a gap after 16. Bytes behind each pointer are parameters. The first tile reaches 63 rows, of
// as many elements as parameter 3 says, and one row.
// CHECK-LABEL: gpu.func @product(
// CHECK-SAME:    %[[A:[^ ]+]]: !llvm.ptr<1>, %[[B:[^ ]+]]: !llvm.ptr<1>, %[[O:[^ ]+]]: !llvm.ptr<1>, %{{[^ ]+}}: i64,
// CHECK-SAME:    %[[BYTES_A:[^ ]+]]: i64, %[[BYTES_B:[^ ]+]]: i64, %[[BYTES_O:[^ ]+]]: i64)
// CHECK-SAME:    workgroup(%[[LDS:[^ ]+]] : memref<10320xi8, #gpu.address_space<workgroup>>) kernel
// CHECK-SAME:    amd.reach = [{pointer = 0 : i64, terms = [array<i64: 128>, array<i64: 126, 3>]},
// CHECK-SAME:    amd.shared_bytes = 10320 : i64
// CHECK-SAME:    known_block_size = array<i32: 256, 1, 1>
// CHECK:         %[[LEFT:[^ ]+]] = rocdl.make.buffer.rsrc %[[A]],
// CHECK-COUNT-2: rocdl.raw.ptr.buffer.load %[[LEFT]], %{{.*}} : vector<4xi32>
// CHECK:         %[[RIGHT:[^ ]+]] = rocdl.make.buffer.rsrc %[[B]],
// CHECK-COUNT-4: rocdl.raw.ptr.buffer.load %[[RIGHT]], %{{.*}} : vector<2xi32>
// CHECK:         %[[VIEW:[^ ]+]] = memref.view %[[LDS]][%{{.*}}][] : {{.*}} to memref<5160xf16, #gpu.address_space<workgroup>>
// CHECK-COUNT-4: vector.store %{{.*}}, %[[VIEW]]{{.*}} {alignment = 8 : i64} : {{.*}}, vector<4xf16>
// CHECK-COUNT-8: vector.load %[[VIEW]]{{.*}} {alignment = 16 : i64} : {{.*}}, vector<8xf16>
// CHECK-COUNT-16: amdgpu.mfma 16x16x16 %{{.*}} : vector<4xf16>, vector<4xf16>, vector<4xf32>
// CHECK-COUNT-4: rocdl.raw.ptr.buffer.store %{{.*}} : vector<4xi32>
// CHECK-NOT:     vector<64x64

// GFX950-LABEL:    gpu.func @product(
// GFX950-COUNT-8:  amdgpu.mfma 16x16x32 %{{.*}} : vector<8xf16>, vector<8xf16>, vector<4xf32>
// GFX950-NOT:      amdgpu.mfma

// WIDE-LABEL:    gpu.func @product(
// WIDE-SAME:       known_block_size = array<i32: 128, 1, 1>
// WIDE-COUNT-16: amdgpu.mfma 32x32x8 %{{.*}} : vector<4xf16>, vector<4xf16>, vector<16xf32>
// WIDE-NOT:      amdgpu.mfma
gpu.module @kernels {
  gpu.func @product(%a: memref<?xf16>, %b: memref<?xf16>, %o: memref<?xf32>, %n: i64) kernel
      attributes {amd.divisibility = array<i64: 16, 16, 16, 8>} {
    %c0 = arith.constant 0 : index
    %zeros = arith.constant dense<0.0> : vector<64x64xf16>
    %start = arith.constant dense<0.0> : vector<64x64xf32>
    %all = arith.constant dense<true> : vector<64x64xi1>
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi64>
    %stride = vector.broadcast %n : i64 to vector<64xi64>
    %rows = arith.muli %i, %stride : vector<64xi64>
    %rows1 = vector.shape_cast %rows : vector<64xi64> to vector<64x1xi64>
    %rows2 = vector.broadcast %rows1 : vector<64x1xi64> to vector<64x64xi64>
    %columns = vector.broadcast %i : vector<64xi64> to vector<64x64xi64>
    %places = arith.addi %rows2, %columns : vector<64x64xi64>
    %x = vector.gather %a[%c0] [%places], %all, %zeros
      : memref<?xf16>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf16> into vector<64x64xf16>
    %y = vector.gather %b[%c0] [%places], %all, %zeros
      : memref<?xf16>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf16> into vector<64x64xf16>
    %z = vector.contract {
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                       affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>
    } %x, %y, %start : vector<64x64xf16>, vector<64x64xf16> into vector<64x64xf32>
    vector.scatter %o[%c0] [%places], %all, %z
      : memref<?xf32>, vector<64x64xi64>, vector<64x64xi1>, vector<64x64xf32>
    gpu.return
  }
}
