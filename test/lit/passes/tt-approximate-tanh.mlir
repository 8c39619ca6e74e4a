// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-approximate-tanh | FileCheck %s

// In loops and branches too, on tensors and on scalars.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[X:[^:]+]]: tensor<64x64xf32>, %[[Y:[^:]+]]: f32, %[[N:[^:]+]]: i32)
// CHECK-NOT:     tt.extern_elementwise
// CHECK:         scf.for
// CHECK:           %[[T:[^ ]+]] = "tt.elementwise_inline_asm"(%[[X]])
// CHECK-SAME:        {asm_string = "tanh.approx.f32 $0, $1;", constraints = "=f,f", packed_element = 1 : i32, pure = true}
// CHECK-SAME:        : (tensor<64x64xf32>) -> tensor<64x64xf32>
// CHECK-NEXT:      "test.use"(%[[T]])
// CHECK:         %[[U:[^ ]+]] = "tt.elementwise_inline_asm"(%[[Y]])
// CHECK-SAME:      : (f32) -> f32
// CHECK-NEXT:    "test.use"(%[[U]])
"tt.func"() ({
^bb0(%x: tensor<64x64xf32>, %y: f32, %n: i32):
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  scf.for %i = %zero to %n step %one : i32 {
    %t = "tt.extern_elementwise"(%x) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (tensor<64x64xf32>) -> tensor<64x64xf32>
    "test.use"(%t) : (tensor<64x64xf32>) -> ()
  }
  %u = "tt.extern_elementwise"(%y) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (f32) -> f32
  "test.use"(%u) : (f32) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "capped"} : () -> ()

// -----

// Other functions stay, as do tanh of f64, and of other libraries: those of other GPUs.
// CHECK-LABEL: "tt.func"
// CHECK:         symbol = "__nv_tanf"
// CHECK:         symbol = "__nv_tanh"
// CHECK:         symbol = "__ocml_tanh_f32"
"tt.func"() ({
^bb0(%x: f32, %y: f64):
  %a = "tt.extern_elementwise"(%x) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanf"} : (f32) -> f32
  %b = "tt.extern_elementwise"(%y) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanh"} : (f64) -> f64
  %c = "tt.extern_elementwise"(%x) {libname = "ocml", libpath = "", pure = true, symbol = "__ocml_tanh_f32"} : (f32) -> f32
  "test.use"(%a, %b, %c) : (f32, f64, f32) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "others"} : () -> ()
