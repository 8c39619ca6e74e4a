// RUN: aec-opt %s '--cpu-vectorize-tiles=vector-bits=512 tile-q=1 tile-kv=4 tile-d=4 pair-products=true' --canonicalize --cse | FileCheck %s
// RUN: aec-opt %s '--cpu-vectorize-tiles=vector-bits=512 tile-q=1 tile-kv=4 tile-d=4 pair-products=true prefetch=true' --canonicalize --cse | FileCheck %s --check-prefix=PREFETCH

// Queries are packed as pairs of features, a pair of a key is one word in memory, weights are rounded and packed
// as pairs of keys, and rows of v are interleaved.
// CHECK-LABEL: func.func private @pairs.tile0(
// CHECK:         memref.store {{.*}} : memref<2x16xi32>
// CHECK:         scf.for
// CHECK:           vector.load {{.*}} : memref<4x4xbf16{{.*}}>, vector<2xbf16>
// CHECK:           x86.avx512.dot {{.*}} : vector<32xbf16> -> vector<16xf32>
// CHECK:           x86.avx512.cvt.packed.f32_to_bf16 {{.*}} : vector<16xf32> -> vector<16xbf16>
// CHECK:           vector.interleave
// CHECK:           vector.store {{.*}} : memref<2x16xi32>, vector<16xi32>
// CHECK:           memref.load {{.*}} : memref<2x4xi32>
// CHECK:           x86.avx512.dot
// CHECK-NOT:     vector.fma
// CHECK:       func.func @pairs(

// A step reads two features of a key, and asks for two of the next tile. Rows of v are interleaved in scratch memory.
// PREFETCH-LABEL: func.func private @pairs.tile0(
// PREFETCH:      scf.for
// PREFETCH:        scf.for %[[F:[^ ]+]] =
// PREFETCH:          %[[ROW:[^ ]+]] = arith.remui %[[F]], %{{.+}} : index
// PREFETCH:          %[[PAIR:[^ ]+]] = arith.subi %[[F]], %[[ROW]] : index
// PREFETCH:          %[[COLUMN:[^ ]+]] = arith.muli %[[PAIR]], %{{.+}} : index
// PREFETCH:          memref.prefetch %{{.+}}[%{{.+}}, %[[COLUMN]]], read, locality<3>, data : memref<4x4xbf16
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
func.func @pairs(%q: tensor<?x4xbf16>, %k: tensor<?x4xbf16>, %v: tensor<?x4xbf16>, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %rows = arith.constant 16 : index
  %keys = arith.constant 4 : index
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %zeroq = arith.constant 0.0 : bf16
  %minus = arith.constant 0xFF800000 : f32
  %sq = tensor.dim %q, %c0 : tensor<?x4xbf16>
  %skv = tensor.dim %k, %c0 : tensor<?x4xbf16>
  %tiles = arith.ceildivui %sq, %rows : index
  %steps = arith.divui %skv, %keys : index
  %empty = tensor.empty(%sq) : tensor<?x4xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%shared = %empty) -> (tensor<?x4xf32>) {
    %i0 = arith.muli %t, %rows : index
    %left = arith.subi %sq, %i0 : index
    %count = arith.minui %left, %rows : index
    %missing = arith.subi %rows, %count : index
    %qs = tensor.extract_slice %q[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xbf16> to tensor<?x4xbf16>
    %qp = tensor.pad %qs low[0, 0] high[%missing, 0] {
    ^bb0(%a: index, %b: index):
      tensor.yield %zeroq : bf16
    } : tensor<?x4xbf16> to tensor<16x4xbf16>
    %eq = tensor.empty() : tensor<4x16xf32>
    %es = tensor.empty() : tensor<4x16xf32>
    %er = tensor.empty() : tensor<16xf32>
    %eo = tensor.empty() : tensor<16x4xf32>
    %qt = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%qp : tensor<16x4xbf16>) outs(%eq : tensor<4x16xf32>) {
    ^bb0(%x: bf16, %y: f32):
        %xe = arith.extf %x : bf16 to f32
        linalg.yield %xe : f32
    } -> tensor<4x16xf32>
    %none = linalg.fill ins(%zero : f32) outs(%eq : tensor<4x16xf32>) -> tensor<4x16xf32>
    %zeros = linalg.fill ins(%zero : f32) outs(%es : tensor<4x16xf32>) -> tensor<4x16xf32>
    %lowest = linalg.fill ins(%minus : f32) outs(%er : tensor<16xf32>) -> tensor<16xf32>
    %sum = scf.for %n = %c0 to %steps step %c1 iter_args(%acc = %none) -> (tensor<4x16xf32>) {
      %j0 = arith.muli %n, %keys : index
      %kt = tensor.extract_slice %k[%j0, 0] [4, 4] [1, 1] : tensor<?x4xbf16> to tensor<4x4xbf16>
      %s = linalg.generic {indexing_maps = [#nd, #dr, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%kt, %qt : tensor<4x4xbf16>, tensor<4x16xf32>) outs(%zeros : tensor<4x16xf32>) {
      ^bb0(%x: bf16, %y: f32, %z: f32):
        %xe = arith.extf %x : bf16 to f32
        %m = arith.mulf %xe, %y : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x16xf32>
      %p = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<4x16xf32>) outs(%es : tensor<4x16xf32>) {
      ^bb0(%x: f32, %y: f32):
        %m = arith.mulf %x, %half : f32
        linalg.yield %m : f32
      } -> tensor<4x16xf32>
      %vt = tensor.extract_slice %v[%j0, 0] [4, 4] [1, 1] : tensor<?x4xbf16> to tensor<4x4xbf16>
      %next = linalg.generic {indexing_maps = [#dr, #vnd, #nr], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%p, %vt : tensor<4x16xf32>, tensor<4x4xbf16>) outs(%acc : tensor<4x16xf32>) {
      ^bb0(%y: f32, %x: bf16, %z: f32):
        %xe = arith.extf %x : bf16 to f32
        %m = arith.mulf %y, %xe : f32
        %a = arith.addf %z, %m : f32
        linalg.yield %a : f32
      } -> tensor<4x16xf32>
      scf.yield %next : tensor<4x16xf32>
    }
    %ot = linalg.generic {indexing_maps = [#q, #e], iterator_types = ["parallel", "parallel"]}
        ins(%sum : tensor<4x16xf32>) outs(%eo : tensor<16x4xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<16x4xf32>
    %os = tensor.extract_slice %ot[0, 0] [%count, 4] [1, 1] : tensor<16x4xf32> to tensor<?x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %os into %shared[%i0, 0] [%count, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
    }
  }
  bufferization.materialize_in_destination %o in restrict writable %out : (tensor<?x4xf32>, memref<?x4xf32>) -> ()
  return
}
