// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-move-addends | FileCheck %s

// What is no kernel stays, and so do declarations.
// CHECK-LABEL: func.func @host
// CHECK:         arith.addf
func.func @host(%x: f32) -> f32 {
  %e = arith.addf %x, %x : f32
  return %e : f32
}
// CHECK-LABEL: sym_name = "declared"
"tt.func"() ({}) {sym_name = "declared"} : () -> ()

// -----

// The sum is needed itself.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[X:[^ ]+]] = arith.addf
// CHECK:         "tt.reduce"(%[[X]])
// CHECK:         arith.subf %[[X]]
// CHECK:         "test.use"(%{{[^ ]+}}, %[[X]])
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %u: f32):
  %spread = "tt.splat"(%u) : (f32) -> tensor<64x32xf32>
  %x = arith.addf %t, %spread : tensor<64x32xf32>
  %r = "tt.reduce"(%x) ({
  ^bb0(%a: f32, %b: f32):
    %y = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%y) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %column = "tt.expand_dims"(%r) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %columns = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %d = arith.subf %x, %columns : tensor<64x32xf32>
  "test.use"(%d, %x) : (tensor<64x32xf32>, tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "needed"} : () -> ()

// -----

// What is added varies along the rows, and so does what is subtracted of another sum.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[X:[^ ]+]] = arith.addf
// CHECK:         "tt.reduce"(%[[X]])
// CHECK:         arith.subf %[[X]]
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %u: tensor<32xf32>):
  %c = "tt.expand_dims"(%u) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %spread = "tt.broadcast"(%c) : (tensor<1x32xf32>) -> tensor<64x32xf32>
  %x = arith.addf %t, %spread : tensor<64x32xf32>
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
}) {sym_name = "varies"} : () -> ()

// -----

// The rows that are subtracted may be less than the maximum.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[X:[^ ]+]] = arith.addf
// CHECK:         "tt.reduce"(%[[X]])
// CHECK:         arith.subf %[[X]]
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %u: f32, %m: tensor<64xf32>):
  %spread = "tt.splat"(%u) : (f32) -> tensor<64x32xf32>
  %x = arith.addf %t, %spread : tensor<64x32xf32>
  %r = "tt.reduce"(%x) ({
  ^bb0(%a: f32, %b: f32):
    %y = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%y) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %least = arith.minimumf %m, %r : tensor<64xf32>
  %column = "tt.expand_dims"(%least) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %columns = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %d = arith.subf %x, %columns : tensor<64x32xf32>
  "test.use"(%d, %r) : (tensor<64x32xf32>, tensor<64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "less"} : () -> ()

// -----

// A difference of rows and columns that may be large numbers: it is what is added.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[GAP:[^ ]+]] = arith.subf %{{[^ ]+}}, %{{[^ ]+}} : tensor<64x32xf32>
// CHECK-NEXT:    arith.addf %{{[^ ]+}}, %[[GAP]] : tensor<64x32xf32>
"tt.func"() ({
^bb0(%t: tensor<64x32xf32>, %row: tensor<64xf32>, %col: tensor<32xf32>):
  %r1 = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %rows = "tt.broadcast"(%r1) : (tensor<64x1xf32>) -> tensor<64x32xf32>
  %c1 = "tt.expand_dims"(%col) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %cols = "tt.broadcast"(%c1) : (tensor<1x32xf32>) -> tensor<64x32xf32>
  %gap = arith.subf %cols, %rows : tensor<64x32xf32>
  %x = arith.addf %t, %gap : tensor<64x32xf32>
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
}) {sym_name = "gap"} : () -> ()
