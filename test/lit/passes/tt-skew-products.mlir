// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-skew-products | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-skew-products=carry-rounded=true | FileCheck %s --check-prefix=ROUNDED

// One loop with a first tile: it stands before the loop, which begins with the next. A turn computes the scores of its
// tile, then the sum of the tile before, of which it carries the weights, the accumulator after its factor, and the
// number; the last sum stands after the loop. Weights are rounded where they are used.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[Q:[^:]+]]: tensor<64x32xbf16>, %[[K:[^:]+]]: !tt.tensordesc<tensor<16x32xbf16>>, %[[V:[^:]+]]: !tt.tensordesc<tensor<16x16xbf16>>)
// CHECK:         %[[K0:[^ ]+]] = "tt.descriptor_load"(%[[K]], %[[FIRST:[^ ]+]]) :
// CHECK:         %[[KT0:[^ ]+]] = "tt.trans"(%[[K0]])
// CHECK:         %[[S0:[^ ]+]] = "tt.dot"(%[[Q]], %[[KT0]], %{{[^ ]+}})
// CHECK:         %[[E0:[^ ]+]] = math.exp2 %[[S0]]
// CHECK-NOT:     "tt.descriptor_load"(%[[V]]
// CHECK:         %[[LOOP:[^ :]+]]:4 = scf.for %[[N:[^ ]+]] = %{{[^ ]+}} to %{{[^ ]+}} step %{{[^ ]+}} iter_args(%[[COUNT:[^ ]+]] = %{{[^ ]+}}, %[[W:[^ ]+]] = %[[E0]], %[[ACC:[^ ]+]] = %{{[^ ]+}}, %[[LAST:[^ ]+]] = %[[FIRST]]) -> (tensor<64xf32>, tensor<64x16xf32>, tensor<64x16xf32>, i32)
// CHECK:           %[[WN:[^ ]+]] = arith.truncf %[[W]]
// CHECK:           %[[KN:[^ ]+]] = "tt.descriptor_load"(%[[K]], %[[N]]) :
// CHECK:           %[[KT:[^ ]+]] = "tt.trans"(%[[KN]])
// CHECK:           %[[S:[^ ]+]] = "tt.dot"(%[[Q]], %[[KT]], %{{[^ ]+}})
// CHECK:           %[[VN:[^ ]+]] = "tt.descriptor_load"(%[[V]], %[[LAST]]) :
// CHECK:           %[[SUM:[^ ]+]] = "tt.dot"(%[[WN]], %[[VN]], %[[ACC]])
// CHECK:           %[[E:[^ ]+]] = math.exp2 %[[S]]
// CHECK:           %[[NEXT:[^ ]+]] = arith.mulf %[[SUM]], %{{[^ ]+}}
// CHECK:           scf.yield %{{[^ ]+}}, %[[E]], %[[NEXT]], %[[N]]
// CHECK:         %[[WEIGHTS:[^ ]+]] = arith.truncf %[[LOOP]]#1
// CHECK:         %[[VLAST:[^ ]+]] = "tt.descriptor_load"(%[[V]], %[[LOOP]]#3)
// CHECK:         %[[RESULT:[^ ]+]] = "tt.dot"(%[[WEIGHTS]], %[[VLAST]], %[[LOOP]]#2) {inputPrecision = 0 : i32}
// CHECK:         "test.use"(%[[LOOP]]#0, %[[RESULT]])

// ROUNDED-LABEL: "tt.func"
// ROUNDED:         %[[E0:[^ ]+]] = math.exp2
// ROUNDED:         %[[W0:[^ ]+]] = arith.truncf %[[E0]]
// ROUNDED:         %[[LOOP:[^ :]+]]:4 = scf.for {{.*}}%[[W:[^ ]+]] = %[[W0]], {{.*}} -> (tensor<64xf32>, tensor<64x16xbf16>, tensor<64x16xf32>, i32)
// ROUNDED:           "tt.dot"(%[[W]],
// ROUNDED:         "tt.dot"(%[[LOOP]]#1,
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %dv: !tt.tensordesc<tensor<16x16xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c9 = arith.constant 9 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %none = arith.constant dense<0.0> : tensor<64xf32>
  %0:2 = scf.for %n = %c0 to %c9 step %c1 iter_args(%l = %none, %a = %zero) -> (tensor<64xf32>, tensor<64x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %zero) {inputPrecision = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %e = math.exp2 %s : tensor<64x16xf32>
    %sum = "tt.reduce"(%e) ({
    ^bb0(%x: f32, %y: f32):
      %z = arith.addf %x, %y : f32
      "tt.reduce.return"(%z) : (f32) -> ()
    }) {axis = 1 : i32} : (tensor<64x16xf32>) -> tensor<64xf32>
    %next = arith.addf %l, %sum : tensor<64xf32>
    %column = "tt.expand_dims"(%next) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
    %factor = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x16xf32>
    %scaled = arith.mulf %a, %factor : tensor<64x16xf32>
    %w = arith.truncf %e : tensor<64x16xf32> to tensor<64x16xbf16>
    %v = "tt.descriptor_load"(%dv, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %scaled) {inputPrecision = 0 : i32} : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %next, %o : tensor<64xf32>, tensor<64x16xf32>
  }
  "test.use"(%0#0, %0#1) : (tensor<64xf32>, tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "one"} : () -> ()

// -----

// The loop that masks comes first, and the body of the first tile is its: also where the mask leaves no tile. Each of
// the loops leaves the first tile out if it is its.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: tensor<64x32xbf16>, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16>>, %[[MIDDLE:[^:]+]]: i32, %[[END:[^:]+]]: i32)
// CHECK-DAG:     arith.cmpi slt, %{{[^ ]+}}, %[[MIDDLE]] : i32
// CHECK-DAG:     arith.cmpi slt, %[[MIDDLE]], %[[END]] : i32
// CHECK:         %[[FIRST:[^ ]+]] = arith.select %{{[^ ]+}}, %[[MIDDLE]], %{{[^ ]+}} : i32
// CHECK:         %[[IS:[^ ]+]] = arith.cmpi eq, %[[MIDDLE]], %[[FIRST]] : i32
// CHECK:         %[[HAS:[^ ]+]] = arith.andi %{{[^ ]+}}, %[[IS]] : i1
// CHECK:         %[[ONE:[^ ]+]] = arith.extui %[[HAS]] : i1 to i32
// CHECK:         %[[SECOND:[^ ]+]] = arith.addi %[[MIDDLE]], %[[ONE]] : i32
// CHECK:         "test.mask"(%{{[^ ]+}}, %[[FIRST]])
// CHECK:         %[[A:[^ :]+]]:3 = scf.for {{.*}} = %[[SECOND]] to %[[END]] step
// CHECK:           "test.mask"
// CHECK:         scf.for {{.*}} to %[[MIDDLE]] step {{.*}} iter_args(%{{[^ ]+}} = %[[A]]#0, %{{[^ ]+}} = %[[A]]#1, %{{[^ ]+}} = %[[A]]#2)
// CHECK-NOT:       "test.mask"
// CHECK:         "test.use"

// Rounded weights go from one loop to the next as f32, by code that LLVM can't see through, and are rounded again.
// ROUNDED-LABEL: "tt.func"
// ROUNDED:         %[[A:[^ :]+]]:3 = scf.for
// ROUNDED:         %[[WIDE:[^ ]+]] = "tt.elementwise_inline_asm"(%[[A]]#0) {asm_string = "{ shl.b32 $0, $2, 16; and.b32 $1, $2, 0xffff0000; }", constraints = "=r,=r,r", packed_element = 2 : i32, pure = true} : (tensor<64x16xbf16>) -> tensor<64x16xf32>
// ROUNDED-NEXT:    %[[W:[^ ]+]] = arith.truncf %[[WIDE]]
// ROUNDED:         scf.for {{.*}} iter_args(%{{[^ ]+}} = %[[W]],
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %d: !tt.tensordesc<tensor<16x32xbf16>>, %middle: i32, %end: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %zero = arith.constant dense<0.0> : tensor<64x32xf32>
  %0 = scf.for %n = %c0 to %middle step %c1 iter_args(%a = %zero) -> (tensor<64x32xf32>) : i32 {
    %k = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %w = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %o : tensor<64x32xf32>
  }
  %1 = scf.for %n = %middle to %end step %c1 iter_args(%a = %0) -> (tensor<64x32xf32>) : i32 {
    %k = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %masked = "test.mask"(%s, %n) : (tensor<64x16xf32>, i32) -> tensor<64x16xf32>
    %w = arith.truncf %masked : tensor<64x16xf32> to tensor<64x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %o : tensor<64x32xf32>
  } {attn.masked}
  "test.use"(%1) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "two"} : () -> ()

// -----

// Where no loop masks, the first tile takes the body that is right for the tiles of all loops; here those of the first
// loop come first.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: tensor<64x32xbf16>, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16>>, %[[MIDDLE:[^:]+]]: i32, %[[END:[^:]+]]: i32)
// CHECK-DAG:     %[[HAS:[^ ]+]] = arith.cmpi slt, %[[ZERO:[^ ]+]], %[[MIDDLE]] : i32
// CHECK:         %[[FIRST:[^ ]+]] = arith.select %[[HAS]], %[[ZERO]], %{{[^ ]+}} : i32
// CHECK:         "test.general"(%{{[^ ]+}}, %[[FIRST]])
// CHECK:         scf.for {{.*}} to %[[MIDDLE]] step
// CHECK-NOT:       "test.general"
// CHECK:         scf.for {{.*}} to %[[END]] step
// CHECK:           "test.general"
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %d: !tt.tensordesc<tensor<16x32xbf16>>, %middle: i32, %end: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %zero = arith.constant dense<0.0> : tensor<64x32xf32>
  %0 = scf.for %n = %c0 to %middle step %c1 iter_args(%a = %zero) -> (tensor<64x32xf32>) : i32 {
    %k = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %w = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %o : tensor<64x32xf32>
  }
  %1 = scf.for %n = %middle to %end step %c1 iter_args(%a = %0) -> (tensor<64x32xf32>) : i32 {
    %k = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %general = "test.general"(%s, %n) : (tensor<64x16xf32>, i32) -> tensor<64x16xf32>
    %w = arith.truncf %general : tensor<64x16xf32> to tensor<64x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    scf.yield %o : tensor<64x32xf32>
  } {attn.general}
  "test.use"(%1) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "general"} : () -> ()

// -----

// A loop around loops over ranges of tiles is unrolled, with the bounds of each range.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[C0:[^ ]+]] = arith.constant 0 : i32
// CHECK-NEXT:    %[[A:[^ :]+]]:2 = "test.bounds"(%[[C0]])
// CHECK-NEXT:    %[[C1:[^ ]+]] = arith.constant 1 : i32
// CHECK-NEXT:    %[[B:[^ :]+]]:2 = "test.bounds"(%[[C1]])
// CHECK:         scf.for {{.*}} to %[[A]]#1 step
// CHECK:         scf.for {{.*}} to %[[B]]#1 step
// CHECK-NOT:     scf.for
// CHECK:         "test.use"
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %d: !tt.tensordesc<tensor<16x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %zero = arith.constant dense<0.0> : tensor<64x32xf32>
  %0 = scf.for %range = %c0 to %c2 step %c1 iter_args(%start = %zero) -> (tensor<64x32xf32>) : i32 {
    %low, %high = "test.bounds"(%range) : (i32) -> (i32, i32)
    %1 = scf.for %n = %low to %high step %c1 iter_args(%a = %start) -> (tensor<64x32xf32>) : i32 {
      %k = "tt.descriptor_load"(%d, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
      %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
      %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
      %w = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
      %o = "tt.dot"(%w, %k, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
      scf.yield %o : tensor<64x32xf32>
    } {attn.masked}
    scf.yield %1 : tensor<64x32xf32>
  }
  "test.use"(%0) : (tensor<64x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "ranges"} : () -> ()

// -----

// The number of a tile may be its place in a list. The list is read for k of this turn, and for v of the turn before.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: tensor<64x32xbf16>, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16>>, %[[V:[^:]+]]: !tt.tensordesc<tensor<16x16xbf16>>, %[[LIST:[^:]+]]: !tt.ptr<i32>)
// CHECK:         scf.for %[[N:[^ ]+]] = {{.*}}%[[LAST:[^ ]+]] = %{{[^ ]+}}) -> (tensor<64x16xf32>, tensor<64x16xf32>, i32)
// CHECK:           %[[AT:[^ ]+]] = "tt.addptr"(%[[LIST]], %[[N]])
// CHECK:           %[[P:[^ ]+]] = "tt.load"(%[[AT]])
// CHECK:           "tt.descriptor_load"(%{{[^ ]+}}, %[[P]]) : {{.*}} -> tensor<16x32xbf16>
// CHECK:           %[[BEFORE:[^ ]+]] = "tt.addptr"(%[[LIST]], %[[LAST]])
// CHECK:           %[[Q:[^ ]+]] = "tt.load"(%[[BEFORE]])
// CHECK:           "tt.descriptor_load"(%[[V]], %[[Q]])
// CHECK:           scf.yield %{{[^ ]+}}, %{{[^ ]+}}, %[[N]]
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %dv: !tt.tensordesc<tensor<16x16xbf16>>, %list: !tt.ptr<i32>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c9 = arith.constant 9 : i32
  %zero = arith.constant dense<0.0> : tensor<64x16xf32>
  %0 = scf.for %n = %c0 to %c9 step %c1 iter_args(%a = %zero) -> (tensor<64x16xf32>) : i32 {
    %at = "tt.addptr"(%list, %n) : (!tt.ptr<i32>, i32) -> !tt.ptr<i32>
    %tile = "tt.load"(%at) {operandSegmentSizes = array<i32: 1, 0, 0>} : (!tt.ptr<i32>) -> i32
    %k = "tt.descriptor_load"(%dk, %tile) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %zero) {inputPrecision = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %w = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %v = "tt.descriptor_load"(%dv, %tile) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %o = "tt.dot"(%w, %v, %a) {inputPrecision = 0 : i32} : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o : tensor<64x16xf32>
  }
  "test.use"(%0) : (tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "listed"} : () -> ()

// -----

// Products with pieces of v share their weights, which loops carry once, also where each rounds them.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: tensor<64x32xbf16>, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16>>, %[[V0:[^:]+]]: !tt.tensordesc<tensor<16x32xbf16>>, %[[V1:[^:]+]]: !tt.tensordesc<tensor<16x16xbf16>>)
// CHECK:         %[[LOOP:[^ :]+]]:4 = scf.for %{{[^ ]+}} = {{.*}} iter_args(%[[W:[^ ]+]] = %{{[^ ]+}}, %[[A:[^ ]+]] = %{{[^ ]+}}, %[[B:[^ ]+]] = %{{[^ ]+}}, %{{[^ ]+}} = %{{[^ ]+}}) -> (tensor<64x16xf32>, tensor<64x32xf32>, tensor<64x16xf32>, i32)
// CHECK:           %[[WN:[^ ]+]] = arith.truncf %[[W]]
// CHECK:           "tt.dot"
// CHECK-DAG:       %[[X:[^ ]+]] = "tt.descriptor_load"(%[[V0]],
// CHECK-DAG:       %[[Y:[^ ]+]] = "tt.descriptor_load"(%[[V1]],
// CHECK-DAG:       "tt.dot"(%[[WN]], %[[X]], %[[A]])
// CHECK-DAG:       "tt.dot"(%[[WN]], %[[Y]], %[[B]])
// CHECK-NOT:       "tt.dot"
// CHECK:           scf.yield
// CHECK:         %[[LAST:[^ ]+]] = arith.truncf %[[LOOP]]#0
// CHECK:         "tt.dot"(%[[LAST]], %{{[^ ]+}}, %[[LOOP]]#1)
// CHECK:         "tt.dot"(%[[LAST]], %{{[^ ]+}}, %[[LOOP]]#2)

// ROUNDED-LABEL: "tt.func"
// ROUNDED:         scf.for {{.*}} -> (tensor<64x16xbf16>, tensor<64x32xf32>, tensor<64x16xf32>, i32)
"tt.func"() ({
^bb0(%q: tensor<64x32xbf16>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %d0: !tt.tensordesc<tensor<16x32xbf16>>, %d1: !tt.tensordesc<tensor<16x16xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c9 = arith.constant 9 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %zero = arith.constant dense<0.0> : tensor<64x32xf32>
  %0:2 = scf.for %n = %c0 to %c9 step %c1 iter_args(%a = %zero, %b = %none) -> (tensor<64x32xf32>, tensor<64x16xf32>) : i32 {
    %k = "tt.descriptor_load"(%dk, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %v0 = "tt.descriptor_load"(%d0, %n) : (!tt.tensordesc<tensor<16x32xbf16>>, i32) -> tensor<16x32xbf16>
    %v1 = "tt.descriptor_load"(%d1, %n) : (!tt.tensordesc<tensor<16x16xbf16>>, i32) -> tensor<16x16xbf16>
    %w0 = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %o0 = "tt.dot"(%w0, %v0, %a) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
    %w1 = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xbf16>
    %o1 = "tt.dot"(%w1, %v1, %b) : (tensor<64x16xbf16>, tensor<16x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %o0, %o1 : tensor<64x32xf32>, tensor<64x16xf32>
  }
  "test.use"(%0#0, %0#1) : (tensor<64x32xf32>, tensor<64x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "pieces"} : () -> ()
