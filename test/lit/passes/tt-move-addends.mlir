// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-move-addends | FileCheck %s

// A step of softmax with a number for all scores: it is added to the rows' maxima, and taken from what is subtracted.
// Where the maximum is that of this tile, the difference is that without the number.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[T:[^:]+]]: tensor<64x32xf32>, %[[OLD:[^:]+]]: tensor<64xf32>, %[[U:[^:]+]]: f32)
// CHECK-NOT:     arith.addf %[[T]]
// CHECK:         %[[L:[^ ]+]] = "tt.reduce"(%[[T]])
// CHECK:         %[[ROW:[^ ]+]] = "tt.splat"(%[[U]]) : (f32) -> tensor<64xf32>
// CHECK:         %[[R:[^ ]+]] = arith.addf %[[L]], %[[ROW]] : tensor<64xf32>
// CHECK:         %[[M:[^ ]+]] = arith.maximumf %[[OLD]], %[[R]] : tensor<64xf32>
// CHECK:         %[[SAFE:[^ ]+]] = arith.select %{{[^ ]+}}, %{{[^ ]+}}, %[[M]]
// CHECK:         %[[ABOVE:[^ ]+]] = arith.subf %[[SAFE]], %[[R]] : tensor<64xf32>
// CHECK:         %[[IS:[^ ]+]] = arith.cmpf oeq, %[[ABOVE]], %{{[^ ]+}} : tensor<64xf32>
// CHECK:         %[[LESS:[^ ]+]] = arith.subf %[[SAFE]], %[[ROW]] : tensor<64xf32>
// CHECK:         %[[LEFT:[^ ]+]] = arith.select %[[IS]], %[[L]], %[[LESS]]
// CHECK:         %[[COLUMN:[^ ]+]] = "tt.expand_dims"(%[[LEFT]]) {axis = 1 : i32}
// CHECK:         %[[SPREAD:[^ ]+]] = "tt.broadcast"(%[[COLUMN]])
// CHECK:         %[[D:[^ ]+]] = arith.subf %[[T]], %[[SPREAD]] : tensor<64x32xf32>
// CHECK:         "test.use"(%[[D]], %[[M]])
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %old: tensor<64xf32>, %u: f32):
  %spread = "tt.splat"(%u) : (f32) -> tensor<64x32xf32>
  %x = arith.addf %t, %spread : tensor<64x32xf32>
  %r = "tt.reduce"(%x) ({
  ^bb0(%a: f32, %b: f32):
    %y = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%y) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %m = arith.maximumf %old, %r : tensor<64xf32>
  %lowest = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %lowests = "tt.splat"(%lowest) : (f32) -> tensor<64xf32>
  %zeros = "tt.splat"(%zero) : (f32) -> tensor<64xf32>
  %empty = arith.cmpf oeq, %m, %lowests : tensor<64xf32>
  %safe = arith.select %empty, %zeros, %m : tensor<64xi1>, tensor<64xf32>
  %column = "tt.expand_dims"(%safe) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %columns = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %d = arith.subf %x, %columns : tensor<64x32xf32>
  "test.use"(%d, %m) : (tensor<64x32xf32>, tensor<64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "softmax"} : () -> ()

// -----

// A row that is subtracted from the tile, whose maximum is all that is subtracted then.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[T:[^:]+]]: tensor<64x32xf32>, %[[U:[^:]+]]: tensor<64xf32>)
// CHECK:         %[[L:[^ ]+]] = "tt.reduce"(%[[T]])
// CHECK:         %[[R:[^ ]+]] = arith.subf %[[L]], %[[U]] : tensor<64xf32>
// CHECK:         arith.subf %[[R]], %[[R]] : tensor<64xf32>
// CHECK:         %[[LESS:[^ ]+]] = arith.addf %[[R]], %[[U]] : tensor<64xf32>
// CHECK:         %[[LEFT:[^ ]+]] = arith.select %{{[^ ]+}}, %[[L]], %[[LESS]]
// CHECK:         arith.subf %[[T]], %{{[^ ]+}} : tensor<64x32xf32>
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %u: tensor<64xf32>):
  %c = "tt.expand_dims"(%u) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %spread = "tt.broadcast"(%c) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %x = arith.subf %t, %spread : tensor<64x32xf32>
  %r = "tt.reduce"(%x) ({
  ^bb0(%a: f32, %b: f32):
    %y = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%y) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %column = "tt.expand_dims"(%r) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %columns = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %d = arith.subf %x, %columns : tensor<64x32xf32>
  "test.use"(%d) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "first"} : () -> ()

// -----

// A multiple of distances: the columns' places stay in the tile, the row moves.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[T:[^:]+]]: tensor<64x32xf32>, %[[SLOPE:[^:]+]]: f32, %[[ROW:[^:]+]]: tensor<64xf32>)
// CHECK-DAG:     %[[COL:[^ ]+]] = arith.sitofp %{{[^ ]+}} : tensor<32xi32> to tensor<32xf32>
// CHECK-DAG:     %[[MINUS:[^ ]+]] = arith.subf %{{[^ ]+}}, %[[ROW]] : tensor<64xf32>
// CHECK-DAG:     %[[U:[^ ]+]] = arith.mulf %[[MINUS]], %{{[^ ]+}} : tensor<64xf32>
// CHECK-DAG:     %[[NEAR:[^ ]+]] = arith.mulf %[[COL]], %{{[^ ]+}} : tensor<32xf32>
// CHECK:         %[[NEARS:[^ ]+]] = "tt.broadcast"
// CHECK:         %[[X:[^ ]+]] = arith.addf %[[T]], %[[NEARS]] : tensor<64x32xf32>
// CHECK:         %[[L:[^ ]+]] = "tt.reduce"(%[[X]])
// CHECK:         %[[R:[^ ]+]] = arith.addf %[[L]], %[[U]] : tensor<64xf32>
// CHECK:         %[[LESS:[^ ]+]] = arith.subf %[[R]], %[[U]] : tensor<64xf32>
// CHECK:         arith.select %{{[^ ]+}}, %[[L]], %[[LESS]]
// CHECK:         arith.subf %[[X]], %{{[^ ]+}} : tensor<64x32xf32>
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %slope: f32, %row: tensor<64xf32>):
  %place = "tt.make_range"() {end = 32 : i32, start = 0 : i32} : () -> tensor<32xi32>
  %col = arith.sitofp %place : tensor<32xi32> to tensor<32xf32>
  %r1 = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %rows = "tt.broadcast"(%r1) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %c1 = "tt.expand_dims"(%col) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %cols = "tt.broadcast"(%c1) : (tensor<1x32xf32>) -> tensor<64x32xf32>
  %distance = arith.subf %cols, %rows : tensor<64x32xf32>
  %slopes = "tt.splat"(%slope) : (f32) -> tensor<64x32xf32>
  %u = arith.mulf %slopes, %distance : tensor<64x32xf32>
  %x = arith.addf %t, %u : tensor<64x32xf32>
  %r = "tt.reduce"(%x) ({
  ^bb0(%a: f32, %b: f32):
    %y = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%y) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %column = "tt.expand_dims"(%r) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %columns = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %d = arith.subf %x, %columns : tensor<64x32xf32>
  "test.use"(%d) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "distances"} : () -> ()
