// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-order-grid{xcds=8})' | FileCheck %s
// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-order-grid{xcds=1})' | FileCheck %s --check-prefix=ONE

// Block d + 8 i is program d q + min(d, r) + i of 8 q + r.
// CHECK-LABEL: gpu.func @kernel
// CHECK:         %[[ID:.+]] = gpu.block_id x
// CHECK:         %[[BLOCK:.+]] = arith.index_cast %[[ID]] : index to i32
// CHECK:         %[[DIM:.+]] = gpu.grid_dim x
// CHECK:         %[[COUNT:.+]] = arith.index_cast %[[DIM]] : index to i32
// CHECK:         %[[D:.+]] = arith.remui %[[BLOCK]], %[[DIES:.+]] : i32
// CHECK:         %[[I:.+]] = arith.divui %[[BLOCK]], %[[DIES]] : i32
// CHECK:         %[[Q:.+]] = arith.divui %[[COUNT]], %[[DIES]] : i32
// CHECK:         %[[R:.+]] = arith.remui %[[COUNT]], %[[DIES]] : i32
// CHECK:         %[[RUNS:.+]] = arith.muli %[[D]], %[[Q]] : i32
// CHECK:         %[[LONGER:.+]] = arith.minui %[[D]], %[[R]] : i32
// CHECK:         %[[FIRST:.+]] = arith.addi %[[RUNS]], %[[LONGER]] : i32
// CHECK:         %[[NUMBER:.+]] = arith.addi %[[FIRST]], %[[I]] : i32
// CHECK:         %[[NEW:.+]] = arith.index_cast %[[NUMBER]] : i32 to index
// CHECK:         arith.index_cast %[[NEW]] : index to i64
// ONE:         %[[ID:.+]] = gpu.block_id x
// ONE-NEXT:    arith.index_cast %[[ID]] : index to i64
gpu.module @kernels {
  gpu.func @kernel(%o: memref<?xi64>) kernel {
    %c0 = arith.constant 0 : index
    %id = gpu.block_id x
    %n = arith.index_cast %id : index to i64
    memref.store %n, %o[%c0] : memref<?xi64>
    gpu.return
  }
}
