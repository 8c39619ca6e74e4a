// RUN: aec-opt %s --split-input-file --amd-prefetch-tiles | FileCheck %s
// RUN: aec-opt %s --split-input-file --amd-prefetch-tiles=branch=true | FileCheck %s --check-prefix=BRANCH

#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (k, n)>
#out = affine_map<(m, n, k) -> (m, n)>

// The transposed right factor of the next turn is read before this turn's product; the last turn reads its own.
// CHECK-LABEL: gpu.func @loop(
// CHECK-SAME:    %[[KEYS:[^ ]+]]: memref<?xf16>, %[[N:[^ ]+]]: index
// CHECK:         %[[ANY:.+]] = arith.cmpi slt, %{{.*}}, %[[N]] : index
// CHECK:         %[[MASK:.+]] = arith.andi %{{.*}}, %{{.*}} : vector<16x16xi1>
// CHECK:         %[[FIRST:.+]] = vector.gather %[[KEYS]]{{.*}}, %[[MASK]],
// CHECK:         %[[LAST:.+]] = arith.maxsi %{{.*}}, %{{.*}} : index
// CHECK:         scf.for %[[T:.+]] = {{.*}} iter_args(%[[SUM:.+]] = %{{.*}}, %[[TILE:.+]] = %[[FIRST]])
// CHECK:           vector.transpose %[[TILE]]
// CHECK:           %[[NEXT:.+]] = arith.addi %[[T]],
// CHECK:           %[[AHEAD:.+]] = arith.minsi %[[NEXT]], %[[LAST]] : index
// CHECK:           %[[PLACE:.+]] = arith.muli %[[AHEAD]],
// CHECK:           %[[READ:.+]] = vector.gather %[[KEYS]][%[[PLACE]]] {{.*}} {amd.ahead}
// CHECK:           %[[NEW:.+]] = vector.contract
// CHECK:           scf.yield %[[NEW]], %[[READ]]

// In a branch nothing is read where the loop has no turn.
// BRANCH-LABEL: gpu.func @loop(
// BRANCH:         %[[ANY:.+]] = arith.cmpi slt, %{{.*}}, %{{.*}} : index
// BRANCH:         scf.if %[[ANY]] -> (vector<16x16xf32>) {
// BRANCH-NOT:       arith.andi
// BRANCH:           %[[FIRST:.+]] = vector.gather
// BRANCH:           %[[SUMS:.+]]:2 = scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %[[FIRST]])
// BRANCH:           scf.yield %[[SUMS]]#0
// BRANCH:         } else {
// BRANCH:           scf.yield %{{.*}} : vector<16x16xf32>
gpu.module @kernels {
  gpu.func @loop(%keys: memref<?xf16>, %n: index, %q: vector<16x16xf16>, %offsets: vector<16x16xi32>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c256 = arith.constant 256 : index
    %all = arith.constant dense<true> : vector<16x16xi1>
    %zeros = arith.constant dense<0.0> : vector<16x16xf16>
    %start = arith.constant dense<0.0> : vector<16x16xf32>
    %r = scf.for %t = %c0 to %n step %c1 iter_args(%sum = %start) -> (vector<16x16xf32>) {
      %place = arith.muli %t, %c256 : index
      %k = vector.gather %keys[%place] [%offsets], %all, %zeros
        : memref<?xf16>, vector<16x16xi32>, vector<16x16xi1>, vector<16x16xf16> into vector<16x16xf16>
      %turned = vector.transpose %k, [1, 0] : vector<16x16xf16> to vector<16x16xf16>
      %s = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %q, %turned, %sum : vector<16x16xf16>, vector<16x16xf16> into vector<16x16xf32>
      scf.yield %s : vector<16x16xf32>
    }
    gpu.return
  }
}

// -----

#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (k, n)>
#out = affine_map<(m, n, k) -> (m, n)>

// A place that follows from what the loop carries stays in its turn.
// CHECK-LABEL: gpu.func @carried(
// CHECK:         scf.for
// CHECK:           vector.gather
// CHECK-NOT:     vector.gather
gpu.module @kernels {
  gpu.func @carried(%keys: memref<?xf16>, %n: index, %q: vector<16x16xf16>, %offsets: vector<16x16xi32>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %all = arith.constant dense<true> : vector<16x16xi1>
    %zeros = arith.constant dense<0.0> : vector<16x16xf16>
    %start = arith.constant dense<0.0> : vector<16x16xf32>
    %r:2 = scf.for %t = %c0 to %n step %c1 iter_args(%sum = %start, %place = %c0) -> (vector<16x16xf32>, index) {
      %k = vector.gather %keys[%place] [%offsets], %all, %zeros
        : memref<?xf16>, vector<16x16xi32>, vector<16x16xi1>, vector<16x16xf16> into vector<16x16xf16>
      %s = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %q, %k, %sum : vector<16x16xf16>, vector<16x16xf16> into vector<16x16xf32>
      %next = arith.addi %place, %n : index
      scf.yield %s, %next : vector<16x16xf32>, index
    }
    gpu.return
  }
}
