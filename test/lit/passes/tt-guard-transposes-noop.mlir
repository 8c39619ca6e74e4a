// RUN: aec-opt %s --allow-unregistered-dialect --tt-guard-transposes | FileCheck %s

// Declarations stay.
// CHECK-LABEL: sym_name = "declared"
"tt.func"() ({}) {sym_name = "declared"} : () -> ()

// Factors that stay: transposes of what is loaded, results that are not transposed or twice, transposes on the right,
// and what only the sums of a row of a result have a part in.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: tensor<64x64xf32>)
// CHECK-NEXT:    %[[ZERO:[^ ]+]] = arith.constant
// CHECK-NEXT:    %[[T:[^ ]+]] = "tt.trans"(%[[A]])
// CHECK-NEXT:    %[[S:[^ ]+]] = "tt.dot"(%[[T]], %[[A]], %[[ZERO]])
// CHECK-NEXT:    %[[S_T:[^ ]+]] = "tt.trans"(%[[S]])
// CHECK-NEXT:    %[[TWICE:[^ ]+]] = "tt.trans"(%[[S_T]])
// CHECK-NEXT:    "tt.dot"(%[[TWICE]], %[[A]], %[[ZERO]])
// CHECK-NEXT:    "tt.dot"(%[[S]], %[[S_T]], %[[ZERO]])
// CHECK-NEXT:    %[[ROW:[^ ]+]] = "tt.reduce"(%[[S]])
// CHECK:         %[[COLUMN:[^ ]+]] = "tt.expand_dims"(%[[ROW]])
// CHECK-NEXT:    %[[SPREAD:[^ ]+]] = "tt.broadcast"(%[[COLUMN]])
// CHECK-NEXT:    %[[SPREAD_T:[^ ]+]] = "tt.trans"(%[[SPREAD]])
// CHECK-NEXT:    "tt.dot"(%[[SPREAD_T]], %[[A]], %[[ZERO]])
"tt.func"() ({
^bb0(%a: tensor<64x64xf32>):
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %t = "tt.trans"(%a) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %s = "tt.dot"(%t, %a, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %u = "tt.trans"(%s) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %twice = "tt.trans"(%u) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %x = "tt.dot"(%twice, %a, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %y = "tt.dot"(%s, %u, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%b: f32, %c: f32):
    %d = arith.addf %b, %c : f32
    "tt.reduce.return"(%d) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x64xf32>
  %spread_t = "tt.trans"(%spread) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %z = "tt.dot"(%spread_t, %a, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  "test.use"(%x, %y, %z) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "other_factors"} : () -> ()

// Neither way around is without such a transpose where the other factor is a result, too.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[S:[^ ]+]] = "tt.dot"
// CHECK-NEXT:    %[[S_T:[^ ]+]] = "tt.trans"(%[[S]])
// CHECK-NEXT:    "tt.dot"(%[[S_T]], %[[S]],
"tt.func"() ({
^bb0(%a: tensor<64x64xf32>):
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %s = "tt.dot"(%a, %a, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %t = "tt.trans"(%s) {order = array<i32: 1, 0>} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  %o = "tt.dot"(%t, %s, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  "test.use"(%o) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "both"} : () -> ()
