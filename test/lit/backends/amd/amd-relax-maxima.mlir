// RUN: aec-opt %s --split-input-file --amd-relax-maxima | FileCheck %s

#left = affine_map<(m, n, k) -> (m, k)>
#right = affine_map<(m, n, k) -> (k, n)>
#out = affine_map<(m, n, k) -> (m, n)>

// A row with a NaN has a NaN among its weights, and so in its sum and in all of its results.
// CHECK-LABEL: gpu.func @softmax(
// CHECK:         vector.multi_reduction <maxnumf>
// CHECK:         arith.maxnumf
// CHECK-NOT:     maximumf
gpu.module @kernels {
  gpu.func @softmax(%scores: vector<16x16xf32>, %v: vector<16x16xf32>, %o: memref<?xf32>, %offsets: vector<16x16xi32>, %n: index) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %all = arith.constant dense<true> : vector<16x16xi1>
    %low = arith.constant dense<0xFF800000> : vector<16xf32>
    %none = arith.constant dense<0.0> : vector<16xf32>
    %zeros = arith.constant dense<0.0> : vector<16x16xf32>
    %r:3 = scf.for %t = %c0 to %n step %c1 iter_args(%m = %low, %l = %none, %acc = %zeros) -> (vector<16xf32>, vector<16xf32>, vector<16x16xf32>) {
      %s = arith.addf %scores, %scores : vector<16x16xf32>
      %max = vector.multi_reduction <maximumf>, %s, %low [1] : vector<16x16xf32> to vector<16xf32>
      %m1 = arith.maximumf %m, %max : vector<16xf32>
      %column = vector.shape_cast %m1 : vector<16xf32> to vector<16x1xf32>
      %rows = vector.broadcast %column : vector<16x1xf32> to vector<16x16xf32>
      %d = arith.subf %s, %rows : vector<16x16xf32>
      %p = math.exp2 %d : vector<16x16xf32>
      %sum = vector.multi_reduction <add>, %p, %none [1] : vector<16x16xf32> to vector<16xf32>
      %dm = arith.subf %m, %m1 : vector<16xf32>
      %alpha = math.exp2 %dm : vector<16xf32>
      %l0 = arith.mulf %alpha, %l : vector<16xf32>
      %l1 = arith.addf %l0, %sum : vector<16xf32>
      %alphas1 = vector.shape_cast %alpha : vector<16xf32> to vector<16x1xf32>
      %alphas = vector.broadcast %alphas1 : vector<16x1xf32> to vector<16x16xf32>
      %acc0 = arith.mulf %acc, %alphas : vector<16x16xf32>
      %acc1 = vector.contract {indexing_maps = [#left, #right, #out],
          iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>}
        %p, %v, %acc0 : vector<16x16xf32>, vector<16x16xf32> into vector<16x16xf32>
      scf.yield %m1, %l1, %acc1 : vector<16xf32>, vector<16xf32>, vector<16x16xf32>
    }
    %l1 = vector.shape_cast %r#1 : vector<16xf32> to vector<16x1xf32>
    %ls = vector.broadcast %l1 : vector<16x1xf32> to vector<16x16xf32>
    %result = arith.divf %r#2, %ls : vector<16x16xf32>
    vector.scatter %o[%c0] [%offsets], %all, %result : memref<?xf32>, vector<16x16xi32>, vector<16x16xi1>, vector<16x16xf32>
    gpu.return
  }
}

// -----

// The maximum itself is a result.
// CHECK-LABEL: gpu.func @maximum(
// CHECK:         vector.multi_reduction <maximumf>
// CHECK:         arith.maximumf
// CHECK-NOT:     maxnumf
gpu.module @kernels {
  gpu.func @maximum(%scores: vector<16x16xf32>, %o: memref<?xf32>, %offsets: vector<16xi32>, %n: index) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %all = arith.constant dense<true> : vector<16xi1>
    %low = arith.constant dense<0xFF800000> : vector<16xf32>
    %r = scf.for %t = %c0 to %n step %c1 iter_args(%m = %low) -> (vector<16xf32>) {
      %max = vector.multi_reduction <maximumf>, %scores, %low [1] : vector<16x16xf32> to vector<16xf32>
      %m1 = arith.maximumf %m, %max : vector<16xf32>
      scf.yield %m1 : vector<16xf32>
    }
    vector.scatter %o[%c0] [%offsets], %all, %r : memref<?xf32>, vector<16xi32>, vector<16xi1>, vector<16xf32>
    gpu.return
  }
}

// -----

// Weights of a product whose rows are others' columns say nothing of the rows of the result.
// CHECK-LABEL: gpu.func @turned(
// CHECK:         vector.multi_reduction <maximumf>
// CHECK-NOT:     maxnumf
gpu.module @kernels {
  gpu.func @turned(%scores: vector<16x16xf32>, %o: memref<?xf32>, %offsets: vector<16xi32>, %n: index) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %all = arith.constant dense<true> : vector<16xi1>
    %low = arith.constant dense<0xFF800000> : vector<16xf32>
    %none = arith.constant dense<0.0> : vector<16xf32>
    %r:2 = scf.for %t = %c0 to %n step %c1 iter_args(%m = %low, %l = %none) -> (vector<16xf32>, vector<16xf32>) {
      %s = arith.addf %scores, %scores : vector<16x16xf32>
      %max = vector.multi_reduction <maximumf>, %s, %low [1] : vector<16x16xf32> to vector<16xf32>
      %m1 = arith.maximumf %m, %max : vector<16xf32>
      %columns = vector.broadcast %m1 : vector<16xf32> to vector<16x16xf32>
      %d = arith.subf %s, %columns : vector<16x16xf32>
      %p = math.exp2 %d : vector<16x16xf32>
      %sum = vector.multi_reduction <add>, %p, %none [0] : vector<16x16xf32> to vector<16xf32>
      %l1 = arith.addf %l, %sum : vector<16xf32>
      scf.yield %m1, %l1 : vector<16xf32>, vector<16xf32>
    }
    vector.scatter %o[%c0] [%offsets], %all, %r#1 : memref<?xf32>, vector<16xi32>, vector<16xi1>, vector<16xf32>
    gpu.return
  }
}
