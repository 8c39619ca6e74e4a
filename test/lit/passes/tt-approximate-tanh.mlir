// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-approximate-tanh | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-approximate-tanh=narrow=true | FileCheck %s --check-prefix=NARROW

// In loops and branches too, on tensors and on scalars.
// NARROW-LABEL: "tt.func"
// NARROW-NOT:     tt.elementwise_inline_asm
// NARROW:         sym_name = "capped"
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
// NARROW-LABEL: "tt.func"
// NARROW-NOT:     tt.elementwise_inline_asm
// NARROW:         sym_name = "others"
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

// -----

// Only where all products are of 16-bit factors.
// CHECK-LABEL: "tt.func"
// CHECK:         "tt.elementwise_inline_asm"
// CHECK-LABEL: "tt.func"
// CHECK:         "tt.elementwise_inline_asm"
// NARROW-LABEL: "tt.func"
// NARROW:         "tt.elementwise_inline_asm"
// NARROW:         sym_name = "narrow"
// NARROW-LABEL: "tt.func"
// NARROW:         tt.extern_elementwise
// NARROW:         sym_name = "wide"
"tt.func"() ({
^bb0(%q: tensor<64x16xbf16>, %k: tensor<16x64xbf16>, %none: tensor<64x64xf32>):
  %s = "tt.dot"(%q, %k, %none) : (tensor<64x16xbf16>, tensor<16x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %t = "tt.extern_elementwise"(%s) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  "test.use"(%t) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "narrow"} : () -> ()
"tt.func"() ({
^bb0(%q: tensor<64x16xf32>, %k: tensor<16x64xf32>, %none: tensor<64x64xf32>):
  %s = "tt.dot"(%q, %k, %none) : (tensor<64x16xf32>, tensor<16x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %t = "tt.extern_elementwise"(%s) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (tensor<64x64xf32>) -> tensor<64x64xf32>
  "test.use"(%t) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "wide"} : () -> ()

// -----

// A product with the factors of the argument in one; one factor stays as it is, and so do factors that f32 can't hold as one.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[X:[^:]+]]: f32)
// CHECK:         %[[F:[^ ]+]] = arith.constant 2.500000e-01 : f32
// CHECK-NEXT:    %[[Y:[^ ]+]] = arith.mulf %[[X]], %[[F]] : f32
// CHECK-NEXT:    %[[A:[^ ]+]] = "tt.elementwise_inline_asm"(%[[Y]])
// CHECK:         %[[Z:[^ ]+]] = arith.divf %[[X]], %{{[^ ]+}} : f32
// CHECK-NEXT:    %[[B:[^ ]+]] = "tt.elementwise_inline_asm"(%[[Z]])
// CHECK:         arith.mulf
// CHECK-NEXT:    arith.mulf
// CHECK-NEXT:    "tt.elementwise_inline_asm"
"tt.func"() ({
^bb0(%x: f32):
  %half = arith.constant 5.0e-01 : f32
  %two = arith.constant 2.0 : f32
  %small = arith.constant 1.0e-30 : f32
  %0 = arith.mulf %half, %x : f32
  %1 = arith.divf %0, %two : f32
  %a = "tt.extern_elementwise"(%1) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (f32) -> f32
  %2 = arith.divf %x, %two : f32
  %b = "tt.extern_elementwise"(%2) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (f32) -> f32
  %3 = arith.mulf %x, %small : f32
  %4 = arith.mulf %3, %small : f32
  %c = "tt.extern_elementwise"(%4) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (f32) -> f32
  "test.use"(%a, %b, %c) : (f32, f32, f32) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "factors"} : () -> ()

// -----

// A declaration.
// CHECK-LABEL: "tt.func"
// CHECK:         sym_name = "declared"
"tt.func"() ({}) {sym_name = "declared"} : () -> ()
