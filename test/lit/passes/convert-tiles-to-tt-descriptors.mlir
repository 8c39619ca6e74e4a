// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(convert-tiles-to-tt{descriptors=true})' | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(convert-tiles-to-tt)' | FileCheck %s --check-prefix=POINTERS

// Without the option there are no descriptors.
// POINTERS-NOT: descriptor

// A tile that ends with the tensor is copied through a descriptor, and so is the tile of the result; rows of f32 and
// weights of features are read by pointers. What is said of pointers and strides is said of described tensors alone.
// CHECK-LABEL: func.func @scaled
// CHECK-SAME:    %[[X:[^:]+]]: tensor<?x6x?x64xbf16>, %[[W:[^:]+]]: tensor<?x6x?x64xf32>
// CHECK:         %[[NEW:[^ ]+]] = tensor.empty
// CHECK:         "tt_host.launch"({{.*}}, %{{[^ ,]+}}, %{{[^ ,]+}}, %[[NEW]], %[[X]], %[[W]]) {descriptors = array<i64: 3, 2>, kernel = @scaled_0, outputs = array<i64: 2>}
// CHECK:       "tt.func"()
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: i32, %{{[^:]+}}: i32, %{{.*}}, %[[DX:[^:]+]]: !tt.tensordesc<tensor<1x1x32x64xbf16>>, %[[DO:[^:]+]]: !tt.tensordesc<tensor<1x1x32x64xbf16>>):
// CHECK:         "tt.descriptor_load"(%[[DX]], %[[B:[^ ]+]], %[[H:[^ ]+]], %[[FIRST:[^ ]+]], %{{[^ ]+}}) {cache = 1 : i32, evict = 1 : i32} : (!tt.tensordesc<tensor<1x1x32x64xbf16>>, i32, i32, i32, i32) -> tensor<32x64xbf16>
// CHECK:         "tt.load"({{.*}} -> tensor<32x64xf32>
// CHECK-NOT:     "tt.store"
// CHECK:         "tt.descriptor_store"(%[[DO]], %{{[^ ]+}}, %[[B]], %[[H]], %[[FIRST]], %{{[^ ]+}}) : (!tt.tensordesc<tensor<1x1x32x64xbf16>>, tensor<32x64xbf16>, i32, i32, i32, i32) -> ()
// CHECK:         "tt.return"()
// CHECK:       arg_attrs = [{}, {}, {tt.divisibility = 16 : i32}, {tt.divisibility = 8 : i32}, {tt.divisibility = 8 : i32}, {tt.divisibility = 8 : i32}, {tt.divisibility = 16 : i32}, {tt.divisibility = 8 : i32}, {tt.divisibility = 8 : i32}, {tt.divisibility = 8 : i32}, {}, {}, {}, {}, {}, {}]
// CHECK-SAME:  function_type = (i32, i32, !tt.ptr<bf16>, i64, i64, i64, !tt.ptr<bf16>, i64, i64, i64, !tt.ptr<f32>, i64, i64, i64, !tt.tensordesc<tensor<1x1x32x64xbf16>>, !tt.tensordesc<tensor<1x1x32x64xbf16>>) -> ()
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @scaled(%x: tensor<?x6x?x64xbf16>, %w: tensor<?x6x?x64xf32>) -> tensor<?x6x?x64xbf16> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c32 = arith.constant 32 : index
  %none = arith.constant 0.0 : bf16
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %x, %c0 : tensor<?x6x?x64xbf16>
  %rows = tensor.dim %x, %c2 : tensor<?x6x?x64xbf16>
  %tiles = arith.ceildivui %rows, %c32 : index
  %empty = tensor.empty(%batch, %rows) : tensor<?x6x?x64xbf16>
  %o = scf.forall (%b, %h, %t) in (%batch, 6, %tiles) shared_outs(%out = %empty) -> (tensor<?x6x?x64xbf16>) {
    %first = arith.muli %t, %c32 : index
    %left = arith.subi %rows, %first : index
    %size = arith.minui %c32, %left : index
    %missing = arith.subi %c32, %size : index
    %part = tensor.extract_slice %x[%b, %h, %first, 0] [1, 1, %size, 64] [1, 1, 1, 1] : tensor<?x6x?x64xbf16> to tensor<?x64xbf16>
    %tile = tensor.pad %part low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : bf16
    } : tensor<?x64xbf16> to tensor<32x64xbf16>
    %weights = tensor.extract_slice %w[%b, %h, %first, 0] [1, 1, %size, 64] [1, 1, 1, 1] : tensor<?x6x?x64xf32> to tensor<?x64xf32>
    %weight = tensor.pad %weights low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %zero : f32
    } : tensor<?x64xf32> to tensor<32x64xf32>
    %new = tensor.empty() : tensor<32x64xbf16>
    %r = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile, %weight : tensor<32x64xbf16>, tensor<32x64xf32>) outs(%new : tensor<32x64xbf16>) {
    ^bb0(%a: bf16, %s: f32, %c: bf16):
      %y = arith.extf %a : bf16 to f32
      %m = arith.mulf %y, %s : f32
      %e = arith.truncf %m : f32 to bf16
      linalg.yield %e : bf16
    } -> tensor<32x64xbf16>
    %done = tensor.extract_slice %r[0, 0] [%size, 64] [1, 1] : tensor<32x64xbf16> to tensor<?x64xbf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%b, %h, %first, 0] [1, 1, %size, 64] [1, 1, 1, 1] : tensor<?x64xbf16> into tensor<?x6x?x64xbf16>
    }
  }
  return %o : tensor<?x6x?x64xbf16>
}

// -----

// Tiles that end before the tensor does: by a number of the call, before the last 64 rows, by the length of another
// tensor. Reading what is there would be wrong.
// CHECK-LABEL: func.func @ends_elsewhere
// CHECK:         "tt_host.launch"({{.*}}) {kernel = @ends_elsewhere_0
// CHECK-NOT:     descriptor
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @ends_elsewhere(%x: tensor<100x64xf16>, %y: tensor<?x64xf16>, %z: tensor<?x64xf16>, %n: index) -> tensor<?x64xf16> {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %none = arith.constant 0.0 : f16
  %rows = tensor.dim %y, %c0 : tensor<?x64xf16>
  %others = tensor.dim %z, %c0 : tensor<?x64xf16>
  %tiles = arith.ceildivui %n, %c32 : index
  %empty = tensor.empty(%rows) : tensor<?x64xf16>
  %o = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<?x64xf16>) {
    %first = arith.muli %t, %c32 : index
    %left = arith.subi %n, %first : index
    %size = arith.minui %left, %c32 : index
    %missing = arith.subi %c32, %size : index
    %px = tensor.extract_slice %x[%first, 0] [%size, 64] [1, 1] : tensor<100x64xf16> to tensor<?x64xf16>
    %tx = tensor.pad %px low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x64xf16> to tensor<32x64xf16>
    %later = arith.addi %first, %c64 : index
    %rest = arith.subi %rows, %later : index
    %size_y = arith.minui %rest, %c32 : index
    %missing_y = arith.subi %c32, %size_y : index
    %py = tensor.extract_slice %y[%first, 0] [%size_y, 64] [1, 1] : tensor<?x64xf16> to tensor<?x64xf16>
    %ty = tensor.pad %py low[0, 0] high[%missing_y, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x64xf16> to tensor<32x64xf16>
    %more = arith.subi %others, %first : index
    %size_z = arith.minui %more, %c32 : index
    %missing_z = arith.subi %c32, %size_z : index
    %pz = tensor.extract_slice %y[%first, 0] [%size_z, 64] [1, 1] : tensor<?x64xf16> to tensor<?x64xf16>
    %tz = tensor.pad %pz low[0, 0] high[%missing_z, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x64xf16> to tensor<32x64xf16>
    %new = tensor.empty() : tensor<32x64xf16>
    %r = linalg.generic {indexing_maps = [#map, #map, #map, #map], iterator_types = ["parallel", "parallel"]} ins(%tx, %ty, %tz : tensor<32x64xf16>, tensor<32x64xf16>, tensor<32x64xf16>) outs(%new : tensor<32x64xf16>) {
    ^bb0(%a: f16, %b: f16, %d: f16, %c: f16):
      %s = arith.addf %a, %b : f16
      %u = arith.addf %s, %d : f16
      linalg.yield %u : f16
    } -> tensor<32x64xf16>
    %done = tensor.extract_slice %r[0, 0] [%size, 64] [1, 1] : tensor<32x64xf16> to tensor<?x64xf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%first, 0] [%size, 64] [1, 1] : tensor<?x64xf16> into tensor<?x64xf16>
    }
  }
  return %o : tensor<?x64xf16>
}

// -----

// A tensor of known size, of which tiles of two sizes are copied through two descriptors; tiles that are cut off by the
// known size; and a tile below a condition, which is read by pointers.
// CHECK-LABEL: func.func @sizes
// CHECK:         "tt_host.launch"({{.*}}) {descriptors = array<i64: 1, 1, 0>, kernel = @sizes_0, outputs = array<i64: 0>}
// CHECK:         "tt.descriptor_load"({{.*}}) {{.*}} : (!tt.tensordesc<tensor<16x32xf16>>, i32, i32) -> tensor<16x32xf16>
// CHECK:         "tt.descriptor_load"({{.*}}) {{.*}} : (!tt.tensordesc<tensor<128x32xf16>>, i32, i32) -> tensor<128x32xf16>
// CHECK:         scf.if
// CHECK-NOT:       descriptor
// CHECK:           "tt.load"({{.*}}) -> tensor<16x32xf16>
// CHECK:         scf.yield
// CHECK:         "tt.descriptor_store"
#map = affine_map<(d0, d1) -> (d0, d1)>
#rows = affine_map<(d0, d1) -> (d1)>
func.func @sizes(%x: tensor<100x32xf16>, %is: i1) -> tensor<100x32xf16> {
  %c16 = arith.constant 16 : index
  %c100 = arith.constant 100 : index
  %none = arith.constant 0.0 : f16
  %empty = tensor.empty() : tensor<100x32xf16>
  %o = scf.forall (%t) in (7) shared_outs(%out = %empty) -> (tensor<100x32xf16>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %c100, %first : index
    %size = arith.minsi %left, %c16 : index
    %missing = arith.subi %c16, %size : index
    %part = tensor.extract_slice %x[%first, 0] [%size, 32] [1, 1] : tensor<100x32xf16> to tensor<?x32xf16>
    %tile = tensor.pad %part low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x32xf16> to tensor<16x32xf16>
    %all = tensor.extract_slice %x[0, 0] [100, 32] [1, 1] : tensor<100x32xf16> to tensor<100x32xf16>
    %padded = tensor.pad %all low[0, 0] high[28, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<100x32xf16> to tensor<128x32xf16>
    %zeros = tensor.empty() : tensor<32xf16>
    %start = linalg.fill ins(%none : f16) outs(%zeros : tensor<32xf16>) -> tensor<32xf16>
    %sums = linalg.generic {indexing_maps = [#map, #rows], iterator_types = ["reduction", "parallel"]} ins(%padded : tensor<128x32xf16>) outs(%start : tensor<32xf16>) {
    ^bb0(%a: f16, %c: f16):
      %s = arith.addf %c, %a : f16
      linalg.yield %s : f16
    } -> tensor<32xf16>
    %chosen = scf.if %is -> (tensor<16x32xf16>) {
      %again = tensor.extract_slice %x[%first, 0] [%size, 32] [1, 1] : tensor<100x32xf16> to tensor<?x32xf16>
      %same = tensor.pad %again low[0, 0] high[%missing, 0] {
      ^bb0(%i: index, %j: index):
        tensor.yield %none : f16
      } : tensor<?x32xf16> to tensor<16x32xf16>
      scf.yield %same : tensor<16x32xf16>
    } else {
      scf.yield %tile : tensor<16x32xf16>
    }
    %new = tensor.empty() : tensor<16x32xf16>
    %r = linalg.generic {indexing_maps = [#map, #rows, #map], iterator_types = ["parallel", "parallel"]} ins(%chosen, %sums : tensor<16x32xf16>, tensor<32xf16>) outs(%new : tensor<16x32xf16>) {
    ^bb0(%a: f16, %b: f16, %c: f16):
      %s = arith.addf %a, %b : f16
      linalg.yield %s : f16
    } -> tensor<16x32xf16>
    %done = tensor.extract_slice %r[0, 0] [%size, 32] [1, 1] : tensor<16x32xf16> to tensor<?x32xf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%first, 0] [%size, 32] [1, 1] : tensor<?x32xf16> into tensor<100x32xf16>
    }
  }
  return %o : tensor<100x32xf16>
}

// -----

// Of k and v, which have as many rows, tiles end where either does; of what is neither, only where it does itself.
// CHECK-LABEL: func.func @same_rows
// CHECK-SAME:    %[[K:[^:]+]]: tensor<?x16xbf16>, %[[V:[^:]+]]: tensor<?x16xbf16>, %[[W:[^:]+]]: tensor<?x16xbf16>
// CHECK:         "tt_host.launch"({{.*}}, %[[K]], %[[V]], %[[W]]) {descriptors = array<i64: 2, 3>,
// CHECK:         "tt.descriptor_load"({{.*}} -> tensor<16x16xbf16>
// CHECK:         "tt.descriptor_load"({{.*}} -> tensor<16x16xbf16>
// CHECK:         "tt.load"({{.*}} -> tensor<16x16xbf16>
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @same_rows(%k: tensor<?x16xbf16>, %v: tensor<?x16xbf16>, %w: tensor<?x16xbf16>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %none = arith.constant 0.0 : bf16
  %rows = tensor.dim %k, %c0 : tensor<?x16xbf16>
  %tiles = arith.ceildivui %rows, %c16 : index
  %empty = tensor.empty(%rows) : tensor<?x16xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<?x16xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %rows, %first : index
    %size = arith.minui %left, %c16 : index
    %missing = arith.subi %c16, %size : index
    %pk = tensor.extract_slice %k[%first, 0] [%size, 16] [1, 1] {attn.operand = "k"} : tensor<?x16xbf16> to tensor<?x16xbf16>
    %tk = tensor.pad %pk low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : bf16
    } : tensor<?x16xbf16> to tensor<16x16xbf16>
    %pv = tensor.extract_slice %v[%first, 0] [%size, 16] [1, 1] {attn.operand = "v"} : tensor<?x16xbf16> to tensor<?x16xbf16>
    %tv = tensor.pad %pv low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : bf16
    } : tensor<?x16xbf16> to tensor<16x16xbf16>
    %pw = tensor.extract_slice %w[%first, 0] [%size, 16] [1, 1] : tensor<?x16xbf16> to tensor<?x16xbf16>
    %tw = tensor.pad %pw low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : bf16
    } : tensor<?x16xbf16> to tensor<16x16xbf16>
    %new = tensor.empty() : tensor<16x16xf32>
    %r = linalg.generic {indexing_maps = [#map, #map, #map, #map], iterator_types = ["parallel", "parallel"]} ins(%tk, %tv, %tw : tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xbf16>) outs(%new : tensor<16x16xf32>) {
    ^bb0(%a: bf16, %b: bf16, %d: bf16, %c: f32):
      %s = arith.addf %a, %b : bf16
      %u = arith.addf %s, %d : bf16
      %e = arith.extf %u : bf16 to f32
      linalg.yield %e : f32
    } -> tensor<16x16xf32>
    %done = tensor.extract_slice %r[0, 0] [%size, 16] [1, 1] : tensor<16x16xf32> to tensor<?x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf32> into tensor<?x16xf32>
    }
  }
  return %o : tensor<?x16xf32>
}

// -----

// Sizes of one name are equal, as calls check; the first kernel's result has as many rows as its tensor.
// CHECK-LABEL: func.func @names
// CHECK-SAME:    %[[X:[^:]+]]: tensor<?x16xf16> {{.*}}, %[[Y:[^:]+]]: tensor<?x16xf16> {{.*}}, %[[Z:[^:]+]]: tensor<?x16xf16>
// CHECK:         %[[FIRST:[^ ]+]] = "tt_host.launch"({{.*}}, %[[X]]) {descriptors = array<i64: 2, 1>, kernel = @names_0, outputs = array<i64: 1>}
// CHECK:         "tt_host.launch"({{.*}}, %[[FIRST]], %[[Y]], %[[Z]]) {descriptors = array<i64: 2, 3, 1>, kernel = @names_1, outputs = array<i64: 1>}
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @names(%x: tensor<?x16xf16> {attn.dims = ["N", ""]}, %y: tensor<?x16xf16> {attn.dims = ["N", ""]}, %z: tensor<?x16xf16> {attn.dims = ["M", ""]}) -> tensor<?x16xf16> {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %none = arith.constant 0.0 : f16
  %rows = tensor.dim %x, %c0 : tensor<?x16xf16>
  %tiles = arith.ceildivui %rows, %c16 : index
  %empty = tensor.empty(%rows) : tensor<?x16xf16>
  %doubled = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<?x16xf16>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %rows, %first : index
    %size = arith.minui %left, %c16 : index
    %missing = arith.subi %c16, %size : index
    %part = tensor.extract_slice %x[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> to tensor<?x16xf16>
    %tile = tensor.pad %part low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x16xf16> to tensor<16x16xf16>
    %new = tensor.empty() : tensor<16x16xf16>
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile : tensor<16x16xf16>) outs(%new : tensor<16x16xf16>) {
    ^bb0(%a: f16, %c: f16):
      %s = arith.addf %a, %a : f16
      linalg.yield %s : f16
    } -> tensor<16x16xf16>
    %done = tensor.extract_slice %r[0, 0] [%size, 16] [1, 1] : tensor<16x16xf16> to tensor<?x16xf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> into tensor<?x16xf16>
    }
  }
  %o = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<?x16xf16>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %rows, %first : index
    %size = arith.minui %left, %c16 : index
    %missing = arith.subi %c16, %size : index
    %px = tensor.extract_slice %doubled[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> to tensor<?x16xf16>
    %tx = tensor.pad %px low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x16xf16> to tensor<16x16xf16>
    %py = tensor.extract_slice %y[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> to tensor<?x16xf16>
    %ty = tensor.pad %py low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x16xf16> to tensor<16x16xf16>
    %pz = tensor.extract_slice %z[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> to tensor<?x16xf16>
    %tz = tensor.pad %pz low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %none : f16
    } : tensor<?x16xf16> to tensor<16x16xf16>
    %new = tensor.empty() : tensor<16x16xf16>
    %r = linalg.generic {indexing_maps = [#map, #map, #map, #map], iterator_types = ["parallel", "parallel"]} ins(%tx, %ty, %tz : tensor<16x16xf16>, tensor<16x16xf16>, tensor<16x16xf16>) outs(%new : tensor<16x16xf16>) {
    ^bb0(%a: f16, %b: f16, %d: f16, %c: f16):
      %s = arith.addf %a, %b : f16
      %u = arith.addf %s, %d : f16
      linalg.yield %u : f16
    } -> tensor<16x16xf16>
    %done = tensor.extract_slice %r[0, 0] [%size, 16] [1, 1] : tensor<16x16xf16> to tensor<?x16xf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%first, 0] [%size, 16] [1, 1] : tensor<?x16xf16> into tensor<?x16xf16>
    }
  }
  return %o : tensor<?x16xf16>
}

// -----

// What a branch that computes something again needs of a tile it reads again, so that nothing is kept for it.
// CHECK-LABEL: func.func @again
// CHECK:       "tt.func"()
// CHECK:         %[[TILE:[^ ]+]] = "tt.descriptor_load"
// CHECK:         scf.if
// CHECK-NEXT:      arith.mulf %[[TILE]], %[[TILE]]
// CHECK:         } else {
// CHECK-NOT:       %[[TILE]]
// CHECK:           %[[SAME:[^ ]+]] = "tt.load"
// CHECK:           arith.addf %[[SAME]], %[[SAME]]
// CHECK-NOT:       %[[TILE]]
// CHECK:         "tt.descriptor_store"
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @again(%x: tensor<2x64x64xbf16>, %yes: i1) -> tensor<2x64x64xbf16> {
  %empty = tensor.empty() : tensor<2x64x64xbf16>
  %o = scf.forall (%b, %t) in (2, 2) shared_outs(%out = %empty) -> (tensor<2x64x64xbf16>) {
    %c32 = arith.constant 32 : index
    %first = arith.muli %t, %c32 : index
    %tile = tensor.extract_slice %x[%b, %first, 0] [1, 32, 64] [1, 1, 1] : tensor<2x64x64xbf16> to tensor<32x64xbf16>
    %new = tensor.empty() : tensor<32x64xbf16>
    %r = scf.if %yes -> (tensor<32x64xbf16>) {
      %y = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile : tensor<32x64xbf16>) outs(%new : tensor<32x64xbf16>) {
      ^bb0(%a: bf16, %c: bf16):
        %n = arith.mulf %a, %a : bf16
        linalg.yield %n : bf16
      } -> tensor<32x64xbf16>
      scf.yield %y : tensor<32x64xbf16>
    } else {
      %y = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile : tensor<32x64xbf16>) outs(%new : tensor<32x64xbf16>) {
      ^bb0(%a: bf16, %c: bf16):
        %n = arith.addf %a, %a : bf16
        linalg.yield %n : bf16
      } -> tensor<32x64xbf16>
      scf.yield %y : tensor<32x64xbf16>
    } {attn.retry}
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[%b, %first, 0] [1, 32, 64] [1, 1, 1] : tensor<32x64xbf16> into tensor<2x64x64xbf16>
    }
  }
  return %o : tensor<2x64x64xbf16>
}

// -----

// Positions of several heads are a box with a dimension for each, and rows of a tile in registers.
// CHECK-LABEL: func.func @packed
// CHECK:       "tt.func"()
// CHECK:         %[[BOX:[^ ]+]] = "tt.descriptor_load"(%{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}) {{.*}} -> tensor<4x8x64xbf16>
// CHECK:         %[[ROWS:[^ ]+]] = "tt.reshape"(%[[BOX]]) : (tensor<4x8x64xbf16>) -> tensor<32x64xbf16>
// CHECK:         %[[RESULT:[^ ]+]] = "tt.reshape"(%[[ROWS]]) : (tensor<32x64xbf16>) -> tensor<4x8x64xbf16>
// CHECK:         "tt.descriptor_store"(%{{[^ ]+}}, %[[RESULT]], %{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}})
func.func @packed(%x: tensor<4x?x64xbf16>) -> tensor<4x?x64xbf16> {
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %none = arith.constant 0.0 : bf16
  %n = tensor.dim %x, %c1 : tensor<4x?x64xbf16>
  %tiles = arith.ceildivui %n, %c8 : index
  %empty = tensor.empty(%n) : tensor<4x?x64xbf16>
  %o = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<4x?x64xbf16>) {
    %first = arith.muli %t, %c8 : index
    %left = arith.subi %n, %first : index
    %size = arith.minui %c8, %left : index
    %missing = arith.subi %c8, %size : index
    %part = tensor.extract_slice %x[0, %first, 0] [4, %size, 64] [1, 1, 1] : tensor<4x?x64xbf16> to tensor<4x?x64xbf16>
    %padded = tensor.pad %part low[0, 0, 0] high[0, %missing, 0] {
    ^bb0(%i: index, %j: index, %k: index):
      tensor.yield %none : bf16
    } : tensor<4x?x64xbf16> to tensor<4x8x64xbf16>
    %rows = tensor.collapse_shape %padded [[0, 1], [2]] : tensor<4x8x64xbf16> into tensor<32x64xbf16>
    %again = tensor.expand_shape %rows [[0, 1], [2]] output_shape [4, 8, 64] : tensor<32x64xbf16> into tensor<4x8x64xbf16>
    %done = tensor.extract_slice %again[0, 0, 0] [4, %size, 64] [1, 1, 1] : tensor<4x8x64xbf16> to tensor<4x?x64xbf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[0, %first, 0] [4, %size, 64] [1, 1, 1] : tensor<4x?x64xbf16> into tensor<4x?x64xbf16>
    }
  }
  return %o : tensor<4x?x64xbf16>
}
