// RUN: aec-opt %s --split-input-file '--cpu-vectorize-tiles=vector-bits=128 tile-q=2 tile-kv=2 tile-d=2' --canonicalize --cse | FileCheck %s
// RUN: aec-opt %s --split-input-file '--cpu-vectorize-tiles=vector-bits=128 tile-q=2 tile-kv=2 tile-d=2' | FileCheck %s --check-prefix=UNASKED
// RUN: aec-opt %s --split-input-file '--cpu-vectorize-tiles=vector-bits=256 tile-q=1 tile-kv=4 tile-d=4' --canonicalize --cse | FileCheck %s --check-prefix=WIDE
// RUN: aec-opt %s --split-input-file '--cpu-vectorize-tiles=vector-bits=128 tile-q=2 tile-kv=2 tile-d=2 prefetch=true' --canonicalize --cse | FileCheck %s --check-prefix=PREFETCH

// A tile of 8 rows is 2 vectors of 4 lanes, or 1 of 8. The score is scaled in the registers of the first product,
// and the accumulator stays where it is. Results go straight to the destination.
// CHECK-LABEL: func.func private @linear.tile0(
// CHECK-SAME:    %[[T:[^ ]+]]: index
// CHECK-SAME:    memref<?x4xf32, strided<[?, 1], offset: ?>>
// CHECK-DAG:     %[[ACC:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<4x8xf32>
// CHECK-COUNT-8:   vector.shuffle
// CHECK:         scf.for
// CHECK:           %[[TILE:[^ ]+]]:4 = scf.for {{.*}} iter_args({{.*}}) -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK:             memref.load
// CHECK:             vector.broadcast
// CHECK-COUNT-4:     vector.fma
// CHECK:           arith.mulf %[[TILE]]#0
// CHECK:           vector.store
// CHECK:           vector.load
// CHECK:           scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// CHECK-COUNT-4:     vector.fma
// CHECK:           vector.store
// CHECK:         return
// CHECK:       func.func @linear(
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4xf32>
// CHECK-SAME:    %[[OUT:[^ ]+]]: memref<?x4xf32>
// CHECK:         scf.forall (%[[I:[^ ]+]]) in (
// CHECK-NEXT:      func.call @linear.tile0(%[[I]]
// CHECK-SAME:        %[[OUT]])
// CHECK-NOT:     materialize_in_destination
// WIDE-LABEL:  func.func private @linear.tile0(
// WIDE:          scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// WIDE-COUNT-4:    vector.fma {{.*}} : vector<8xf32>

// Where q is read, the rows that follow are asked for, 4 for a square of vectors. A step of a register tile asks for
// an element of k, 4 keys further on, of one of its 2 rows, and for one of v. No other memory is asked for,
// and none without the option.
// UNASKED-NOT:   memref.prefetch
// UNASKED:       func.func @linear(
// PREFETCH-LABEL: func.func private @linear.tile0(
// PREFETCH-DAG:  %[[C4:[^ ]+]] = arith.constant 4 : index
// PREFETCH-COUNT-4: memref.prefetch {{.*}}, read, locality<2>, data : memref<8x4xf32, strided<[?, 1], offset: ?>>
// PREFETCH-COUNT-8: vector.shuffle
// PREFETCH:      scf.for
// PREFETCH:        scf.for %[[X:[^ ]+]] = {{.*}} step
// PREFETCH:          scf.for %[[F:[^ ]+]] = {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// PREFETCH:            %[[ROW:[^ ]+]] = arith.remui %[[F]], %{{.+}} : index
// PREFETCH:            %[[COLUMN:[^ ]+]] = arith.subi %[[F]], %[[ROW]] : index
// PREFETCH:            %[[KEY:[^ ]+]] = arith.addi %[[X]], %[[ROW]] : index
// PREFETCH:            %[[NEXT:[^ ]+]] = arith.addi %[[KEY]], %[[C4]] : index
// PREFETCH:            memref.prefetch %{{.+}}[%[[NEXT]], %[[COLUMN]]], read, locality<3>, data : memref<4x4xf32, strided<[?, 1], offset: ?>>
// PREFETCH:          scf.for %[[J:[^ ]+]] = {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// PREFETCH:            %[[NEXT:[^ ]+]] = arith.addi %[[J]], %[[C4]] : index
// PREFETCH:            memref.prefetch %{{.+}}[%[[NEXT]], %{{.+}}], read, locality<3>, data
// PREFETCH-NOT:  memref.prefetch
// PREFETCH:      return
#q = affine_map<(d0, d1) -> (d1, d0)>
#e = affine_map<(d0, d1) -> (d0, d1)>
#nd = affine_map<(d0, d1, d2) -> (d0, d2)>
#dr = affine_map<(d0, d1, d2) -> (d2, d1)>
#nr = affine_map<(d0, d1, d2) -> (d0, d1)>
#vnd = affine_map<(d0, d1, d2) -> (d2, d0)>
#row = affine_map<(d0, d1) -> (d1)>
#r = affine_map<(d0) -> (d0)>
func.func @linear(%q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 8 : index
  %keys = arith.constant 4 : index
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %zeroq = arith.constant 0.0 : f32
  %minus = arith.constant 0xFF800000 : f32
  %sq = tensor.dim %q, %c0 : tensor<?x4xf32>
  %skv = tensor.dim %k, %c0 : tensor<?x4xf32>
  %tiles = arith.ceildivui %sq, %rows : index
  %steps = arith.divui %skv, %keys : index
  %empty = tensor.empty(%sq) : tensor<?x4xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%shared = %empty) -> (tensor<?x4xf32>) {
    %i0 = arith.muli %t, %rows : index
    %left = arith.subi %sq, %i0 : index
    %count = arith.minui %left, %rows : index
    %missing = arith.subi %rows, %count : index
    %qs = tensor.extract_slice %q[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
    %qp = tensor.pad %qs low[0, 0] high[%missing, 0] {
    ^bb0(%a: index, %b: index):
      tensor.yield %zeroq : f32
    } : tensor<?x4xf32> to tensor<8x4xf32>
    %eq = tensor.empty() : tensor<4x8xf32>
    %es = tensor.empty() : tensor<4x8xf32>
    %er = tensor.empty() : tensor<8xf32>
    %eo = tensor.empty() : tensor<8x4xf32>
    %qt = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%qp : tensor<8x4xf32>) outs(%eq : tensor<4x8xf32>) {
    ^bb0(%x: f32, %y: f32):
        linalg.yield %x : f32
    } -> tensor<4x8xf32>
    %none = linalg.fill ins(%zero : f32) outs(%eq : tensor<4x8xf32>) -> tensor<4x8xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<4x8xf32>) -> tensor<4x8xf32>
    %lowest = linalg.fill ins(%minus : f32) outs(%er : tensor<8xf32>) -> tensor<8xf32>
    %sum = scf.for %n = %c0 to %steps step %c1 iter_args(%acc = %none) -> (tensor<4x8xf32>) {
      %j0 = arith.muli %n, %keys : index
      %kt = tensor.extract_slice %k[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %s = linalg.generic {indexing_maps = [#nd, #dr, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%kt, %qt : tensor<4x4xf32>, tensor<4x8xf32>) outs(%zeros : tensor<4x8xf32>) {
      ^bb0(%x: f32, %y: f32, %z: f32):
        %m = arith.mulf %x, %y : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      %p = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<4x8xf32>) outs(%es : tensor<4x8xf32>) {
      ^bb0(%x: f32, %y: f32):
        %m = arith.mulf %x, %half : f32
        linalg.yield %m : f32
      } -> tensor<4x8xf32>
      %vt = tensor.extract_slice %v[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %next = linalg.generic {indexing_maps = [#dr, #vnd, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%p, %vt : tensor<4x8xf32>, tensor<4x4xf32>) outs(%acc : tensor<4x8xf32>) {
      ^bb0(%y: f32, %x: f32, %z: f32):
        %m = arith.mulf %y, %x : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      scf.yield %next : tensor<4x8xf32>
    }
    %ot = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%sum : tensor<4x8xf32>) outs(%eo : tensor<8x4xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<8x4xf32>
    %os = tensor.extract_slice %ot[0, 0] [%count, 4] [1, 1] : tensor<8x4xf32> to tensor<?x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %os into %shared[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// -----

// The mask compares numbers of lanes with one number for each key, in 32 bits, and the maximum is taken in the
// same loop. exp(x - max) is a power of two; the difference comes first, since scores may be large.
// CHECK-LABEL: func.func private @causal.tile0(
// CHECK-DAG:     %[[LANES:[^ ]+]] = arith.constant dense<[0, 1, 2, 3]> : vector<4xi32>
// CHECK:         vector.fma
// CHECK:         arith.cmpi sle, %{{.+}}, %[[LANES]] : vector<4xi32>
// CHECK:         arith.select
// CHECK:         %[[MAX:[^ ]+]] = arith.maximumf {{.*}} : vector<4xf32>
// CHECK:         %[[LESS:[^ ]+]] = arith.subf {{.*}} : vector<4xf32>
// CHECK:         math.exp %[[LESS]] : vector<4xf32>
#q = affine_map<(d0, d1) -> (d1, d0)>
#e = affine_map<(d0, d1) -> (d0, d1)>
#nd = affine_map<(d0, d1, d2) -> (d0, d2)>
#dr = affine_map<(d0, d1, d2) -> (d2, d1)>
#nr = affine_map<(d0, d1, d2) -> (d0, d1)>
#vnd = affine_map<(d0, d1, d2) -> (d2, d0)>
#row = affine_map<(d0, d1) -> (d1)>
#r = affine_map<(d0) -> (d0)>
func.func @causal(%q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 8 : index
  %keys = arith.constant 4 : index
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %zeroq = arith.constant 0.0 : f32
  %minus = arith.constant 0xFF800000 : f32
  %sq = tensor.dim %q, %c0 : tensor<?x4xf32>
  %skv = tensor.dim %k, %c0 : tensor<?x4xf32>
  %tiles = arith.ceildivui %sq, %rows : index
  %steps = arith.divui %skv, %keys : index
  %empty = tensor.empty(%sq) : tensor<?x4xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%shared = %empty) -> (tensor<?x4xf32>) {
    %i0 = arith.muli %t, %rows : index
    %left = arith.subi %sq, %i0 : index
    %count = arith.minui %left, %rows : index
    %missing = arith.subi %rows, %count : index
    %qs = tensor.extract_slice %q[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
    %qp = tensor.pad %qs low[0, 0] high[%missing, 0] {
    ^bb0(%a: index, %b: index):
      tensor.yield %zeroq : f32
    } : tensor<?x4xf32> to tensor<8x4xf32>
    %eq = tensor.empty() : tensor<4x8xf32>
    %es = tensor.empty() : tensor<4x8xf32>
    %er = tensor.empty() : tensor<8xf32>
    %eo = tensor.empty() : tensor<8x4xf32>
    %qt = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%qp : tensor<8x4xf32>) outs(%eq : tensor<4x8xf32>) {
    ^bb0(%x: f32, %y: f32):
        linalg.yield %x : f32
    } -> tensor<4x8xf32>
    %none = linalg.fill ins(%zero : f32) outs(%eq : tensor<4x8xf32>) -> tensor<4x8xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<4x8xf32>) -> tensor<4x8xf32>
    %lowest = linalg.fill ins(%minus : f32) outs(%er : tensor<8xf32>) -> tensor<8xf32>
    %sum = scf.for %n = %c0 to %steps step %c1 iter_args(%acc = %none) -> (tensor<4x8xf32>) {
      %j0 = arith.muli %n, %keys : index
      %kt = tensor.extract_slice %k[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %s = linalg.generic {indexing_maps = [#nd, #dr, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%kt, %qt : tensor<4x4xf32>, tensor<4x8xf32>) outs(%zeros : tensor<4x8xf32>) {
      ^bb0(%x: f32, %y: f32, %z: f32):
        %m = arith.mulf %x, %y : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      %sc = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<4x8xf32>) outs(%es : tensor<4x8xf32>) {
      ^bb0(%x: f32, %y: f32):
        %ln = linalg.index 0 : index
        %j = arith.addi %j0, %ln : index
        %lr = linalg.index 1 : index
        %i = arith.addi %i0, %lr : index
        %keep = arith.cmpi sge, %i, %j : index
        %m = arith.select %keep, %x, %minus : f32
        linalg.yield %m : f32
      } -> tensor<4x8xf32>
      %max = linalg.generic {indexing_maps = [#e, #row], iterator_types = ["reduction", "parallel"]}
          ins(%sc : tensor<4x8xf32>) outs(%lowest : tensor<8xf32>) {
      ^bb0(%x: f32, %y: f32):
        %m = arith.maximumf %y, %x : f32
        linalg.yield %m : f32
      } -> tensor<8xf32>
      %p = linalg.generic {indexing_maps = [#e, #row, #e], iterator_types = ["parallel", "parallel"]}
          ins(%sc, %max : tensor<4x8xf32>, tensor<8xf32>) outs(%es : tensor<4x8xf32>) {
      ^bb0(%x: f32, %mx: f32, %y: f32):
        %d = arith.subf %x, %mx : f32
        %m = math.exp %d : f32
        linalg.yield %m : f32
      } -> tensor<4x8xf32>
      %vt = tensor.extract_slice %v[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %next = linalg.generic {indexing_maps = [#dr, #vnd, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%p, %vt : tensor<4x8xf32>, tensor<4x4xf32>) outs(%acc : tensor<4x8xf32>) {
      ^bb0(%y: f32, %x: f32, %z: f32):
        %m = arith.mulf %y, %x : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      scf.yield %next : tensor<4x8xf32>
    }
    %ot = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%sum : tensor<4x8xf32>) outs(%eo : tensor<8x4xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<8x4xf32>
    %os = tensor.extract_slice %ot[0, 0] [%count, 4] [1, 1] : tensor<8x4xf32> to tensor<?x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %os into %shared[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// -----

// Tiles of f16 are widened once.
// CHECK-LABEL: func.func private @narrow.tile0(
// CHECK-DAG:     %[[FLOATS:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<4x4xf32>
// CHECK:         vector.load {{.*}} : memref<4x4xf16{{.*}}>, vector<4xf16>
// CHECK-NEXT:    arith.extf {{.*}} : vector<4xf16> to vector<4xf32>
// CHECK-NEXT:    vector.store {{.*}} : memref<4x4xf32>, vector<4xf32>
#q = affine_map<(d0, d1) -> (d1, d0)>
#e = affine_map<(d0, d1) -> (d0, d1)>
#nd = affine_map<(d0, d1, d2) -> (d0, d2)>
#dr = affine_map<(d0, d1, d2) -> (d2, d1)>
#nr = affine_map<(d0, d1, d2) -> (d0, d1)>
#vnd = affine_map<(d0, d1, d2) -> (d2, d0)>
#row = affine_map<(d0, d1) -> (d1)>
#r = affine_map<(d0) -> (d0)>
func.func @narrow(%q: tensor<?x4xf16>, %k: tensor<?x4xf16>, %v: tensor<?x4xf16>, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 8 : index
  %keys = arith.constant 4 : index
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %zeroq = arith.constant 0.0 : f16
  %minus = arith.constant 0xFF800000 : f32
  %sq = tensor.dim %q, %c0 : tensor<?x4xf16>
  %skv = tensor.dim %k, %c0 : tensor<?x4xf16>
  %tiles = arith.ceildivui %sq, %rows : index
  %steps = arith.divui %skv, %keys : index
  %empty = tensor.empty(%sq) : tensor<?x4xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%shared = %empty) -> (tensor<?x4xf32>) {
    %i0 = arith.muli %t, %rows : index
    %left = arith.subi %sq, %i0 : index
    %count = arith.minui %left, %rows : index
    %missing = arith.subi %rows, %count : index
    %qs = tensor.extract_slice %q[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf16> to tensor<?x4xf16>
    %qp = tensor.pad %qs low[0, 0] high[%missing, 0] {
    ^bb0(%a: index, %b: index):
      tensor.yield %zeroq : f16
    } : tensor<?x4xf16> to tensor<8x4xf16>
    %eq = tensor.empty() : tensor<4x8xf32>
    %es = tensor.empty() : tensor<4x8xf32>
    %er = tensor.empty() : tensor<8xf32>
    %eo = tensor.empty() : tensor<8x4xf32>
    %qt = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%qp : tensor<8x4xf16>) outs(%eq : tensor<4x8xf32>) {
    ^bb0(%x: f16, %y: f32):
        %xe = arith.extf %x : f16 to f32
        linalg.yield %xe : f32
    } -> tensor<4x8xf32>
    %none = linalg.fill ins(%zero : f32) outs(%eq : tensor<4x8xf32>) -> tensor<4x8xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<4x8xf32>) -> tensor<4x8xf32>
    %lowest = linalg.fill ins(%minus : f32) outs(%er : tensor<8xf32>) -> tensor<8xf32>
    %sum = scf.for %n = %c0 to %steps step %c1 iter_args(%acc = %none) -> (tensor<4x8xf32>) {
      %j0 = arith.muli %n, %keys : index
      %kt = tensor.extract_slice %k[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf16> to tensor<4x4xf16>
      %s = linalg.generic {indexing_maps = [#nd, #dr, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%kt, %qt : tensor<4x4xf16>, tensor<4x8xf32>) outs(%zeros : tensor<4x8xf32>) {
      ^bb0(%x: f16, %y: f32, %z: f32):
        %xe = arith.extf %x : f16 to f32
        %m = arith.mulf %xe, %y : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      %p = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<4x8xf32>) outs(%es : tensor<4x8xf32>) {
      ^bb0(%x: f32, %y: f32):
        %m = arith.mulf %x, %half : f32
        linalg.yield %m : f32
      } -> tensor<4x8xf32>
      %vt = tensor.extract_slice %v[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf16> to tensor<4x4xf16>
      %next = linalg.generic {indexing_maps = [#dr, #vnd, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%p, %vt : tensor<4x8xf32>, tensor<4x4xf16>) outs(%acc : tensor<4x8xf32>) {
      ^bb0(%y: f32, %x: f16, %z: f32):
        %xe = arith.extf %x : f16 to f32
        %m = arith.mulf %y, %xe : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x8xf32>
      scf.yield %next : tensor<4x8xf32>
    }
    %ot = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%sum : tensor<4x8xf32>) outs(%eo : tensor<8x4xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<8x4xf32>
    %os = tensor.extract_slice %ot[0, 0] [%count, 4] [1, 1] : tensor<8x4xf32> to tensor<?x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %os into %shared[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// -----

// Rows along features: a sum of 7 of them by a vector and narrower ones, of which the reciprocals go through memory,
// to be read one for each row. The halves of a rotation are joined in one buffer.
// CHECK-LABEL: func.func private @features.tile0(
// CHECK-DAG:     %[[JOINED:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<8x7xf32>
// CHECK:         scf.for
// CHECK:           %[[FOUR:[^ ]+]] = vector.load {{.*}} : {{.*}}, vector<4xf32>
// CHECK:           vector.shuffle %[[FOUR]]
// CHECK:           arith.addf {{.*}} : vector<2xf32>
// CHECK:           vector.load {{.*}} : {{.*}}, vector<2xf32>
// CHECK:           memref.load
// CHECK:           memref.store {{.*}} : memref<8xf32>
// CHECK:         arith.divf {{.*}} : vector<4xf32>
// CHECK:         scf.for
// CHECK:           arith.mulf {{.*}} : vector<4xf32>
// CHECK:           arith.mulf {{.*}} : vector<2xf32>
// CHECK:           arith.mulf {{.*}} : f32
// CHECK:         memref.subview %[[JOINED]][0, 0] [8, 4] [1, 1]
// CHECK:         memref.subview %[[JOINED]][0, 4] [8, 3] [1, 1]
// CHECK:         return
// CHECK:       func.func @features(
#map = affine_map<(r, d) -> (r, d)>
#rows = affine_map<(r, d) -> (r)>
#one = affine_map<(r) -> (r)>
func.func @features(%x: tensor<64x7xf32>, %out: memref<64x7xf32>) {
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64x7xf32>
  %o = scf.forall (%t) in (8) shared_outs(%shared = %empty) -> (tensor<64x7xf32>) {
    %first = arith.muli %t, %c8 : index
    %tile = tensor.extract_slice %x[%first, 0] [8, 7] [1, 1] : tensor<64x7xf32> to tensor<8x7xf32>
    %row = tensor.empty() : tensor<8xf32>
    %none = linalg.fill ins(%zero : f32) outs(%row : tensor<8xf32>) -> tensor<8xf32>
    %sums = linalg.reduce { arith.addf } ins(%tile : tensor<8x7xf32>) outs(%none : tensor<8xf32>) dimensions = [1]
    %inverse = linalg.generic {indexing_maps = [#one, #one], iterator_types = ["parallel"]}
        ins(%sums : tensor<8xf32>) outs(%row : tensor<8xf32>) {
    ^bb0(%a: f32, %b: f32):
      %1 = arith.constant 1.0 : f32
      %c = arith.divf %1, %a : f32
      linalg.yield %c : f32
    } -> tensor<8xf32>
    %new = tensor.empty() : tensor<8x7xf32>
    %scaled = linalg.generic {indexing_maps = [#map, #rows, #map], iterator_types = ["parallel", "parallel"]}
        ins(%tile, %inverse : tensor<8x7xf32>, tensor<8xf32>) outs(%new : tensor<8x7xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %d = arith.mulf %a, %b : f32
      linalg.yield %d : f32
    } -> tensor<8x7xf32>
    %left = tensor.extract_slice %scaled[0, 0] [8, 3] [1, 1] : tensor<8x7xf32> to tensor<8x3xf32>
    %right = tensor.extract_slice %scaled[0, 3] [8, 4] [1, 1] : tensor<8x7xf32> to tensor<8x4xf32>
    %half = tensor.insert_slice %right into %new[0, 0] [8, 4] [1, 1] : tensor<8x4xf32> into tensor<8x7xf32>
    %joined = tensor.insert_slice %left into %half[0, 4] [8, 3] [1, 1] : tensor<8x3xf32> into tensor<8x7xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %joined into %shared[%first, 0] [8, 7] [1, 1] : tensor<8x7xf32> into tensor<64x7xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<64x7xf32>, memref<64x7xf32>) -> ()
  return
}
