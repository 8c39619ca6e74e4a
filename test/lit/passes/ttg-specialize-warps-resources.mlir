// RUN: not aec-opt %s --allow-unregistered-dialect '--ttg-specialize-warps=stages=3 shared-bytes=11000' 2>&1 | FileCheck %s --check-prefix=SHARED
// RUN: aec-opt %s --allow-unregistered-dialect '--ttg-specialize-warps=stages=3 shared-bytes=11328' | FileCheck %s --check-prefix=FITS
// RUN: not aec-opt %s --allow-unregistered-dialect '--ttg-specialize-warps=stages=3 registers=16384' 2>&1 | FileCheck %s --check-prefix=REGISTERS

// Two tiles of 64 rows of q and three of 16 keys, of 64 bytes each row, and eight barriers. Of the registers a thread
// needs those of both products, 64 times 16 and 64 times 32 numbers by 128 threads, and of what is multiplied with v.
// SHARED: error: 'tt.func' op needs 11328 bytes of shared memory, a block may have 11000
// FITS: "ttg.warp_specialize"
// REGISTERS: error: 'scf.for' op needs about {{[0-9]+}} registers of a thread, which may have 48: tiles are too large
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c16 = arith.constant 16 : i32
  %c64 = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<128x16xf32>
  %zero = arith.constant dense<0.0> : tensor<128x32xf32>
  %id = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %row = arith.muli %id, %c64 : i32
  %q = "tt.descriptor_load"(%dq, %row, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %acc = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x32xf32>) : i32 {
    %key = arith.muli %n, %c16 : i32
    %k = "tt.descriptor_load"(%dk, %key, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    %w = arith.truncf %s : tensor<128x16xf32> to tensor<128x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<128x16xbf16>, tensor<16x32xbf16>, tensor<128x32xf32>) -> tensor<128x32xf32>
    scf.yield %o : tensor<128x32xf32>
  }
  %r = arith.truncf %acc : tensor<128x32xf32> to tensor<128x32xbf16>
  "tt.descriptor_store"(%do, %r, %row, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, tensor<128x32xbf16>, i32, i32) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [{}, {}, {}, {}], function_type = (i32, !tt.tensordesc<tensor<128x32xbf16>>, !tt.tensordesc<tensor<16x32xbf16>>, !tt.tensordesc<tensor<128x32xbf16>>) -> (), sym_name = "k"} : () -> ()
