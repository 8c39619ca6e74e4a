// RUN: aec-opt %s --split-input-file '--cpu-vectorize-tiles=vector-bits=128' | FileCheck %s

// A loop that holds something unknown stays as it is, and no function is left behind.
// CHECK-NOT:   private
// CHECK-LABEL: func.func @unknown(
// CHECK:         scf.forall {{.*}} shared_outs
// CHECK:         cf.assert
// CHECK:         bufferization.materialize_in_destination
#q = affine_map<(d0, d1) -> (d1, d0)>
#e = affine_map<(d0, d1) -> (d0, d1)>
#nd = affine_map<(d0, d1, d2) -> (d0, d2)>
#dr = affine_map<(d0, d1, d2) -> (d2, d1)>
#nr = affine_map<(d0, d1, d2) -> (d0, d1)>
#vnd = affine_map<(d0, d1, d2) -> (d2, d0)>
#row = affine_map<(d0, d1) -> (d1)>
#r = affine_map<(d0) -> (d0)>
func.func @unknown(%q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %out: memref<?x4xf32>) {
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
        %never = arith.constant true
        cf.assert %never, "never"
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

// Rows that are no whole number of vectors.
// CHECK-NOT:   private
// CHECK-LABEL: func.func @six_rows(
// CHECK:         scf.forall {{.*}} shared_outs
#q = affine_map<(d0, d1) -> (d1, d0)>
#e = affine_map<(d0, d1) -> (d0, d1)>
#nd = affine_map<(d0, d1, d2) -> (d0, d2)>
#dr = affine_map<(d0, d1, d2) -> (d2, d1)>
#nr = affine_map<(d0, d1, d2) -> (d0, d1)>
#vnd = affine_map<(d0, d1, d2) -> (d2, d0)>
#row = affine_map<(d0, d1) -> (d1)>
#r = affine_map<(d0) -> (d0)>
func.func @six_rows(%q: tensor<?x4xf32>, %k: tensor<?x4xf32>, %v: tensor<?x4xf32>, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 6 : index
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
    } : tensor<?x4xf32> to tensor<6x4xf32>
    %eq = tensor.empty() : tensor<4x6xf32>
    %es = tensor.empty() : tensor<4x6xf32>
    %er = tensor.empty() : tensor<6xf32>
    %eo = tensor.empty() : tensor<6x4xf32>
    %qt = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%qp : tensor<6x4xf32>) outs(%eq : tensor<4x6xf32>) {
    ^bb0(%x: f32, %y: f32):
        linalg.yield %x : f32
    } -> tensor<4x6xf32>
    %none = linalg.fill ins(%zero : f32) outs(%eq : tensor<4x6xf32>) -> tensor<4x6xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<4x6xf32>) -> tensor<4x6xf32>
    %lowest = linalg.fill ins(%minus : f32) outs(%er : tensor<6xf32>) -> tensor<6xf32>
    %sum = scf.for %n = %c0 to %steps step %c1 iter_args(%acc = %none) -> (tensor<4x6xf32>) {
      %j0 = arith.muli %n, %keys : index
      %kt = tensor.extract_slice %k[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %s = linalg.generic {indexing_maps = [#nd, #dr, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%kt, %qt : tensor<4x4xf32>, tensor<4x6xf32>) outs(%zeros : tensor<4x6xf32>) {
      ^bb0(%x: f32, %y: f32, %z: f32):
        %m = arith.mulf %x, %y : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x6xf32>
      %p = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<4x6xf32>) outs(%es : tensor<4x6xf32>) {
      ^bb0(%x: f32, %y: f32):
        %m = arith.mulf %x, %half : f32
        linalg.yield %m : f32
      } -> tensor<4x6xf32>
      %vt = tensor.extract_slice %v[%j0, 0] [4, 4] [1, 1] : tensor<?x4xf32> to tensor<4x4xf32>
      %next = linalg.generic {indexing_maps = [#dr, #vnd, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%p, %vt : tensor<4x6xf32>, tensor<4x4xf32>) outs(%acc : tensor<4x6xf32>) {
      ^bb0(%y: f32, %x: f32, %z: f32):
        %m = arith.mulf %y, %x : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x6xf32>
      scf.yield %next : tensor<4x6xf32>
    }
    %ot = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%sum : tensor<4x6xf32>) outs(%eo : tensor<6x4xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<6x4xf32>
    %os = tensor.extract_slice %ot[0, 0] [%count, 4] [1, 1] : tensor<6x4xf32> to tensor<?x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %os into %shared[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// -----

// A loop without results.
// CHECK-LABEL: func.func @buffers(
// CHECK:         scf.forall
// CHECK-NEXT:      memref.store
func.func @buffers(%x: memref<8xf32>, %c: f32) {
  scf.forall (%i) in (8) {
    memref.store %c, %x[%i] : memref<8xf32>
  }
  return
}
