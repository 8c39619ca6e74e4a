// RUN: aec-opt %s --allow-unregistered-dialect --ttg-specialize-warps | FileCheck %s

// What the host does stays: only kernels are looked at.
// CHECK-LABEL: func.func @host
// CHECK-NEXT:    "tt_host.launch"
// CHECK-NEXT:    scf.for
// CHECK-NEXT:      arith.addf
// CHECK-NEXT:      scf.yield
func.func @host(%n: index, %x: f32) -> f32 {
  "tt_host.launch"(%n) {kernel = @k} : (index) -> ()
  %y = scf.for %i = %n to %n step %n iter_args(%a = %x) -> (f32) {
    %b = arith.addf %a, %a : f32
    scf.yield %b : f32
  }
  return %y : f32
}

// A kernel without products stays as it is: it has nothing for groups of warps to overlap.
// CHECK-LABEL: "tt.func"
// CHECK-NOT:     ttg.
// CHECK:         "tt.store"
// CHECK:         sym_name = "lists"
"tt.func"() ({
^bb0(%to: !tt.ptr<i32>, %n: i32):
  "tt.store"(%to, %n) : (!tt.ptr<i32>, i32) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "lists"} : () -> ()

// Nor does one with products that are none of attention.
// CHECK-LABEL: "tt.func"
// CHECK-NOT:     ttg.
// CHECK:         "tt.dot"
// CHECK:         sym_name = "projection"
"tt.func"() ({
^bb0(%x: tensor<16x16xf32>):
  %z = "tt.dot"(%x, %x, %x) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "projection", tt_host.without_layouts} : () -> ()
