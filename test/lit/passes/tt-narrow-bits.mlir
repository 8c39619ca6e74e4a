// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-narrow-bits | FileCheck %s

// The largest of two bits is at least 1 where one is set, the least is 0 where one is not.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: tensor<64xi1>, %[[B:[^:]+]]: tensor<64xi1>)
// CHECK-NOT:     arith.extui
// CHECK:         %[[ANY:[^ ]+]] = arith.ori %[[A]], %[[B]] : tensor<64xi1>
// CHECK:         %[[ALL:[^ ]+]] = arith.andi %[[A]], %[[B]] : tensor<64xi1>
// CHECK:         %[[NOT:[^ ]+]] = arith.xori %[[ALL]], %{{[^ ]+}} : tensor<64xi1>
// CHECK-NEXT:    "test.use"(%[[ANY]], %[[NOT]])
"tt.func"() ({
^bb0(%a: tensor<64xi1>, %b: tensor<64xi1>):
  %ones = arith.constant dense<1> : tensor<64xi32>
  %zero = arith.constant 0 : i32
  %zeros = "tt.splat"(%zero) : (i32) -> tensor<64xi32>
  %w = arith.extui %a : tensor<64xi1> to tensor<64xi64>
  %x = arith.trunci %w : tensor<64xi64> to tensor<64xi32>
  %y = arith.extui %b : tensor<64xi1> to tensor<64xi32>
  %most = arith.maxsi %x, %y : tensor<64xi32>
  %some = arith.cmpi sge, %most, %ones : tensor<64xi32>
  %least = arith.minsi %x, %y : tensor<64xi32>
  %none = arith.cmpi sle, %least, %zeros : tensor<64xi32>
  "test.use"(%some, %none) : (tensor<64xi1>, tensor<64xi1>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "taken"} : () -> ()

// -----

// Comparisons that are known, and what other integers have a part in.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: i1, %[[N:[^:]+]]: i32)
// CHECK-DAG:     %[[TRUE:[^ ]+]] = arith.constant true
// CHECK-DAG:     %[[X:[^ ]+]] = arith.extui %[[A]] : i1 to i32
// CHECK:         %[[MOST:[^ ]+]] = arith.maxsi %[[X]], %[[N]] : i32
// CHECK:         %[[LESS:[^ ]+]] = arith.cmpi slt, %[[X]], %[[N]] : i32
// CHECK-NEXT:    "test.use"(%[[TRUE]], %[[MOST]], %[[LESS]])
"tt.func"() ({
^bb0(%a: i1, %n: i32):
  %two = arith.constant 2 : i32
  %x = arith.extui %a : i1 to i32
  %known = arith.cmpi slt, %x, %two : i32
  %most = arith.maxsi %x, %n : i32
  %less = arith.cmpi slt, %x, %n : i32
  "test.use"(%known, %most, %less) : (i1, i32, i1) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "left"} : () -> ()
