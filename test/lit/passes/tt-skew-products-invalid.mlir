// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-skew-products --verify-diagnostics
// RUN: not aec-opt %s --split-input-file --tt-skew-products 2>&1 | FileCheck %s --check-prefix=STRICT

// STRICT: error: 'builtin.module' op needs a context that allows unregistered dialects
func.func @no_kernel() {
  return
}

// -----

// A kernel that only reads and multiplies has nothing to put off.
// expected-error @+1 {{'tt.func' op expects a loop over tiles that adds products to what it carries}}
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %v = "tt.descriptor_load"(%d, %number) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
  %o = "tt.dot"(%w, %v, %zero) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// So has one whose products don't add to what the loop carries.
// expected-error @+1 {{'tt.func' op expects a loop over tiles that adds products to what it carries}}
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %p = "tt.dot"(%w, %v, %zero) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %o = arith.maximumf %a, %p : tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// How often a loop around loops turns must be known.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  // expected-error @+1 {{'scf.for' op unsupported: a loop around loops over tiles that can't be unrolled}}
  %0 = scf.for %range = %c0 to %number step %c1 iter_args(%start = %zero) -> (tensor<64x16xf32>) : i32 {
    %1 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %start) -> (tensor<64x16xf32>) : i32 {
      %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
      %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
      scf.yield %o : tensor<64x16xf32>
    }
    scf.yield %1 : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// It must turn a few times only.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  // expected-error @+1 {{'scf.for' op unsupported: a loop around loops over tiles that can't be unrolled}}
  %0 = scf.for %range = %c0 to %c8 step %c1 iter_args(%start = %zero) -> (tensor<64x16xf32>) : i32 {
    %1 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %start) -> (tensor<64x16xf32>) : i32 {
      %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
      %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
      scf.yield %o : tensor<64x16xf32>
    }
    scf.yield %1 : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Tiles are visited one after the other.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  // expected-error @+1 {{'scf.for' op unsupported: a loop over tiles with another step than 1}}
  %0 = scf.for %n = %c0 to %c8 step %c8 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// What is yielded would be there one turn later.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    // expected-error @+1 {{'tt.dot' op expects a product that adds to a carried value to be used by no other}}
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    "test.look"(%o) : (tensor<64x16xf32>) -> ()
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// Nobody else sees the accumulator, which is a product behind.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    "test.look"(%a) : (tensor<64x16xf32>) -> ()
    // expected-error @+1 {{'tt.dot' op expects the value that a product adds to to be used by nothing else}}
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A tile that is read by pointers may not be read where the loop does not come.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32, %at: tensor<16x16x!tt.ptr<bf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    // expected-error @+1 {{'tt.load' op expects tiles of v to be read by 'tt.descriptor_load'}}
    %v = "tt.load"(%at) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<16x16x!tt.ptr<bf16>>) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// The tile of the turn before is found by its number alone.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0:2 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero, %row = %c0) -> (tensor<64x16xf32>, i32) : i32 {
    // expected-error @+1 {{'tt.descriptor_load' op expects tiles of v to depend on nothing that is carried}}
    %v = "tt.descriptor_load"(%d, %row) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %next = arith.addi %row, %c8 : i32
    scf.yield %o, %next : tensor<64x16xf32>, i32
  }
  "test.use"(%0#0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// A chain of loops carries one accumulator.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  // expected-error @+1 {{'scf.for' op expects a loop over tiles to go on where the one before it stops}}
  %1 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  } {attn.masked}
  "test.use"(%0, %1) : (tensor<64x16xf32>, tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// What stands between two loops would see it too early.
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  // expected-error @+1 {{'scf.for' op expects what a loop over tiles carries to be used by the next alone}}
  %1 = scf.for %n = %c0 to %c8 step %c1 iter_args(%a = %0) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  } {attn.masked}
  "test.use"(%1) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()

// -----

// The first tile needs a body that is right for any, or a loop that has one.
// expected-error @+1 {{'tt.func' op expects a loop over tiles with the attribute 'attn.masked'}}
"tt.func"() ({
^bb0(%w: tensor<64x16xbf16>, %d: !tt.tensordesc<tensor<16x16xbf16>>, %number: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %number step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %v = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f"} : () -> ()
