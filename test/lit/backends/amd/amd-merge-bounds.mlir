// RUN: aec-opt %s --split-input-file --amd-merge-bounds --canonicalize --cse | FileCheck %s

// The end of the keys, which no key is, and the diagonal: a minimum for each row.
// CHECK-LABEL: gpu.func @causal(
// CHECK-SAME:    %[[END:[^ ]+]]: i32, %[[I:[^ ]+]]: vector<32xi32>, %[[J:[^ ]+]]: vector<64xi32>, %[[X:[^ ]+]]: vector<32x64xf32>
// CHECK:         %[[SOME:.+]] = arith.maxsi %[[END]], %{{.*}} : i32
// CHECK:         %[[LAST:.+]] = arith.subi %[[SOME]], %{{.*}} : i32
// CHECK:         %[[COLUMNS:.+]] = vector.broadcast %[[J]] : vector<64xi32> to vector<32x64xi32>
// CHECK:         %[[LASTS:.+]] = vector.broadcast %[[LAST]] : i32 to vector<32xi32>
// CHECK:         %[[LIMIT:.+]] = arith.minsi %[[I]], %[[LASTS]] : vector<32xi32>
// CHECK:         %[[COLUMN:.+]] = vector.shape_cast %[[LIMIT]] : vector<32xi32> to vector<32x1xi32>
// CHECK:         %[[LIMITS:.+]] = vector.broadcast %[[COLUMN]] : vector<32x1xi32> to vector<32x64xi32>
// CHECK:         %[[MASK:.+]] = arith.cmpi sle, %[[COLUMNS]], %[[LIMITS]] : vector<32x64xi32>
// CHECK:         arith.select %[[MASK]], %[[X]],
// CHECK-NOT:     arith.andi
gpu.module @kernels {
  gpu.func @causal(%end: i32, %i: vector<32xi32>, %j: vector<64xi32>, %x: vector<32x64xf32>, %o: memref<?xf32>, %offsets: vector<32x64xi32>) kernel {
    %c0 = arith.constant 0 : index
    %all = arith.constant dense<true> : vector<32x64xi1>
    %low = arith.constant dense<0xFF800000> : vector<32x64xf32>
    %ends = vector.broadcast %end : i32 to vector<64xi32>
    %in = arith.cmpi slt, %j, %ends : vector<64xi32>
    %ins = vector.broadcast %in : vector<64xi1> to vector<32x64xi1>
    %row = vector.shape_cast %i : vector<32xi32> to vector<32x1xi32>
    %rows = vector.broadcast %row : vector<32x1xi32> to vector<32x64xi32>
    %columns = vector.broadcast %j : vector<64xi32> to vector<32x64xi32>
    %below = arith.cmpi sge, %rows, %columns : vector<32x64xi32>
    %mask = arith.andi %ins, %below : vector<32x64xi1>
    %y = arith.select %mask, %x, %low : vector<32x64xi1>, vector<32x64xf32>
    vector.scatter %o[%c0] [%offsets], %all, %y : memref<?xf32>, vector<32x64xi32>, vector<32x64xi1>, vector<32x64xf32>
    gpu.return
  }
}

// -----

// An upper and a lower bound are two.
// CHECK-LABEL: gpu.func @window(
// CHECK-COUNT-2: arith.cmpi {{.*}} : vector<32x64xi32>
// CHECK:         arith.andi
gpu.module @kernels {
  gpu.func @window(%i: vector<32xi32>, %k: vector<32xi32>, %j: vector<64xi32>, %x: vector<32x64xf32>, %o: memref<?xf32>, %offsets: vector<32x64xi32>) kernel {
    %c0 = arith.constant 0 : index
    %all = arith.constant dense<true> : vector<32x64xi1>
    %low = arith.constant dense<0xFF800000> : vector<32x64xf32>
    %row = vector.shape_cast %i : vector<32xi32> to vector<32x1xi32>
    %rows = vector.broadcast %row : vector<32x1xi32> to vector<32x64xi32>
    %first = vector.shape_cast %k : vector<32xi32> to vector<32x1xi32>
    %firsts = vector.broadcast %first : vector<32x1xi32> to vector<32x64xi32>
    %columns = vector.broadcast %j : vector<64xi32> to vector<32x64xi32>
    %below = arith.cmpi sge, %rows, %columns : vector<32x64xi32>
    %above = arith.cmpi slt, %firsts, %columns : vector<32x64xi32>
    %mask = arith.andi %above, %below : vector<32x64xi1>
    %y = arith.select %mask, %x, %low : vector<32x64xi1>, vector<32x64xf32>
    vector.scatter %o[%c0] [%offsets], %all, %y : memref<?xf32>, vector<32x64xi32>, vector<32x64xi1>, vector<32x64xf32>
    gpu.return
  }
}
