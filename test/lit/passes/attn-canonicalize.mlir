// RUN: aec-opt %s --attn-canonicalize --split-input-file | FileCheck %s
// RUN: aec-opt %s --attn-canonicalize --split-input-file -o %t.once
// RUN: aec-opt %t.once --attn-canonicalize --split-input-file -o %t.twice
// RUN: diff %t.once %t.twice

// A chain of factors becomes one, the mask leaves the score, and extras without uses are dropped.
// CHECK-LABEL: func.func @scale_mask_extras
// CHECK-DAG:     %[[SCALE:.+]] = arith.constant 0.180336
// CHECK:         %[[O:.+]] = "attn.attention"(%{{.+}}, %{{.+}}, %{{.+}}) ({
// CHECK-NEXT:    ^{{.+}}(%[[S:.+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[M:.+]] = arith.mulf %[[S]], %[[SCALE]] : f32
// CHECK-NEXT:      "attn.yield"(%[[M]])
// CHECK:         }, {
// CHECK-NEXT:    ^{{.+}}(%{{.+}}: index, %{{.+}}: index, %[[I:.+]]: index, %[[J:.+]]: index):
// CHECK-NEXT:      %[[KEEP:.+]] = arith.cmpi sge, %[[I]], %[[J]]
// CHECK-NEXT:      "attn.yield"(%[[KEEP]])
// CHECK-NOT:     math.log
// CHECK:         return %[[O]]
func.func @scale_mask_extras(%q: tensor<2x4x?x64xf32>, %k: tensor<2x4x?x64xf32>, %v: tensor<2x4x?x64xf32>) -> tensor<2x4x?x64xf32> {
  %o, %lse, %again = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %sqrt = arith.constant 8.0 : f32
    %log2e = arith.constant 1.44269502 : f32
    %minf = arith.constant 0xFF800000 : f32
    %0 = arith.divf %s, %sqrt : f32
    %1 = arith.mulf %0, %log2e : f32
    %keep = arith.cmpi sge, %i, %j : index
    %2 = arith.select %keep, %1, %minf : f32
    "attn.yield"(%2) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %t = arith.constant true
    "attn.yield"(%t) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %g = math.log %l : f32
    %z = arith.addf %m, %g : f32
    "attn.yield"(%p, %z, %z) : (f32, f32, f32) -> ()
  }) : (tensor<2x4x?x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x?x64xf32>) -> (tensor<2x4x?x64xf32>, tensor<2x4x?xf32>, tensor<2x4x?xf32>)
  return %o : tensor<2x4x?x64xf32>
}

// -----

// Two extras with one value become one; the one that is left keeps its place after o.
// CHECK-LABEL: func.func @equal_extras
// CHECK:         %[[R:.+]]:2 = "attn.attention"
// CHECK:         return %[[R]]#0, %[[R]]#1, %[[R]]#1
func.func @equal_extras(%q: tensor<1x1x4x8xf32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x4xf32>, tensor<1x1x4xf32>) {
  %o, %x, %y = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %t = arith.constant true
    "attn.yield"(%t) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %n = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    "attn.yield"(%s, %m, %n) : (f32, f32, f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x4xf32>, tensor<1x1x4xf32>)
  return %o, %x, %y : tensor<1x1x4x8xf32>, tensor<1x1x4xf32>, tensor<1x1x4xf32>
}

// -----

// Constant pieces, double negation, comparisons of equal operands and absorption leave the mask; the capture
// that only they read is no longer one.
// CHECK-LABEL: func.func @mask_pieces
// CHECK-SAME:    (%{{.+}}: tensor<1x1x4x8xf32>, %[[KEEP:.+]]: tensor<4xi1>, %{{.+}}: tensor<4xi1>)
// CHECK:           "attn.yield"
// CHECK:         }, {
// CHECK-NEXT:    ^{{.+}}(%{{.+}}: index, %{{.+}}: index, %[[I:.+]]: index, %{{.+}}: index):
// CHECK-NEXT:      %[[X:.+]] = tensor.extract %[[KEEP]][%[[I]]]
// CHECK-NEXT:      "attn.yield"(%[[X]])
func.func @mask_pieces(%q: tensor<1x1x4x8xf32>, %keep: tensor<4xi1>, %dead: tensor<4xi1>) -> tensor<1x1x4x8xf32> {
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %t = arith.constant true
    %f = arith.constant false
    %x = tensor.extract %keep[%i] : tensor<4xi1>
    %y = tensor.extract %dead[%j] : tensor<4xi1>
    %0 = arith.xori %x, %t : i1
    %1 = arith.xori %0, %t : i1
    %2 = arith.cmpi sge, %j, %j : index
    %3 = arith.andi %1, %2 : i1
    %4 = arith.ori %3, %y : i1
    %5 = arith.andi %3, %4 : i1
    %6 = arith.select %5, %t, %f : i1
    %7 = arith.ori %6, %f : i1
    %8 = arith.cmpi slt, %i, %i : index
    %9 = arith.xori %7, %8 : i1
    "attn.yield"(%9) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o : tensor<1x1x4x8xf32>
}

// -----

// Selects of booleans become and, or; -inf in the true branch negates what moves to the mask.
// CHECK-LABEL: func.func @select_mask
// CHECK-DAG:     %[[TRUE:.+]] = arith.constant true
// CHECK:         }, {
// CHECK-NEXT:    ^{{.+}}(%{{.+}}: index, %{{.+}}: index, %[[I:.+]]: index, %[[J:.+]]: index):
// CHECK-DAG:       %[[A:.+]] = arith.cmpi sge, %[[I]], %[[J]]
// CHECK-DAG:       %[[B:.+]] = arith.cmpi eq, %[[I]]
// CHECK-DAG:       %[[AND:.+]] = arith.andi %[[A]], %[[B]]
// CHECK-DAG:       %[[X:.+]] = tensor.extract
// CHECK-DAG:       %[[NOT:.+]] = arith.xori %[[X]], %[[TRUE]]
// CHECK:           %[[BOTH:.+]] = arith.andi %[[AND]], %[[NOT]]
// CHECK-NEXT:      "attn.yield"(%[[BOTH]])
func.func @select_mask(%q: tensor<1x1x4x8xf32>, %drop: tensor<4xi1>) -> tensor<1x1x4x8xf32> {
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %minf = arith.constant 0xFF800000 : f32
    %x = tensor.extract %drop[%j] : tensor<4xi1>
    %0 = arith.select %x, %minf, %s : f32
    "attn.yield"(%0) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %c2 = arith.constant 2 : index
    %f = arith.constant false
    %0 = arith.cmpi sge, %i, %j : index
    %1 = arith.cmpi eq, %i, %c2 : index
    %2 = arith.select %0, %1, %f : i1
    "attn.yield"(%2) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o : tensor<1x1x4x8xf32>
}

// -----

// Everything is masked: o is zeros, of q's sizes; the op stays for its extra.
// CHECK-LABEL: func.func @all_masked
// CHECK-SAME:    (%[[Q:.+]]: tensor<?x4x?x8xf16>, %{{.+}}: tensor<?x4x?x16xf16>)
// CHECK-DAG:     %[[ZERO:.+]] = arith.constant 0.000000e+00 : f16
// CHECK-DAG:     %[[B:.+]] = tensor.dim %[[Q]], %c0
// CHECK-DAG:     %[[S:.+]] = tensor.dim %[[Q]], %c2
// CHECK:         %[[O:.+]] = tensor.splat %[[ZERO]][%[[B]], %[[S]]] : tensor<?x4x?x16xf16>
// CHECK:         %[[R:.+]]:2 = "attn.attention"
// CHECK:         return %[[O]], %[[R]]#1
func.func @all_masked(%q: tensor<?x4x?x8xf16>, %v: tensor<?x4x?x16xf16>) -> (tensor<?x4x?x16xf16>, tensor<?x4x?xf32>) {
  %o, %n = "attn.attention"(%q, %q, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %0 = arith.cmpi slt, %i, %i : index
    "attn.yield"(%0) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    "attn.yield"(%s, %m) : (f32, f32) -> ()
  }) : (tensor<?x4x?x8xf16>, tensor<?x4x?x8xf16>, tensor<?x4x?x16xf16>) -> (tensor<?x4x?x16xf16>, tensor<?x4x?xf32>)
  return %o, %n : tensor<?x4x?x16xf16>, tensor<?x4x?xf32>
}

// -----

// A score that is -inf everywhere masks everything, too; nothing else uses the op.
// CHECK-LABEL: func.func @score_minus_infinity
// CHECK-NEXT:    %[[ZERO:.+]] = arith.constant dense<0.000000e+00> : tensor<1x1x4x8xf32>
// CHECK-NEXT:    return %[[ZERO]]
func.func @score_minus_infinity(%q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %minf = arith.constant 0xFF800000 : f32
    "attn.yield"(%minf) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %t = arith.constant true
    "attn.yield"(%t) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o : tensor<1x1x4x8xf32>
}

// -----

// Negations take part, and so do the factors of a recurrence's gate.
// CHECK-LABEL: func.func @recurrence_gate
// CHECK:         %[[C:.+]] = arith.constant -6.000000e+00 : f32
// CHECK:         tensor.extract
// CHECK-NEXT:    %[[M:.+]] = arith.mulf %{{.+}}, %[[C]] : f32
// CHECK-NEXT:    math.exp %[[M]]
func.func @recurrence_gate(%q: tensor<1x1x4x8xf32>, %i: tensor<1x1x8x8xf32>, %g: tensor<4xf32>) -> tensor<1x1x4x8xf32> {
  %o, %f = "attn.recurrence"(%q, %q, %q, %i) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %c2 = arith.constant 2.0 : f32
    %c3 = arith.constant 3.0 : f32
    %0 = tensor.extract %g[%t] : tensor<4xf32>
    %1 = arith.mulf %0, %c2 : f32
    %2 = arith.negf %1 : f32
    %3 = arith.mulf %2, %c3 : f32
    %4 = math.exp %3 : f32
    %5 = tensor.splat %4 : tensor<8x8xf32>
    %S1 = arith.mulf %S, %5 : tensor<8x8xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x8x8xf32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x8x8xf32>)
  return %o : tensor<1x1x4x8xf32>
}

// -----

// x / x is 0 for x = 0, which MLIR would fold to 1: the division is written out. A promise that the dialect
// does not keep is dropped.
// CHECK-LABEL: func.func @division_by_itself
// CHECK-DAG:     %[[C0:.+]] = arith.constant 0 : index
// CHECK-DAG:     %[[C1:.+]] = arith.constant 1 : index
// CHECK:       ^bb0(%{{[^ ]+}}: index, %{{[^ ]+}}: index, %{{[^ ]+}}: index, %[[J:[^ ]+]]: index):
// CHECK-NEXT:    %[[ZERO:.+]] = arith.cmpi eq, %[[J]], %[[C0]] : index
// CHECK-NEXT:    %[[D:.+]] = arith.select %[[ZERO]], %[[C1]], %[[J]] : index
// CHECK-NEXT:    %[[Q:.+]] = arith.divsi %[[J]], %[[D]] : index
// CHECK-NEXT:    %[[R:.+]] = arith.select %[[ZERO]], %[[C0]], %[[Q]] : index
// CHECK-NEXT:    %[[M:.+]] = arith.remui %[[R]], %[[D]] : index
// CHECK-NEXT:    %[[N:.+]] = arith.select %[[ZERO]], %[[C0]], %[[M]] : index
// CHECK-NEXT:    %[[S:.+]] = arith.addi %[[N]], %[[N]] : index
// CHECK-NEXT:    arith.cmpi sge, %[[S]], %[[C1]]
func.func @division_by_itself(%q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %c1 = arith.constant 1 : index
    %0 = arith.divsi %j, %j exact : index
    %1 = arith.remui %0, %j : index
    %2 = arith.addi %1, %1 overflow<nsw> : index
    %keep = arith.cmpi sge, %2, %c1 : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o : tensor<1x1x4x8xf32>
}

// -----

// Booleans are divided as well, around attn operations too, where promises are dropped as well.
// CHECK-LABEL: func.func @around
// CHECK-SAME:    %{{[^ ]+}}: tensor<1x1x4x8xf32>, %[[X:[^ ]+]]: i32, %[[C:[^ ]+]]: i1
// CHECK:         %[[M:.+]] = arith.muli %[[X]], %{{.+}} : i32
// CHECK-NEXT:    arith.divsi %[[M]], %{{.+}} : i32
// CHECK:         arith.divui %true, %{{.+}} : i1
func.func @around(%q: tensor<1x1x4x8xf32>, %x: i32, %c: i1) -> (tensor<1x1x4x8xf32>, i32, i1) {
  %true = arith.constant true
  %c3 = arith.constant 3 : i32
  %m = arith.muli %x, %c3 overflow<nsw> : i32
  %d = arith.divsi %m, %c3 : i32
  %e = arith.divui %true, %c : i1
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o, %d, %e : tensor<1x1x4x8xf32>, i32, i1
}

// -----

// Element [0, 3] of [2, 3] is [0, 2], and not the fourth of all.
// CHECK-LABEL: func.func @elements
// CHECK-SAME:    %[[A:[^ ]+]]: f32, %[[D:[^ ]+]]: f32
// CHECK:         "attn.yield"(%[[A]]) : (f32) -> ()
func.func @elements(%a: f32, %d: f32, %q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %true = arith.constant true
  %m = tensor.from_elements %a, %a, %a, %d, %d, %d : tensor<2x3xf32>
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = tensor.extract %m[%c0, %c3] : tensor<2x3xf32>
    "attn.yield"(%x) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %o : tensor<1x1x4x8xf32>
}

// -----

// Attributes of an op whose extra is dropped stay, but for the sizes of its result groups.
// CHECK-LABEL: func.func @unused_extra_with_attributes
// CHECK:         %[[O:[^ ]+]] = "attn.attention"
// CHECK-NOT:     attn.row_reduce
// CHECK-NOT:     resultSegmentSizes
// CHECK:         note = "kept"
// CHECK:         return %[[O]]
func.func @unused_extra_with_attributes(%q: tensor<1x2x5x4xf32>, %k: tensor<1x2x5x4xf32>, %v: tensor<1x2x5x4xf32>, %true: i1) -> tensor<1x2x5x4xf32> {
  %o, %e = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    "attn.yield"(%s, %m) : (f32, f32) -> ()
  }) {note = "kept", resultSegmentSizes = array<i32: 1, 1>} : (tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>) -> (tensor<1x2x5x4xf32>, tensor<1x2x5xf32>)
  return %o : tensor<1x2x5x4xf32>
}
