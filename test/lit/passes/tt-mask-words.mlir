// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-mask-words | FileCheck %s

// A causal mask and the end of the keys: one end for each row, at most 64, and a word of its bits.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[A:[^:]+]]: tensor<64x32xbf16>, %{{[^:]+}}: tensor<32x64xbf16>, %[[C:[^:]+]]: tensor<64x64xf32>,
// CHECK-SAME:      %[[ROW:[^:]+]]: i32, %[[START:[^:]+]]: i32, %[[KEYS:[^:]+]]: i32)
// CHECK:         %[[T:[^ ]+]] = "tt.dot"
// CHECK-DAG:     %[[WIDE_KEYS:[^ ]+]] = arith.extsi %[[KEYS]] : i32 to i64
// CHECK-DAG:     %[[WIDE_ROW:[^ ]+]] = arith.extsi %[[ROW]] : i32 to i64
// CHECK:         %[[RANGE:[^ ]+]] = "tt.make_range"() {end = 64 : i32, start = 0 : i32}
// CHECK:         %[[ENDS:[^ ]+]] = arith.minsi %{{[^ ]+}}, %{{[^ ]+}} : tensor<64xi32>
// CHECK:         arith.shrsi %{{[^ ]+}}, %{{[^ ]+}} : tensor<64x64xi32>
// CHECK:         %[[WORD:[^ ]+]] = "tt.elementwise_inline_asm"(%{{[^ ]+}}) {asm_string = "bmsk.clamp.b32 $0, 0, $1;"
// CHECK:         %[[BIT:[^ ]+]] = arith.shli %{{[^ ]+}}, %{{[^ ]+}} : tensor<64xi32>
// CHECK:         %[[BITS:[^ ]+]] = "tt.broadcast"
// CHECK-NOT:     arith.cmpi
// CHECK:         %[[S:[^ ]+]] = "tt.elementwise_inline_asm"(%[[WORD]], %[[BITS]], %[[T]], %{{[^ ]+}})
// CHECK-SAME:      and.b32 %bit, $1, $2; setp.ne.u32 %chosen, %bit, 0; selp.f32 $0, $3, $4, %chosen;
// CHECK-NOT:     arith.select
// CHECK:         "test.use"(%[[S]])
"tt.func"() ({
^bb0(%a: tensor<64x32xbf16>, %b: tensor<32x64xbf16>, %c: tensor<64x64xf32>, %row: i32, %start: i32, %keys: i32):
  %t = "tt.dot"(%a, %b, %c) : (tensor<64x32xbf16>, tensor<32x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %range = "tt.make_range"() {end = 64 : i32, start = 0 : i32} : () -> tensor<64xi32>
  %starts = "tt.splat"(%start) : (i32) -> tensor<64xi32>
  %places = arith.addi %starts, %range : tensor<64xi32>
  %all = "tt.splat"(%keys) : (i32) -> tensor<64xi32>
  %column = arith.cmpi slt, %places, %all : tensor<64xi32>
  %row_starts = "tt.splat"(%row) : (i32) -> tensor<64xi32>
  %row_places = arith.addi %row_starts, %range : tensor<64xi32>
  %r0 = "tt.expand_dims"(%row_places) {axis = 1 : i32} : (tensor<64xi32>) -> tensor<64x1xi32>
  %rows = "tt.broadcast"(%r0) : (tensor<64x1xi32>) -> tensor<64x64xi32>
  %c0 = "tt.expand_dims"(%places) {axis = 0 : i32} : (tensor<64xi32>) -> tensor<1x64xi32>
  %columns = "tt.broadcast"(%c0) : (tensor<1x64xi32>) -> tensor<64x64xi32>
  %after = arith.cmpi sle, %columns, %rows : tensor<64x64xi32>
  %i0 = "tt.expand_dims"(%column) {axis = 0 : i32} : (tensor<64xi1>) -> tensor<1x64xi1>
  %inside = "tt.broadcast"(%i0) : (tensor<1x64xi1>) -> tensor<64x64xi1>
  %left = arith.andi %inside, %after : tensor<64x64xi1>
  %inf = arith.constant 0xFF800000 : f32
  %lowest = "tt.splat"(%inf) : (f32) -> tensor<64x64xf32>
  %s = arith.select %left, %t, %lowest : tensor<64x64xi1>, tensor<64x64xf32>
  "test.use"(%s) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "causal", tt_host.sizes = array<i64: 3, 4, 5>} : () -> ()

// -----

// A window is a begin and an end: the bits from the one on, and those below the other. Comparisons of numbers
// that are read stay.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[DOCUMENTS:[^:]+]]:2 = "test.read"
// CHECK:         %[[END:[^ ]+]] = "tt.elementwise_inline_asm"(%{{[^ ]+}}) {asm_string = "bmsk.clamp.b32
// CHECK:         %[[BEGIN:[^ ]+]] = "tt.elementwise_inline_asm"(%{{[^ ]+}}) {asm_string = "bmsk.clamp.b32
// CHECK:         %[[ABOVE:[^ ]+]] = arith.xori %[[BEGIN]], %{{[^ ]+}} : tensor<64x32xi32>
// CHECK:         %[[WORD:[^ ]+]] = arith.andi %[[END]], %[[ABOVE]] : tensor<64x32xi32>
// CHECK:         "tt.elementwise_inline_asm"(%[[WORD]], %{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}, %[[DOCUMENTS]]#0, %[[DOCUMENTS]]#1)
// CHECK-SAME:      setp.eq.and.s32 %chosen, $5, $6, %chosen; selp.f32
"tt.func"() ({
^bb0(%a: tensor<64x32xbf16>, %b: tensor<32x32xbf16>, %c: tensor<64x32xf32>, %row: i32, %start: i32):
  %t = "tt.dot"(%a, %b, %c) : (tensor<64x32xbf16>, tensor<32x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
  %of_rows, %of_columns = "test.read"() : () -> (tensor<64x32xi32>, tensor<64x32xi32>)
  %equal = arith.cmpi eq, %of_rows, %of_columns : tensor<64x32xi32>
  %range = "tt.make_range"() {end = 32 : i32, start = 0 : i32} : () -> tensor<32xi32>
  %starts = "tt.splat"(%start) : (i32) -> tensor<32xi32>
  %places = arith.addi %starts, %range : tensor<32xi32>
  %row_range = "tt.make_range"() {end = 64 : i32, start = 0 : i32} : () -> tensor<64xi32>
  %row_starts = "tt.splat"(%row) : (i32) -> tensor<64xi32>
  %row_places = arith.addi %row_starts, %row_range : tensor<64xi32>
  %r0 = "tt.expand_dims"(%row_places) {axis = 1 : i32} : (tensor<64xi32>) -> tensor<64x1xi32>
  %rows = "tt.broadcast"(%r0) : (tensor<64x1xi32>) -> tensor<64x32xi32>
  %c0 = "tt.expand_dims"(%places) {axis = 0 : i32} : (tensor<32xi32>) -> tensor<1x32xi32>
  %columns = "tt.broadcast"(%c0) : (tensor<1x32xi32>) -> tensor<64x32xi32>
  %distance = arith.subi %rows, %columns : tensor<64x32xi32>
  %zero = arith.constant 0 : i32
  %zeros = "tt.splat"(%zero) : (i32) -> tensor<64x32xi32>
  %size = arith.constant 100 : i32
  %sizes = "tt.splat"(%size) : (i32) -> tensor<64x32xi32>
  %after = arith.cmpi sge, %distance, %zeros : tensor<64x32xi32>
  %near = arith.cmpi slt, %distance, %sizes : tensor<64x32xi32>
  %window = arith.andi %after, %near : tensor<64x32xi1>
  %left = arith.andi %window, %equal : tensor<64x32xi1>
  %number = arith.constant 0.0 : f32
  %none = "tt.splat"(%number) : (f32) -> tensor<64x32xf32>
  %s = arith.select %left, %t, %none : tensor<64x32xi1>, tensor<64x32xf32>
  "test.use"(%s) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "window", tt_host.sizes = array<i64: 3, 4>} : () -> ()
