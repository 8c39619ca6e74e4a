// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-mask-words | FileCheck %s

// Kernels without products stay, and so do declarations and what is no kernel.
// CHECK-LABEL: func.func @host
// CHECK:         arith.select
func.func @host(%b: i1, %x: f32, %y: f32) -> f32 {
  %e = arith.select %b, %x, %y : f32
  return %e : f32
}
// CHECK-LABEL: sym_name = "declared"
"tt.func"() ({}) {sym_name = "declared"} : () -> ()
// CHECK-LABEL: "tt.func"
// CHECK:         arith.select
"tt.func"() ({
^bb0(%x: tensor<16x32xf32>, %y: tensor<16x32xf32>, %n: i32):
  %range = "tt.make_range"() {end = 32 : i32, start = 0 : i32} : () -> tensor<32xi32>
  %all = "tt.splat"(%n) : (i32) -> tensor<32xi32>
  %column = arith.cmpi slt, %range, %all : tensor<32xi32>
  %i0 = "tt.expand_dims"(%column) {axis = 0 : i32} : (tensor<32xi1>) -> tensor<1x32xi1>
  %inside = "tt.broadcast"(%i0) : (tensor<1x32xi1>) -> tensor<16x32xi1>
  %s = arith.select %inside, %x, %y : tensor<16x32xi1>, tensor<16x32xf32>
  "test.use"(%s) : (tensor<16x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "lists"} : () -> ()

// -----

// No bounds are: sums with numbers that are read or are scalars of the program, twice a column, unsigned comparisons, bits that are read,
// and what other conditions are joined to by an or. Numbers of 16 bits and wide tiles stay as they are.
// CHECK-LABEL: "tt.func"
// CHECK-COUNT-7: arith.select
// CHECK-NOT:     asm
// CHECK:         "tt.return"
"tt.func"() ({
^bb0(%a: tensor<16x16xbf16>, %c: tensor<16x16xf32>, %p: !tt.ptr<i32>, %read: tensor<16x16xi1>, %n: i32,
     %half: tensor<16x16xbf16>, %wide: tensor<16x256xf32>):
  %t = "tt.dot"(%a, %a, %c) : (tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %range = "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32>
  %all = "tt.splat"(%n) : (i32) -> tensor<16xi32>
  %loaded = "tt.load"(%p) : (!tt.ptr<i32>) -> i32
  %x = "tt.splat"(%loaded) : (i32) -> tensor<16xi32>
  %start = arith.addi %all, %range : tensor<16xi32>
  %moved = arith.addi %start, %x : tensor<16xi32>
  %sum = arith.cmpi slt, %moved, %all : tensor<16xi32>
  %s0 = "tt.expand_dims"(%sum) {axis = 0 : i32} : (tensor<16xi1>) -> tensor<1x16xi1>
  %sums = "tt.broadcast"(%s0) : (tensor<1x16xi1>) -> tensor<16x16xi1>
  %of_sum = arith.select %sums, %t, %c : tensor<16x16xi1>, tensor<16x16xf32>
  %twice = arith.addi %range, %range : tensor<16xi32>
  %double = arith.cmpi slt, %twice, %all : tensor<16xi32>
  %d0 = "tt.expand_dims"(%double) {axis = 0 : i32} : (tensor<16xi1>) -> tensor<1x16xi1>
  %doubles = "tt.broadcast"(%d0) : (tensor<1x16xi1>) -> tensor<16x16xi1>
  %of_double = arith.select %doubles, %t, %c : tensor<16x16xi1>, tensor<16x16xf32>
  %unsigned = arith.cmpi ult, %range, %all : tensor<16xi32>
  %u0 = "tt.expand_dims"(%unsigned) {axis = 0 : i32} : (tensor<16xi1>) -> tensor<1x16xi1>
  %unsigneds = "tt.broadcast"(%u0) : (tensor<1x16xi1>) -> tensor<16x16xi1>
  %of_unsigned = arith.select %unsigneds, %t, %c : tensor<16x16xi1>, tensor<16x16xf32>
  %column = arith.cmpi slt, %range, %all : tensor<16xi32>
  %i0 = "tt.expand_dims"(%column) {axis = 0 : i32} : (tensor<16xi1>) -> tensor<1x16xi1>
  %inside = "tt.broadcast"(%i0) : (tensor<1x16xi1>) -> tensor<16x16xi1>
  %both = arith.andi %inside, %read : tensor<16x16xi1>
  %of_read = arith.select %both, %t, %c : tensor<16x16xi1>, tensor<16x16xf32>
  %any = arith.ori %inside, %read : tensor<16x16xi1>
  %of_any = arith.select %any, %t, %c : tensor<16x16xi1>, tensor<16x16xf32>
  %of_half = arith.select %inside, %a, %half : tensor<16x16xi1>, tensor<16x16xbf16>
  %far = "tt.make_range"() {end = 256 : i32, start = 0 : i32} : () -> tensor<256xi32>
  %last = "tt.splat"(%n) : (i32) -> tensor<256xi32>
  %f = arith.cmpi slt, %far, %last : tensor<256xi32>
  %f0 = "tt.expand_dims"(%f) {axis = 0 : i32} : (tensor<256xi1>) -> tensor<1x256xi1>
  %fs = "tt.broadcast"(%f0) : (tensor<1x256xi1>) -> tensor<16x256xi1>
  %of_wide = arith.select %fs, %wide, %wide : tensor<16x256xi1>, tensor<16x256xf32>
  "test.use"(%of_sum, %of_double, %of_unsigned, %of_read, %of_any, %of_half, %of_wide) : (tensor<16x16xf32>,
    tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x256xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "none"} : () -> ()
