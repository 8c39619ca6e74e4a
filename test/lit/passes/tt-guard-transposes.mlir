// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-guard-transposes | FileCheck %s

// The result of a product is scaled and rounded, and multiplied from the left after it is transposed: it is the factor
// on the right of the transposed product.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[Q:[^:]+]]: tensor<64x16xbf16>, %[[K:[^:]+]]: tensor<16x128xbf16>, %[[V:[^:]+]]: tensor<64x32xbf16>, %[[C:[^:]+]]: tensor<128x32xf32>)
// CHECK:         %[[S:[^ ]+]] = "tt.dot"(%[[Q]], %[[K]],
// CHECK:         %[[SCALED:[^ ]+]] = arith.mulf %[[S]],
// CHECK:         %[[W:[^ ]+]] = arith.truncf %[[SCALED]] : tensor<64x128xf32> to tensor<64x128xbf16>
// CHECK:         %[[V_T:[^ ]+]] = "tt.trans"(%[[V]]) {order = array<i32: 1, 0>} : (tensor<64x32xbf16>) -> tensor<32x64xbf16>
// CHECK:         %[[C_T:[^ ]+]] = "tt.trans"(%[[C]]) {order = array<i32: 1, 0>} : (tensor<128x32xf32>) -> tensor<32x128xf32>
// CHECK:         %[[O_T:[^ ]+]] = "tt.dot"(%[[V_T]], %[[W]], %[[C_T]]) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32}
// CHECK:         %[[O:[^ ]+]] = "tt.trans"(%[[O_T]]) {order = array<i32: 1, 0>} : (tensor<32x128xf32>) -> tensor<128x32xf32>
// CHECK-NEXT:    "test.use"(%[[O]])
"tt.func"() ({
^bb0(%q: tensor<64x16xbf16>, %k: tensor<16x128xbf16>, %v: tensor<64x32xbf16>, %c: tensor<128x32xf32>):
  %zero = arith.constant dense<0.0> : tensor<64x128xf32>
  %half = arith.constant dense<0.5> : tensor<64x128xf32>
  %s = "tt.dot"(%q, %k, %zero) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x16xbf16>, tensor<16x128xbf16>, tensor<64x128xf32>) -> tensor<64x128xf32>
  %scaled = arith.mulf %s, %half : tensor<64x128xf32>
  %w = arith.truncf %scaled : tensor<64x128xf32> to tensor<64x128xbf16>
  %t = "tt.trans"(%w) {order = array<i32: 1, 0>} : (tensor<64x128xbf16>) -> tensor<128x64xbf16>
  %o = "tt.dot"(%t, %v, %c) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<128x64xbf16>, tensor<64x32xbf16>, tensor<128x32xf32>) -> tensor<128x32xf32>
  "test.use"(%o) : (tensor<128x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "rounded"} : () -> ()

// -----

// What is done to a transpose is done to what is not transposed, and numbers take its shape.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: tensor<64x64xbf16>, %[[V:[^:]+]]: tensor<64x32xbf16>, %[[X:[^:]+]]: tensor<128x64xf32>, %[[N:[^:]+]]: f32)
// CHECK:         %[[S:[^ ]+]] = "tt.dot"(%[[A]],
// CHECK:         %[[V_T:[^ ]+]] = "tt.trans"(%[[V]])
// CHECK:         %[[NS:[^ ]+]] = "tt.splat"(%[[N]]) : (f32) -> tensor<64x128xf32>
// CHECK:         %[[SCALED:[^ ]+]] = arith.mulf %[[S]], %[[NS]] : tensor<64x128xf32>
// CHECK:         %[[X_T:[^ ]+]] = "tt.trans"(%[[X]])
// CHECK:         %[[SUM:[^ ]+]] = arith.addf %[[SCALED]], %[[X_T]] : tensor<64x128xf32>
// CHECK:         %[[W:[^ ]+]] = arith.truncf %[[SUM]] : tensor<64x128xf32> to tensor<64x128xbf16>
// CHECK:         %[[ZERO:[^ ]+]] = arith.constant dense<0.000000e+00> : tensor<32x128xf32>
// CHECK:         "tt.dot"(%[[V_T]], %[[W]], %[[ZERO]])
"tt.func"() ({
^bb0(%a: tensor<64x64xbf16>, %v: tensor<64x32xbf16>, %x: tensor<128x64xf32>, %n: f32):
  %b = arith.constant dense<1.0> : tensor<64x128xbf16>
  %zero = arith.constant dense<0.0> : tensor<64x128xf32>
  %zeros = arith.constant dense<0.0> : tensor<128x32xf32>
  %ns = "tt.splat"(%n) : (f32) -> tensor<128x64xf32>
  %s = "tt.dot"(%a, %b, %zero) : (tensor<64x64xbf16>, tensor<64x128xbf16>, tensor<64x128xf32>) -> tensor<64x128xf32>
  %t = "tt.trans"(%s) {order = array<i32: 1, 0>} : (tensor<64x128xf32>) -> tensor<128x64xf32>
  %scaled = arith.mulf %t, %ns : tensor<128x64xf32>
  %sum = arith.addf %scaled, %x : tensor<128x64xf32>
  %w = arith.truncf %sum : tensor<128x64xf32> to tensor<128x64xbf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<128x64xbf16>, tensor<64x32xbf16>, tensor<128x32xf32>) -> tensor<128x32xf32>
  "test.use"(%o) : (tensor<128x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "of_transpose"} : () -> ()

// -----

// Sums of a loop are such results, as what the loop begins with is, or what a branch gives.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: tensor<64x64xf32>, %[[V:[^:]+]]: tensor<64x64xf32>,
// CHECK:         scf.for {{.*}} iter_args(%[[IN:[^ ]+]] = %[[A]], %[[SUM:[^ ]+]] =
// CHECK:           %[[V_T:[^ ]+]] = "tt.trans"(%[[V]])
// CHECK:           "tt.dot"(%[[V_T]], %[[IN]],
// CHECK:         %[[PICKED:[^ ]+]] = scf.if
// CHECK:         %[[U_T:[^ ]+]] = "tt.trans"(%[[V]])
// CHECK:         "tt.dot"(%[[U_T]], %[[PICKED]],
"tt.func"() ({
^bb0(%a: tensor<64x64xf32>, %v: tensor<64x64xf32>, %n: index, %bit: i1):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%in = %a, %sum = %zero) -> (tensor<64x64xf32>, tensor<64x64xf32>) {
    %next = "tt.dot"(%v, %v, %in) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
    %t = "tt.trans"(%in) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
    %o = "tt.dot"(%t, %v, %sum) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
    scf.yield %next, %o : tensor<64x64xf32>, tensor<64x64xf32>
  }
  %picked = scf.if %bit -> (tensor<64x64xf32>) {
    scf.yield %r#1 : tensor<64x64xf32>
  } else {
    scf.yield %a : tensor<64x64xf32>
  }
  %u = "tt.trans"(%picked) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %p = "tt.dot"(%u, %v, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  "test.use"(%p) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "carried"} : () -> ()
