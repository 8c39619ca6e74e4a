// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(convert-attn-to-linalg,canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(convert-attn-to-linalg{block-q=4})' | FileCheck %s --check-prefix=BLOCK

// Masked scores are -inf; each reduction takes its identity there, the weighted sum nothing at all.
// CHECK-LABEL: func.func @softmax
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x6x?x64xf16>, %[[K:[^ ]+]]: tensor<?x2x?x64xf16>, %[[V:[^ ]+]]: tensor<?x2x?x16xf16>
// CHECK-DAG:     %[[NEGINF:[^ ]+]] = arith.constant 0xFF800000 : f32
// CHECK-DAG:     %[[ZERO:[^ ]+]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG:     %[[GROUP:[^ ]+]] = arith.constant 3 : index
// CHECK-DAG:     %[[C2:[^ ]+]] = arith.constant 2 : index
// CHECK-DAG:     %[[ROWS:[^ ]+]] = tensor.dim %[[Q]], %[[C2]] : tensor<?x6x?x64xf16>
// CHECK-DAG:     %[[KEYS:[^ ]+]] = tensor.dim %[[K]], %[[C2]] : tensor<?x2x?x64xf16>
// CHECK:         scf.for %[[B:[^ ]+]] =
// CHECK:           scf.for %[[H:[^ ]+]] =
// CHECK:             %[[KVH:[^ ]+]] = arith.divui %[[H]], %[[GROUP]]
// CHECK:             %[[KH:[^ ]+]] = tensor.extract_slice %[[K]][%[[B]], %[[KVH]], 0, 0] [1, 1, %[[KEYS]], 64]
// CHECK:             %[[VH:[^ ]+]] = tensor.extract_slice %[[V]][%[[B]], %[[KVH]], 0, 0] [1, 1, %[[KEYS]], 16]
// CHECK:             scf.for %[[START:[^ ]+]] = %{{.+}} to %[[ROWS]] step
// The block of q, transposed; rows past the end repeat the last one.
// CHECK:               %[[QB:[^ ]+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<64x32xf32>)
// CHECK:                 %[[ROW:[^ ]+]] = arith.addi %[[START]], %{{.+}}
// CHECK:                 %[[I:[^ ]+]] = arith.minui %[[ROW]], %[[LAST:[^ ]+]] :
// CHECK:                 tensor.extract %[[Q]][%[[B]], %[[H]], %[[I]], %{{.+}}]
// CHECK:                 arith.extf
// CHECK:               %[[PRODUCTS:[^ ]+]] = linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "parallel"]} ins(%[[KH]], %[[QB]] :
// Scores, and which rows have an unmasked element, for the extra result.
// CHECK:               %[[SCORES:[^ ]+]]:2 = linalg.generic {{.*}}iterator_types = ["reduction", "parallel"]} outs(%[[PRODUCTS]], %{{.+}} : tensor<?x32xf32>, tensor<32xi1>)
// CHECK:                 %[[KEEP:[^ ]+]] = arith.cmpi sge
// CHECK:                 %[[S:[^ ]+]] = arith.select %[[KEEP]], %{{.+}}, %[[NEGINF]]
// CHECK:                 %[[SOME:[^ ]+]] = arith.cmpf une, %[[S]], %[[NEGINF]]
// CHECK:                 arith.ori %{{.+}}, %[[SOME]] : i1
// CHECK:               %[[MAX:[^ ]+]] = linalg.generic
// CHECK:                 arith.maximumf
// CHECK:               %[[SUM:[^ ]+]]:2 = linalg.generic
// CHECK:                 %[[E:[^ ]+]] = math.exp
// CHECK:                 %[[MASKED:[^ ]+]] = arith.cmpf oeq, %{{.+}}, %[[NEGINF]]
// CHECK:                 %[[COUNTED:[^ ]+]] = arith.select %[[MASKED]], %[[ZERO]], %[[E]]
// CHECK:                 %[[ACC:[^ ]+]] = arith.addf %{{.+}}, %[[COUNTED]]
// CHECK:                 linalg.yield %[[ACC]], %[[E]]
// CHECK:               linalg.generic {{.*}} ins(%{{.+}}, %[[SUM]]#1 :
// CHECK:                 arith.divf
// CHECK:               %[[O:[^ ]+]] = linalg.generic {{.*}}iterator_types = ["reduction", "parallel", "parallel"]} ins(%[[SCORES]]#0, %{{.+}}, %[[VH]] :
// CHECK:                 %[[SKIP:[^ ]+]] = arith.cmpf oeq
// CHECK:                 arith.select %[[SKIP]], %[[ZERO]], %{{.+}}
// Rows past the end are not stored.
// CHECK:               %[[LEFT:[^ ]+]] = arith.subi %[[ROWS]], %[[START]]
// CHECK:               %[[COUNT:[^ ]+]] = arith.minui %[[LEFT]], %{{.+}}
// CHECK:               tensor.insert_slice %{{.+}} into %{{.+}}[%[[B]], %[[H]], %[[START]], 0] [1, 1, %[[COUNT]], 16]
// NaN becomes 0 in an extra result of a row with nothing left.
// CHECK:               arith.cmpf uno
// CHECK-NOT:     attn.

// BLOCK-LABEL: func.func @softmax
// BLOCK:         tensor<?x4xf32>
func.func @softmax(%q: tensor<?x6x?x64xf16>, %k: tensor<?x2x?x64xf16>, %v: tensor<?x2x?x16xf16>)
    -> (tensor<?x6x?x16xf16>, tensor<?x6x?xf32>) {
  %o, %lse = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sge, %i, %j : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %g = math.log %l : f32
    %z = arith.addf %m, %g : f32
    "attn.yield"(%p, %z) : (f32, f32) -> ()
  }) : (tensor<?x6x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x16xf16>) -> (tensor<?x6x?x16xf16>, tensor<?x6x?xf32>)
  return %o, %lse : tensor<?x6x?x16xf16>, tensor<?x6x?xf32>
}

// -----

// Values are computed where they vary: what depends on the head before the rows, the logarithm of a row once a
// row, and indices into captures are clamped. A block has no more rows than q.
// CHECK-LABEL: func.func @levels
// CHECK-SAME:    %[[SLOPES:[^ ]+]]: tensor<8xf32>
// CHECK-DAG:     %[[SEVEN:[^ ]+]] = arith.constant 7 : index
// CHECK:           scf.for %[[H:[^ ]+]] =
// CHECK:             %[[LOW:[^ ]+]] = arith.minsi %[[H]], %[[SEVEN]]
// CHECK:             %[[IN:[^ ]+]] = arith.maxsi %[[LOW]], %{{.+}}
// CHECK:             tensor.extract %[[SLOPES]][%[[IN]]]
// CHECK:               %[[LOG:[^ ]+]] = linalg.generic {{.*}}iterator_types = ["parallel"]} {{.*}} outs(%{{.+}} : tensor<5xf32>)
// CHECK-NEXT:          ^
// CHECK-NEXT:            math.log
// CHECK-NEXT:            linalg.yield
// CHECK:               linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} ins(%[[LOG]],
// CHECK-NEXT:          ^
// CHECK-NEXT:            arith.subf
// CHECK-NEXT:            math.exp

// BLOCK-LABEL: func.func @levels
// BLOCK:         tensor<7x4xf32>
func.func @levels(%q: tensor<1x8x5x4xf32>, %k: tensor<1x8x7x4xf32>, %v: tensor<1x8x7x4xf32>, %slopes: tensor<8xf32>)
    -> tensor<1x8x5x4xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %slope = tensor.extract %slopes[%h] : tensor<8xf32>
    %r = arith.mulf %s, %slope : f32
    "attn.yield"(%r) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %t = arith.constant true
    "attn.yield"(%t) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %e = math.exp %s : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %g = math.log %l : f32
    %d = arith.subf %s, %g : f32
    %p = math.exp %d : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x8x5x4xf32>, tensor<1x8x7x4xf32>, tensor<1x8x7x4xf32>) -> tensor<1x8x5x4xf32>
  return %o : tensor<1x8x5x4xf32>
}

// -----

// A captured tensor that may be empty is replaced by zeros; divisors are guarded.
// CHECK-LABEL: func.func @total
// CHECK-SAME:    %[[T:[^ ]+]]: tensor<?xi32>
// CHECK-DAG:     %[[ZEROS:[^ ]+]] = arith.constant dense<0> : tensor<1xi32>
// CHECK:         %[[EMPTY:[^ ]+]] = arith.cmpi eq, %{{.+}}, %{{.+}} : index
// CHECK:         %[[SAFE:[^ ]+]] = scf.if %[[EMPTY]] -> (tensor<?xi32>)
// CHECK-NEXT:      %[[CAST:[^ ]+]] = tensor.cast %[[ZEROS]]
// CHECK-NEXT:      scf.yield %[[CAST]]
// CHECK:           scf.yield %[[T]]
// CHECK:         scf.for
// CHECK:           %[[N:[^ ]+]] = tensor.extract %[[SAFE]]
// CHECK:           %[[BY_ZERO:[^ ]+]] = arith.cmpi eq, %[[N]], %{{.+}}
// CHECK:           %[[BY_MINUS_ONE:[^ ]+]] = arith.cmpi eq, %[[N]], %{{.+}}
// CHECK:           %[[SPECIAL:[^ ]+]] = arith.ori %[[BY_ZERO]], %[[BY_MINUS_ONE]]
// CHECK:           %[[DIVISOR:[^ ]+]] = arith.select %[[SPECIAL]], %{{.+}}, %[[N]]
// CHECK:           %[[QUOTIENT:[^ ]+]] = arith.divsi %{{.+}}, %[[DIVISOR]]
// CHECK:           arith.select %[[BY_MINUS_ONE]], %{{.+}}, %[[QUOTIENT]]
// CHECK:           arith.select %[[BY_ZERO]]
func.func @total(%q: tensor<1x1x?x4xf32>, %k: tensor<1x1x?x4xf32>, %v: tensor<1x1x?x4xf32>, %t: tensor<?xi32>)
    -> tensor<1x1x?x4xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %n = tensor.extract %t[%j] : tensor<?xi32>
    %jn = arith.index_cast %j : index to i32
    %d = arith.divsi %jn, %n : i32
    %f = arith.sitofp %d : i32 to f32
    "attn.yield"(%f) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<1x1x?x4xf32>
  return %o : tensor<1x1x?x4xf32>
}

// -----

// The state is carried through the loop over positions, in one buffer; inputs arrive in the accumulator's type.
// CHECK-LABEL: func.func @linear
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4x?x8xbf16>, %{{.+}}: tensor<?x2x?x8xbf16>, %{{.+}}: tensor<?x4x?x6xbf16>, %[[INIT:[^ ]+]]: tensor<?x4x8x6xf32>
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]]) in
// CHECK:             %[[S0:[^ ]+]] = tensor.extract_slice %[[INIT]][%[[B]], %[[H]], 0, 0]
// CHECK:             %[[ROWS:[^ ]+]] = tensor.extract_slice %{{.+}}[%[[B]], %[[H]], {{.+}}, 0]
// CHECK:             arith.divui %[[H]]
// CHECK:             %[[LOOP:[^ ]+]]:2 = scf.for %[[T:[^ ]+]] = %{{.+}} iter_args(%[[S:[^ ]+]] = %[[S0]], %[[OT:[^ ]+]] = %[[ROWS]])
// CHECK:               %[[QT:[^ ]+]] = tensor.extract_slice %[[Q]][%[[B]], %[[H]], %[[T]], 0]
// CHECK:               arith.extf %[[QT]] : tensor<8xbf16> to tensor<8xf32>
// CHECK:               %[[S1:[^ ]+]] = arith.addf %[[S]], %{{.+}} : tensor<8x6xf32>
// CHECK:               linalg.generic {{.*}} ins(%[[QF:[^ ]+]], %[[S1]] : tensor<8xf32>, tensor<8x6xf32>)
// CHECK:               %[[NEXT:[^ ]+]] = linalg.copy {{.*}}ins(%[[S1]] : tensor<8x6xf32>) outs(%[[S]] : tensor<8x6xf32>)
// CHECK:               arith.truncf
// CHECK:               %[[O:[^ ]+]] = tensor.insert_slice %{{.+}} into %[[OT]][%[[T]], 0] [1, 6]
// CHECK:               scf.yield %[[NEXT]], %[[O]]
// CHECK:             tensor.parallel_insert_slice %[[LOOP]]#1 into %{{.+}}[%[[B]], %[[H]], {{.+}}, 0]
// CHECK:             tensor.parallel_insert_slice %[[LOOP]]#0 into %{{.+}}[%[[B]], %[[H]], 0, 0]
// CHECK-NOT:     attn.

// BLOCK-LABEL: func.func @linear
func.func @linear(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x2x?x8xbf16>, %v: tensor<?x4x?x6xbf16>, %initial: tensor<?x4x8x6xf32>)
    -> (tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<8x6xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x6xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<6xf32>) outs(%e : tensor<8x6xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x6xf32>
    %S1 = arith.addf %S, %kv : tensor<8x6xf32>
    %z = arith.constant dense<0.0> : tensor<6xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x6xf32>) outs(%z : tensor<6xf32>) -> tensor<6xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x2x?x8xbf16>, tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>)
    -> (tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>
}

// -----

// With offsets the grid is over sequences, the batch index is 0, and o starts as zeros.
// CHECK-LABEL: func.func @packed
// CHECK-SAME:    %[[OFFSETS:[^ ]+]]: tensor<?xi32>
// CHECK-DAG:     %[[C0:[^ ]+]] = arith.constant 0 : index
// CHECK:         linalg.fill {{.*}} -> tensor<1x?x?x3xf32>
// CHECK:         scf.forall (%[[N:[^ ]+]], %{{.+}}) in
// CHECK:           %[[FIRST:[^ ]+]] = tensor.extract %[[OFFSETS]]
// CHECK:           %[[CAST:[^ ]+]] = arith.index_cast %[[FIRST]] : i32 to index
// CHECK:           %[[POSITIVE:[^ ]+]] = arith.maxsi %[[CAST]], %[[C0]]
// CHECK:           %[[LOW:[^ ]+]] = arith.minsi %[[POSITIVE]], %{{.+}}
// CHECK:           tensor.extract %[[OFFSETS]]
// CHECK:           %[[HIGH:[^ ]+]] = arith.minsi
// CHECK:           tensor.extract_slice %{{.+}}[%[[N]], %{{.+}}, 0, 0] [1, 1, 2, 3]
// CHECK:           scf.for %[[T:[^ ]+]] = %[[LOW]] to %[[HIGH]]
// CHECK:             %[[PLACE:[^ ]+]] = arith.subi %[[T]], %[[LOW]]
// CHECK:             tensor.insert_slice %{{.+}} into %{{.+}}[%[[PLACE]], 0] [1, 3]
// CHECK:           tensor.parallel_insert_slice %{{.+}} into %{{.+}}[{{(0|%c0[^ ]*)}}, %{{.+}}, %[[LOW]], 0]
func.func @packed(%q: tensor<1x?x?x2xf32>, %k: tensor<1x?x?x2xf32>, %v: tensor<1x?x?x3xf32>, %initial: tensor<?x?x2x3xf32>, %offsets: tensor<?xi32>)
    -> (tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial, %offsets) ({
  ^step(%S: tensor<2x3xf32>, %qt: tensor<2xf32>, %kt: tensor<2xf32>, %vt: tensor<3xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<2x3xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<2x3xf32>, tensor<3xf32>) -> ()
  }) : (tensor<1x?x?x2xf32>, tensor<1x?x?x2xf32>, tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>, tensor<?xi32>)
    -> (tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>)
  return %o, %final : tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>
}

// A chunked recurrence is the recurrence that it means: one position after the other.
// CHECK-LABEL: func.func @chunked
// CHECK-NOT:     attn.
// CHECK:         scf.for
// CHECK:           %[[DECAY:.+]] = math.exp
// CHECK-NOT:     attn.
func.func @chunked(%q: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x4xf32>, %s0: tensor<1x2x8x4xf32>, %g: f32)
    -> (tensor<1x2x?x4xf32>, tensor<1x2x8x4xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<4xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt, %g, %kt)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 1, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<4xf32>, f32, tensor<8xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", erase_reads = "decayed", exponents = "any"}
    : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x4xf32>, tensor<1x2x8x4xf32>)
    -> (tensor<1x2x?x4xf32>, tensor<1x2x8x4xf32>)
  return %o, %final : tensor<1x2x?x4xf32>, tensor<1x2x8x4xf32>
}
