// RUN: aec-opt %s --allow-unregistered-dialect --ttg-specialize-warps=consumers=1 | FileCheck %s
// RUN: aec-opt %s --allow-unregistered-dialect '--ttg-specialize-warps=consumers=1 programs=132' | FileCheck %s --check-prefix=FEW

// What may be computed again is, after everything else: the result is stored if it is right, and else the other one.
// CHECK-LABEL: "tt.func"
// CHECK:         "ttg.warp_specialize"
// CHECK:           %[[ACC:[^ :]+]]:2 = scf.for
// CHECK:           %[[RIGHT:[^ ]+]] = arith.cmpf oeq
// CHECK-NOT:       "tt.load"
// CHECK:           %[[R:[^ ]+]] = arith.truncf %[[ACC]]#0
// CHECK:           scf.if %[[RIGHT]] {
// CHECK:             "ttg.local_store"(%[[R]],
// CHECK:             "ttng.async_tma_copy_local_to_global"
// CHECK:           }
// CHECK:           %[[WRONG:[^ ]+]] = arith.xori %[[RIGHT]], %{{[^ ]+}} : i1
// CHECK-NEXT:      scf.if %[[WRONG]] {
// CHECK-NOT:         scf.for
// CHECK:             %[[OTHER:[^ ]+]] = "tt.load"
// CHECK:             %[[S:[^ ]+]] = arith.truncf %[[OTHER]]
// CHECK:             "ttg.local_store"(%[[S]],
// CHECK:             "ttng.async_tma_copy_local_to_global"
// CHECK:           "ttg.warp_yield"

// A program with several tiles of rows remembers which were not right until all are computed.
// FEW-LABEL: "tt.func"
// FEW:         "ttg.warp_specialize"
// FEW:           %[[LOOP:[^ :]+]]:4 = scf.for {{.*}} -> (i32, i32, i32, i64)
// FEW:             %[[RIGHT:[^ ]+]] = arith.cmpf oeq
// FEW:             arith.select %[[RIGHT]], {{.*}} : i64
// FEW-NEXT:        scf.yield
// FEW:           %[[ANY:[^ ]+]] = arith.cmpi slt, %[[LOOP]]#1, %[[LOOP]]#2 : i32
// FEW-NEXT:      scf.if %[[ANY]] {
// FEW:             scf.for %[[TILE:[^ ]+]] = %[[LOOP]]#1 to %[[LOOP]]#2 step
// FEW:               arith.shrui %[[LOOP]]#3, %{{[^ ]+}} : i64
// FEW:               scf.if
// FEW:                 "tt.load"
// FEW:                 "ttng.async_tma_copy_local_to_global"
// FEW:           "ttg.warp_yield"
"tt.func"() ({
^bb0(%tiles: i32, %p: !tt.ptr<f32>, %dq: !tt.tensordesc<tensor<64x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<64x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c16 = arith.constant 16 : i32
  %c64 = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %zero = arith.constant dense<0.0> : tensor<64x32xf32>
  %id = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %row = arith.muli %id, %c64 : i32
  %q = "tt.descriptor_load"(%dq, %row, %c0) : (!tt.tensordesc<tensor<64x32xbf16>>, i32, i32) -> tensor<64x32xbf16>
  %acc = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<64x32xf32>) : i32 {
    %key = arith.muli %n, %c16 : i32
    %k = "tt.descriptor_load"(%dk, %key, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %w = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %o : tensor<64x32xf32>
  }
  %low = arith.constant 0.0 : f32
  %sums = "tt.reduce"(%acc) ({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.reduce.return"(%z) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x32xf32>) -> tensor<64xf32>
  %sum = "tt.reduce"(%sums) ({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.reduce.return"(%z) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<64xf32>) -> f32
  %finite = arith.cmpf oeq, %sum, %low : f32
  %right = scf.if %finite -> (tensor<64x32xf32>) {
    scf.yield %acc : tensor<64x32xf32>
  } else {
    %places = "tt.splat"(%p) : (!tt.ptr<f32>) -> tensor<64x32x!tt.ptr<f32>>
    %again = "tt.load"(%places) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32, isVolatile = false, operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<64x32x!tt.ptr<f32>>) -> tensor<64x32xf32>
    scf.yield %again : tensor<64x32xf32>
  } {attn.retry}
  %r = arith.truncf %right : tensor<64x32xf32> to tensor<64x32xbf16>
  "tt.descriptor_store"(%do, %r, %row, %c0) : (!tt.tensordesc<tensor<64x32xbf16>>, tensor<64x32xbf16>, i32, i32) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [{}, {}, {}, {}, {}], function_type = (i32, !tt.ptr<f32>, !tt.tensordesc<tensor<64x32xbf16>>, !tt.tensordesc<tensor<16x32xbf16>>, !tt.tensordesc<tensor<64x32xbf16>>) -> (), sym_name = "k"} : () -> ()
