// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-specialize-warps --verify-diagnostics
// RUN: not aec-opt %s --split-input-file --ttg-specialize-warps 2>&1 | FileCheck %s --check-prefix=STRICT
// RUN: not aec-opt %s --ttg-specialize-warps=consumers=4 2>&1 | FileCheck %s --check-prefix=CONSUMERS
// RUN: not aec-opt %s --ttg-specialize-warps=stages=0 2>&1 | FileCheck %s --check-prefix=STAGES
// RUN: not aec-opt %s --ttg-specialize-warps=programs=-1 2>&1 | FileCheck %s --check-prefix=PROGRAMS

// STRICT: error: 'builtin.module' op needs a context that allows unregistered dialects
// CONSUMERS: pass 'ttg-specialize-warps': expects consumers to be 1 to 3, got 4
// STAGES: pass 'ttg-specialize-warps': expects stages to be 1 to 8, got 0
// PROGRAMS: pass 'ttg-specialize-warps': expects programs to be 0 or more, got -1
func.func @no_kernel() {
  return
}

// -----

// Tiles of keys are read in a loop.
// expected-error @+1 {{'tt.func' op expects a loop that reads tiles by descriptors}}
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %k = "tt.descriptor_load"(%dk, %c0, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
  %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %s = "tt.dot"(%q, %kt, %zero) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Rows are those of a tile that is read once, for all tiles of keys.
// expected-error @+1 {{'tt.func' op expects a tile of rows that is read by a descriptor}}
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>, %p: tensor<128x32xbf16>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%p, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Each group of warps has 64 rows.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<64x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<64x32xbf16>>, %at: tensor<64x16x!tt.ptr<f32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  // expected-error @+1 {{'tt.descriptor_load' op expects tiles of 128 rows, 64 for each of 2 groups of warps, got 64}}
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<64x32xbf16>>, i32, i32) -> tensor<64x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %s : tensor<64x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<64x16x!tt.ptr<f32>>, tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// The number of copies of a step is known.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  %yes = arith.cmpi eq, %tiles, %c1 : i32
  scf.if %yes {
    // expected-error @+1 {{'tt.descriptor_load' op unsupported: a load by a descriptor in a branch}}
    %more = "tt.descriptor_load"(%dk, %c0, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// So it is in each turn.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>, %yes: i1):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  // expected-error @+1 {{'scf.for' op unsupported: a load by a descriptor in a loop or branch of a loop}}
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    scf.if %yes {
      %more = "tt.descriptor_load"(%dk, %c0, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    }
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// All loops use the same rings.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>, %dv: !tt.tensordesc<tensor<16x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  // expected-error @+1 {{'scf.for' op unsupported: loops that read tiles of different tensors}}
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  %1 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %0) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dv, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %1) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// A sum over rows of all groups would have to be exchanged.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    %sums = "tt.reduce"(%s) ({
    ^bb0(%x: f32, %y: f32):
      %z = arith.addf %x, %y : f32
      "tt.reduce.return"(%z) : (f32) -> ()
    }) {axis = 0 : i32} : (tensor<128x16xf32>) -> tensor<16xf32>
    // expected-error @+1 {{'tt.expand_dims' op unsupported: a reduction over rows that is used for more than a condition}}
    %line = "tt.expand_dims"(%sums) {axis = 0 : i32} : (tensor<16xf32>) -> tensor<1x16xf32>
    %all = "tt.broadcast"(%line) : (tensor<1x16xf32>) -> tensor<128x16xf32>
    %next = arith.addf %s, %all : tensor<128x16xf32>
    scf.yield %next : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Rows are the first dimension.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>, %att: tensor<16x128x!tt.ptr<f32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    // expected-error @+1 {{'tt.trans' op unsupported: a tile of rows that is transposed}}
    %st = "tt.trans"(%s) {order = array<i32: 1, 0>} : (tensor<128x16xf32>) -> tensor<16x128xf32>
    "tt.store"(%att, %st) : (tensor<16x128x!tt.ptr<f32>>, tensor<16x128xf32>) -> ()
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// What an unknown operation does to dimensions is not known.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    // expected-error @+1 {{'test.what' op unsupported: an operation whose dimensions are not known}}
    "test.what"(%s) : (tensor<128x16xf32>) -> ()
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// The warp that copies computes with scalars.
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>, %at: tensor<128x16x!tt.ptr<f32>>, %where: tensor<1x!tt.ptr<i32>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %q = "tt.descriptor_load"(%dq, %c0, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %zero = arith.constant dense<0.0> : tensor<128x16xf32>
  %first = "tt.load"(%where) : (tensor<1x!tt.ptr<i32>>) -> tensor<1xi32>
  // expected-error @+1 {{'tt.reduce' op unsupported: places of tiles that are no arithmetic on scalars}}
  %number = "tt.reduce"(%first) ({
  ^bb0(%x: i32, %y: i32):
    %z = arith.addi %x, %y : i32
    "tt.reduce.return"(%z) : (i32) -> ()
  }) {axis = 0 : i32} : (tensor<1xi32>) -> i32
  %0 = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %number, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %a) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    scf.yield %s : tensor<128x16xf32>
  }
  "tt.store"(%at, %0) : (tensor<128x16x!tt.ptr<f32>>, tensor<128x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [], function_type = () -> (), sym_name = "f"} : () -> ()
