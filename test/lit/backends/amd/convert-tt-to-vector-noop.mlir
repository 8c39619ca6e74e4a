// RUN: aec-opt %s --allow-unregistered-dialect --convert-tt-to-vector | FileCheck %s

// A module without kernels gets no module for them.
// CHECK-LABEL: func.func @rest
// CHECK-NEXT:    %[[SUM:[^ ]+]] = arith.addi
// CHECK-NEXT:    "tt_host.other"(%[[SUM]])
// CHECK-NEXT:    return
// CHECK-NOT:   gpu.module
func.func @rest(%n: i32) {
  %sum = arith.addi %n, %n : i32
  "tt_host.other"(%sum) : (i32) -> ()
  return
}
