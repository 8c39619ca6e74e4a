// RUN: aec-opt %s --allow-unregistered-dialect --ttg-specialize-warps=stages=2 | FileCheck %s

// The rows of a tile are 16 positions of each of 8 heads. A group of warps has those of 4: descriptors of rows copy so many
// at a time, as 64 rows of a buffer, and the second group begins 4 heads later.
// CHECK:       "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: i32, %{{[^:]+}}: !tt.tensordesc<tensor<4x16x32xbf16, {{[^%]*}}, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16, {{[^%]*}}, %{{[^:]+}}: !tt.tensordesc<tensor<4x16x32xbf16,
// CHECK-NEXT:    "ttg.local_alloc"() : () -> !ttg.memdesc<2x64x32xbf16,
// CHECK-NOT:     "tt.reshape"
// CHECK:         "ttg.warp_specialize"
// CHECK:           "ttng.async_tma_copy_local_to_global"(%{{[^ ]+}}, %[[HEAD:[^ ]+]], %{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}) : (!tt.tensordesc<tensor<4x16x32xbf16, {{.*}}, i32, i32, i32, !ttg.memdesc<64x32xbf16,
// CHECK:           "ttg.warp_yield"
// CHECK:           "ttg.warp_specialize.partitions"() ({
// CHECK:             %[[C4:[^ ]+]] = arith.constant 4 : i32
// CHECK:             "ttng.fence_async_shared"
// CHECK-NEXT:        %[[SECOND:[^ ]+]] = arith.addi %{{[^ ]+}}, %[[C4]] : i32
// CHECK-NEXT:        "ttng.async_tma_copy_local_to_global"(%{{[^ ]+}}, %[[SECOND]], %{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}})
// CHECK:             "ttg.warp_return"
// CHECK:             "ttng.async_tma_copy_global_to_local"(%{{[^ ]+}}, %[[FIRST:[^ ]+]], %[[ROW:[^ ]+]], %[[COLUMN:[^ ]+]], %{{[^ ]+}}
// CHECK:             %[[NEXT:[^ ]+]] = arith.addi %[[FIRST]], %{{[^ ]+}} : i32
// CHECK:             "ttng.async_tma_copy_global_to_local"(%{{[^ ]+}}, %[[NEXT]], %[[ROW]], %[[COLUMN]], %{{[^ ]+}}
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<8x16x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<8x16x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c16 = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<128x16xf32>
  %zero = arith.constant dense<0.0> : tensor<128x32xf32>
  %id = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %row = arith.muli %id, %c16 : i32
  %box = "tt.descriptor_load"(%dq, %c0, %row, %c0) : (!tt.tensordesc<tensor<8x16x32xbf16>>, i32, i32, i32) -> tensor<8x16x32xbf16>
  %q = "tt.reshape"(%box) : (tensor<8x16x32xbf16>) -> tensor<128x32xbf16>
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
  %rows = "tt.reshape"(%r) : (tensor<128x32xbf16>) -> tensor<8x16x32xbf16>
  "tt.descriptor_store"(%do, %rows, %c0, %row, %c0) : (!tt.tensordesc<tensor<8x16x32xbf16>>, tensor<8x16x32xbf16>, i32, i32, i32) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [{}, {}, {}, {}], function_type = (i32, !tt.tensordesc<tensor<8x16x32xbf16>>, !tt.tensordesc<tensor<16x32xbf16>>, !tt.tensordesc<tensor<8x16x32xbf16>>) -> (), sym_name = "k"} : () -> ()
