// RUN: aec-opt %s --allow-unregistered-dialect --amd-use-unsigned --canonicalize | FileCheck %s

// A size, the number of a program, turns of a loop and what is computed of them are not negative; a number of the
// caller's may be, and a difference.
// CHECK-LABEL: gpu.func @kernel(
// CHECK-SAME:    %[[SIZE:[^ ]+]]: i32, %[[ANY:[^ ]+]]: i32, %[[OUT:[^ ]+]]: memref<?xi32>
// CHECK:         %[[ID:.+]] = arith.index_cast %{{.*}} : index to i32
// CHECK:         arith.divui %[[ID]], %[[SIZE]] : i32
// CHECK:         arith.remui %[[ID]], %[[SIZE]] : i32
// CHECK:         arith.divsi %[[ID]], %[[ANY]] : i32
// CHECK:         %[[LESS:.+]] = arith.subi %[[SIZE]], %[[ID]] : i32
// CHECK:         arith.remsi %[[LESS]], %[[SIZE]] : i32
// CHECK:         %[[MOST:.+]] = arith.maxsi %[[LESS]], %{{.*}} : i32
// CHECK:         arith.divui %[[MOST]], %[[SIZE]] : i32
// CHECK:         scf.for %[[T:.+]] = {{.*}} : i32
// CHECK:           arith.divui %[[T]], %[[SIZE]] : i32
// CHECK-NOT:     arith.cmpi
// CHECK:         gpu.return

// How many of 64 rows are left, in 32 bits: of a size. A number of the caller's may be below 0, and all bits be used.
// CHECK-LABEL: gpu.func @left(
// CHECK-SAME:    %[[SIZE:[^ ]+]]: i32, %[[ANY:[^ ]+]]: i32
// CHECK:         %[[LEFT:.+]] = arith.subi %[[SIZE]], %[[ANY]] : i32
// CHECK-NEXT:    %[[ROWS:.+]] = arith.minui %[[LEFT]], %{{.*}} : i32
// CHECK-NEXT:    memref.store %[[ROWS]]
// CHECK:         arith.minui %{{.*}} : i64
// CHECK:         arith.minui %{{.*}} : i64
gpu.module @kernels {
  gpu.func @kernel(%size: i32, %any: i32, %o: memref<?xi32>) kernel attributes {tt_host.sizes = array<i64: 0>} {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %at = arith.constant 0 : index
    %block = gpu.block_id x
    %id = arith.index_cast %block : index to i32
    %a = arith.divsi %id, %size : i32
    memref.store %a, %o[%at] : memref<?xi32>
    %b = arith.remsi %id, %size : i32
    memref.store %b, %o[%at] : memref<?xi32>
    %c = arith.divsi %id, %any : i32
    memref.store %c, %o[%at] : memref<?xi32>
    %less = arith.subi %size, %id : i32
    %d = arith.remsi %less, %size : i32
    memref.store %d, %o[%at] : memref<?xi32>
    %most = arith.maxsi %less, %c0 : i32
    %e = arith.divsi %most, %size : i32
    %is_negative = arith.cmpi slt, %e, %c0 : i32
    %f = arith.select %is_negative, %c1, %e : i32
    memref.store %f, %o[%at] : memref<?xi32>
    scf.for %t = %c0 to %size step %c1 : i32 {
      %g = arith.divsi %t, %size : i32
      memref.store %g, %o[%at] : memref<?xi32>
    }
    gpu.return
  }

  gpu.func @left(%size: i32, %any: i32, %o: memref<?xi32>, %w: memref<?xi64>) kernel attributes {tt_host.sizes = array<i64: 0>} {
    %at = arith.constant 0 : index
    %c64 = arith.constant 64 : i64
    %wide_size = arith.extsi %size : i32 to i64
    %wide_any = arith.extsi %any : i32 to i64
    %left = arith.subi %wide_size, %wide_any : i64
    %least = arith.minui %left, %c64 : i64
    %rows = arith.trunci %least : i64 to i32
    memref.store %rows, %o[%at] : memref<?xi32>
    %below = arith.subi %wide_any, %wide_size : i64
    %other = arith.minui %below, %c64 : i64
    %cut = arith.trunci %other : i64 to i32
    memref.store %cut, %o[%at] : memref<?xi32>
    %c63 = arith.constant 63 : i64
    %all = arith.minui %left, %c63 : i64
    memref.store %all, %w[%at] : memref<?xi64>
    gpu.return
  }
}
