// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(convert-tiles-to-tt,canonicalize,cse)' | FileCheck %s

// Four rows of each of three heads are twelve rows of a tile in registers, sixteen with padding: the number of a row says
// its head and its position. What is elementwise on them stays so.
// CHECK-LABEL: func.func @packed
// CHECK:       "tt.func"() ({
// CHECK-NEXT:  ^bb0(%[[N:[^:]+]]: i32, %{{[^:]+}}: !tt.ptr<f32>, %{{[^:]+}}: i64, %{{[^:]+}}: i64,
// CHECK-SAME:      %[[X:[^:]+]]: !tt.ptr<f32>, %[[HEAD:[^:]+]]: i64, %[[ROW:[^:]+]]: i64):
// CHECK-DAG:     %[[C3:[^ ]+]] = arith.constant 3 : i32
// CHECK-DAG:     %[[C4:[^ ]+]] = arith.constant 4 : i32
// CHECK:         %[[SIZE:[^ ]+]] = arith.minui
// CHECK:         %[[R:[^ ]+]] = "tt.make_range"() {end = 16 : i32, start = 0 : i32}
// CHECK:         %[[FOURS:[^ ]+]] = "tt.splat"(%[[C4]])
// CHECK-DAG:     %[[P:[^ ]+]] = arith.remsi %[[R]], %[[FOURS]]
// CHECK-DAG:     %[[H:[^ ]+]] = arith.divsi %[[R]], %{{.+}}
// CHECK-DAG:     %[[HEADS:[^ ]+]] = "tt.splat"(%[[HEAD]])
// CHECK-DAG:     %[[H64:[^ ]+]] = arith.extsi %[[H]]
// CHECK-DAG:     arith.muli %[[H64]], %[[HEADS]]
// CHECK-DAG:     %[[ROWS:[^ ]+]] = "tt.splat"(%[[ROW]])
// CHECK-DAG:     %[[P64:[^ ]+]] = arith.extsi %[[P]]
// CHECK-DAG:     arith.muli %[[P64]], %[[ROWS]]
// CHECK-DAG:     %[[THREES:[^ ]+]] = "tt.splat"(%[[C3]])
// CHECK-DAG:     arith.cmpi slt, %[[H]], %[[THREES]]
// CHECK-DAG:     %[[SIZES:[^ ]+]] = "tt.splat"(%[[SIZE]])
// CHECK-DAG:     arith.cmpi slt, %[[P]], %[[SIZES]]
// CHECK:         %[[TILE:[^ ]+]] = "tt.load"{{.*}} -> tensor<16x64xf32>
// CHECK:         %[[TWICE:[^ ]+]] = arith.addf %[[TILE]], %[[TILE]] : tensor<16x64xf32>
// CHECK:         arith.select %{{.+}}, %[[TWICE]]
// CHECK:         %[[PLACE:[^ ]+]] = arith.remsi %{{.+}} : tensor<16xi32>
// CHECK:         arith.sitofp %[[PLACE]] : tensor<16xi32> to tensor<16xf32>
// CHECK:         arith.mulf
// CHECK:         "tt.store"{{.*}} tensor<16x64xf32>
#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#same = affine_map<(d0, d1) -> (d0, d1)>
func.func @packed(%x: tensor<3x?x64xf32>) -> tensor<3x?x64xf32> {
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c1 : tensor<3x?x64xf32>
  %tiles = arith.ceildivui %n, %c4 : index
  %empty = tensor.empty(%n) : tensor<3x?x64xf32>
  %o = scf.forall (%t) in (%tiles) shared_outs(%out = %empty) -> (tensor<3x?x64xf32>) {
    %first = arith.muli %t, %c4 : index
    %left = arith.subi %n, %first : index
    %size = arith.minui %left, %c4 : index
    %missing = arith.subi %c4, %size : index
    %part = tensor.extract_slice %x[0, %first, 0] [3, %size, 64] [1, 1, 1] : tensor<3x?x64xf32> to tensor<3x?x64xf32>
    %new = tensor.empty(%size) : tensor<3x?x64xf32>
    %twice = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%part : tensor<3x?x64xf32>) outs(%new : tensor<3x?x64xf32>) {
    ^bb0(%a: f32, %c: f32):
      %b = arith.addf %a, %a : f32
      linalg.yield %b : f32
    } -> tensor<3x?x64xf32>
    %padded = tensor.pad %twice low[0, 0, 0] high[0, %missing, 0] {
    ^bb0(%i: index, %j: index, %k: index):
      tensor.yield %zero : f32
    } : tensor<3x?x64xf32> to tensor<3x4x64xf32>
    %rows = tensor.collapse_shape %padded [[0, 1], [2]] : tensor<3x4x64xf32> into tensor<12x64xf32>
    %again = tensor.expand_shape %rows [[0, 1], [2]] output_shape [3, 4, 64] : tensor<12x64xf32> into tensor<3x4x64xf32>
    %whole = tensor.empty() : tensor<3x4x64xf32>
    %placed = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%again : tensor<3x4x64xf32>) outs(%whole : tensor<3x4x64xf32>) {
    ^bb0(%a: f32, %c: f32):
      %i = linalg.index 1 : index
      %i32 = arith.index_cast %i : index to i32
      %f = arith.sitofp %i32 : i32 to f32
      %m = arith.mulf %a, %f : f32
      linalg.yield %m : f32
    } -> tensor<3x4x64xf32>
    %stored = tensor.extract_slice %placed[0, 0, 0] [3, %size, 64] [1, 1, 1] : tensor<3x4x64xf32> to tensor<3x?x64xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %stored into %out[0, %first, 0] [3, %size, 64] [1, 1, 1] : tensor<3x?x64xf32> into tensor<3x?x64xf32>
    }
  }
  return %o : tensor<3x?x64xf32>
}
