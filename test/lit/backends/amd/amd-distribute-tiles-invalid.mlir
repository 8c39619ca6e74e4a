// RUN: aec-opt %s --split-input-file --verify-diagnostics --amd-distribute-tiles
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{waves=3})' 2>&1 | FileCheck %s --check-prefix=WAVES
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{matrix=8})' 2>&1 | FileCheck %s --check-prefix=MATRIX
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-distribute-tiles{chip=gfx900})' 2>&1 | FileCheck %s --check-prefix=CHIP

// WAVES: expects waves to be 1, 2, 4, 8 or 16, got 3
// MATRIX: expects matrix to be 0, 16 or 32, got 8
// CHIP: unknown target 'amd:gfx900'

gpu.module @kernels {
  gpu.func @bytes(%o: memref<?xi32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    %a = arith.constant dense<0> : vector<16x16xi8>
    %start = arith.constant dense<0> : vector<16x16xi32>
    // expected-error @+1 {{'vector.contract' op unsupported: no matrix instruction of gfx942 for 16 x 16 x 16 of i8}}
    %c = vector.contract {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>} %a, %a, %start : vector<16x16xi8>, vector<16x16xi8> into vector<16x16xi32>
    %i = arith.constant dense<0> : vector<16x16xi32>
    %all = arith.constant dense<true> : vector<16x16xi1>
    vector.scatter %o[%c0] [%i], %all, %c : memref<?xi32>, vector<16x16xi32>, vector<16x16xi1>, vector<16x16xi32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @backwards(%p: memref<?xi32>, %o: memref<?xi32>) kernel attributes {amd.divisibility = array<i64: 16, 16>} {
    %c0 = arith.constant 0 : index
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %most = arith.constant dense<63> : vector<64xi32>
    %back = arith.subi %most, %i : vector<64xi32>
    %all = arith.constant dense<true> : vector<64xi1>
    %zeros = arith.constant dense<0> : vector<64xi32>
    // expected-error @+1 {{'vector.gather' op unsupported: positions that go backwards in memory}}
    %x = vector.gather %p[%c0] [%back], %all, %zeros : memref<?xi32>, vector<64xi32>, vector<64xi1>, vector<64xi32> into vector<64xi32>
    vector.scatter %o[%c0] [%i], %all, %x : memref<?xi32>, vector<64xi32>, vector<64xi1>, vector<64xi32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @constants(%o: memref<?xi32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    %step = vector.step : vector<4xindex>
    %i = arith.index_cast %step : vector<4xindex> to vector<4xi32>
    %all = arith.constant dense<true> : vector<4xi1>
    // expected-error @+1 {{'arith.constant' op unsupported: a tile of several constants}}
    %x = arith.constant dense<[1, 2, 3, 4]> : vector<4xi32>
    vector.scatter %o[%c0] [%i], %all, %x : memref<?xi32>, vector<4xi32>, vector<4xi1>, vector<4xi32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @compress(%o: memref<?xi32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    %step = vector.step : vector<64xindex>
    %i = arith.index_cast %step : vector<64xindex> to vector<64xi32>
    %all = arith.constant dense<true> : vector<64xi1>
    // expected-error @+1 {{'vector.interleave' op unsupported: an operation on tiles that lanes don't know}}
    %x = vector.interleave %i, %i : vector<64xi32> -> vector<128xi32>
    %steps = vector.step : vector<128xindex>
    %j = arith.index_cast %steps : vector<128xindex> to vector<128xi32>
    %alls = arith.constant dense<true> : vector<128xi1>
    vector.scatter %o[%c0] [%j], %alls, %x : memref<?xi32>, vector<128xi32>, vector<128xi1>, vector<128xi32>
    gpu.return
  }
}
