// RUN: aec-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect --convert-tt-to-vector

// Code in a machine's assembly.
"tt.func"() ({
^bb0(%x: f32):
  // expected-error @+1 {{'tt.elementwise_inline_asm' op unsupported: assembly in a kernel; options of attn-tt choose it}}
  %y = "tt.elementwise_inline_asm"(%x) {asm_string = "", constraints = "=f,f", packed_element = 1 : i32, pure = true} : (f32) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A function of another device's library.
"tt.func"() ({
^bb0(%x: f32):
  // expected-error @+1 {{'tt.extern_elementwise' op unsupported: the function '__nv_tanhf' of a library}}
  %y = "tt.extern_elementwise"(%x) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"} : (f32) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An operation without a form.
"tt.func"() ({
^bb0(%x: i32):
  %t = "tt.splat"(%x) : (i32) -> tensor<16xi32>
  // expected-error @+1 {{'tt.histogram' op unsupported: has no form on vectors}}
  %y = "tt.histogram"(%t) : (tensor<16xi32>) -> tensor<16xi32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A pointer that is selected.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %c: i1):
  // expected-error @+1 {{'arith.select' op unsupported: a value of type !tt.ptr<f32>}}
  %r = "arith.select"(%c, %p, %q) : (i1, !tt.ptr<f32>, !tt.ptr<f32>) -> !tt.ptr<f32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A pointer that a loop hands on.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %n: i32):
  // expected-error @+1 {{'scf.for' op unsupported: a value of type !tt.ptr<f32>}}
  %r = scf.for %i = %n to %n step %n iter_args(%q = %p) -> (!tt.ptr<f32>) : i32 {
    scf.yield %q : !tt.ptr<f32>
  }
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A pointer as an operand of something else.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>):
  // expected-error @+1 {{'tt.reduce' op unsupported: a pointer that is handed on or selected}}
  %r = "tt.reduce"(%p) ({
  }) {axis = 0 : i32} : (!tt.ptr<f32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Several operations that combine.
"tt.func"() ({
^bb0(%x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.reduce' op unsupported: combines by 2 operations, not by one}}
  %r = "tt.reduce"(%t) ({
  ^bb0(%a: f32, %b: f32):
    %c = arith.mulf %a, %b : f32
    %d = arith.addf %c, %b : f32
    "tt.reduce.return"(%d) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<16xf32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An operation that does not combine.
"tt.func"() ({
^bb0(%x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.reduce' op unsupported: combines by 'arith.subf'}}
  %r = "tt.reduce"(%t) ({
  ^bb0(%a: f32, %b: f32):
    %c = arith.subf %a, %b : f32
    "tt.reduce.return"(%c) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<16xf32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// One that does not take both.
"tt.func"() ({
^bb0(%x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.reduce' op unsupported: combines by 'arith.addf'}}
  %r = "tt.reduce"(%t) ({
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %a : f32
    "tt.reduce.return"(%c) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<16xf32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Several tensors in one reduction.
"tt.func"() ({
^bb0(%x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.reduce' op unsupported: several tensors at once}}
  %r:2 = "tt.reduce"(%t, %t) ({
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    "tt.reduce.return"(%a, %b) : (f32, f32) -> ()
  }) {axis = 0 : i32} : (tensor<16xf32>, tensor<16xf32>) -> (f32, f32)
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Places in a matrix that depend on what a program is given.
"tt.func"() ({
^bb0(%x: f32, %n: i32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16x16xf32>
  %s = "tt.splat"(%n) : (i32) -> tensor<16x16xi32>
  // expected-error @+1 {{'tt.gather' op unsupported: places in a tensor of several dimensions that are not known}}
  %r = "tt.gather"(%t, %s) {axis = 0 : i32} : (tensor<16x16xf32>, tensor<16x16xi32>) -> tensor<16x16xf32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A grid of two dimensions.
"tt.func"() ({
^bb0(%n: i32):
  // expected-error @+1 {{'tt.get_program_id' op unsupported: a grid of several dimensions}}
  %i = "tt.get_program_id"() {axis = 1 : i32} : () -> i32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Products of more than two dimensions.
"tt.func"() ({
^bb0(%x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<2x16x16xf32>
  // expected-error @+1 {{'tt.dot' op unsupported: a product of what are no matrices}}
  %r = "tt.dot"(%t, %t, %t) {inputPrecision = 2 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<2x16x16xf32>, tensor<2x16x16xf32>, tensor<2x16x16xf32>) -> tensor<2x16x16xf32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A tensor that is copied by a descriptor.
// expected-error @+1 {{'tt.func' op unsupported: a parameter of type !tt.tensordesc<tensor<16x16xf16>>}}
"tt.func"() ({
^bb0(%d: !tt.tensordesc<tensor<16x16xf16>>):
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Declarations.
// expected-error @+1 {{'tt.func' op expects a body}}
"tt.func"() ({}) {sym_name = "f"} : () -> ()

// -----

// Operations of kernels outside of them.
func.func @f() {
  // expected-error @+1 {{'tt.get_program_id' op expects to stand in a kernel}}
  %i = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  return
}

// -----

// The name of the module of kernels.
// expected-error @+1 {{'func.func' op expects another name than 'kernels', the kernels' own}}
func.func @kernels() {
  return
}
"tt.func"() ({
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An operand too few.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.addptr' op expects 2 operands, got 1}}
  %a = "tt.addptr"(%p) : (!tt.ptr<f32>) -> !tt.ptr<f32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An attribute that is missing.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.make_range' op expects the attribute 'end'}}
  %a = "tt.make_range"() {start = 0 : i32} : () -> tensor<16xi32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An attribute of another kind.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.expand_dims' op expects the attribute 'axis' to be an integer}}
  %a = "tt.expand_dims"(%t) {axis = "x"} : (tensor<16xf32>) -> tensor<1x16xf32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A region that is missing.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.reduce' op expects 1 region, got 0}}
  %a = "tt.reduce"(%t) {axis = 0 : i32} : (tensor<16xf32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Counts that are not those of the operands.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.load' op expects operandSegmentSizes of 1 operands, got [1, 1, 0]}}
  %a = "tt.load"(%p) {operandSegmentSizes = array<i32: 1, 1, 0>} : (!tt.ptr<f32>) -> f32
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// An axis that is not there.
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %x: f32):
  %t = "tt.splat"(%x) : (f32) -> tensor<16xf32>
  // expected-error @+1 {{'tt.gather' op expects an axis of its operand, which has 1 dimensions, got 1}}
  %a = "tt.gather"(%t, %t) {axis = 1 : i32} : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()
