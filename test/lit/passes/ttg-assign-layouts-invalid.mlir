// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-assign-layouts --verify-diagnostics
// RUN: not aec-opt %s --split-input-file --ttg-assign-layouts 2>&1 | FileCheck %s --check-prefix=STRICT

// STRICT: error: 'builtin.module' op needs a context that allows unregistered dialects
func.func @no_kernel() {
  return
}

// -----

// A kernel must have its roles already.
// expected-error @+1 {{'tt.func' op expects a kernel with one 'ttg.warp_specialize'}}
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %k: tensor<32x16xbf16>, %zero: tensor<64x16xf32>):
  %s = "tt.dot"(%q, %k, %zero) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "k"} : () -> ()

// -----

// The second factor of a product can't be registers.
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%n: i32, %yes: i1):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%n, %qs, %ks) ({
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %zero = arith.constant dense<0.0> : tensor<64x32xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %twice = arith.addf %kt, %kt : tensor<32x16xbf16>
    // expected-error @+1 {{'tt.dot' op unsupported: a product whose second factor is no tile in shared memory}}
    %s = "tt.dot"(%q, %twice, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (i32, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = (i32, i1) -> (), sym_name = "k"} : () -> ()

// -----

// What an unknown operation does to a layout is not known.
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%n: i32, %yes: i1):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%n, %qs, %ks) ({
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %zero = arith.constant dense<0.0> : tensor<64x32xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    // expected-error @+1 {{'test.what' op unsupported in a kernel with layouts}}
    "test.what"(%s) : (tensor<64x16xf32>) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (i32, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = (i32, i1) -> (), sym_name = "k"} : () -> ()

// -----

// What was computed is not transposed, which would move it between threads.
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%n: i32, %yes: i1, %to: !tt.ptr<f32>):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%n, %qs, %ks) ({
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %zero = arith.constant dense<0.0> : tensor<64x32xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    // expected-error @+1 {{'tt.dot' op unsupported: a computed tile that is transposed}}
    %s = "tt.dot"(%q, %kt, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %t = "tt.trans"(%s) {order = array<i32: 1, 0>} : (tensor<64x16xf32>) -> tensor<16x64xf32>
    %places = "tt.splat"(%to) : (!tt.ptr<f32>) -> tensor<16x64x!tt.ptr<f32>>
    "tt.store"(%places, %t) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32} : (tensor<16x64x!tt.ptr<f32>>, tensor<16x64xf32>) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (i32, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = (i32, i1) -> (), sym_name = "k"} : () -> ()
