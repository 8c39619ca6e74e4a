// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile-chunked{decay-sums=auto},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile-chunked{heads=4 value-block=16 decay-bound=0},canonicalize,cse)' | FileCheck %s --check-prefix=PARTS

// A decay for all key features: products of q and k as they were loaded, weighed where they are seen, in f32 since these
// have 16 bits. The program carries
// the state and its part of o.
// CHECK-LABEL: func.func @scalar
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x2x?x64xbf16> {{.*}}, %[[K:[^ ]+]]: tensor<?x2x?x64xbf16> {{.*}}, %[[V:[^ ]+]]: tensor<?x2x?x32xbf16> {{.*}}, %[[INITIAL:[^ ]+]]: tensor<?x2x64x32xf32>, %[[LOG:[^ ]+]]: tensor<?x2x?xf32>
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]]) in (%{{.+}}, 2) shared_outs(%[[OUT:[^ ]+]] = %{{.+}}, %[[FINAL:[^ ]+]] = %{{.+}})
// CHECK:           %[[S:[^ ]+]] = tensor.extract_slice %[[INITIAL]][%[[B]], %[[H]], 0, 0] [1, 1, 64, 32]
// CHECK:           %[[PART:[^ ]+]] = tensor.extract_slice %[[OUT]][%[[B]], %[[H]], 0, 0] [1, 1, %[[LENGTH:[^ ]+]], 32]
// CHECK:           %[[LOOP:[^ ]+]]:2 = scf.for {{.*}} iter_args(%[[STATE:[^ ]+]] = %[[S]], %[[O:[^ ]+]] = %[[PART]]) -> (tensor<64x32xf32>, tensor<?x32xbf16>)
// CHECK:             %[[QS:[^ ]+]] = tensor.extract_slice %[[Q]][%[[B]], %[[H]], %[[FIRST:[^ ]+]], 0] [1, 1, %[[REAL:[^ ]+]], 64]
// CHECK:             %[[QT:[^ ]+]] = tensor.pad %[[QS]]
// CHECK:             %[[KS:[^ ]+]] = tensor.extract_slice %[[K]]
// CHECK:             %[[KT:[^ ]+]] = tensor.pad %[[KS]]
// CHECK:             %[[VS:[^ ]+]] = tensor.extract_slice %[[V]]
// CHECK:             %[[VT:[^ ]+]] = tensor.pad %[[VS]]
// CHECK:             %[[GS:[^ ]+]] = tensor.extract_slice %[[LOG]][%[[B]], %[[H]], %[[FIRST]]] [1, 1, %[[REAL]]]
// CHECK:             %[[GT:[^ ]+]] = tensor.pad %[[GS]]
// CHECK:             %[[SCALARS:[^ ]+]]:3 = linalg.generic {{.*}} ins({{.*}}%[[GT]]
// CHECK:               arith.cmpi ult, %{{.+}}, %[[REAL]]
// CHECK-COUNT-3:       arith.select
// CHECK:             %[[QK:[^ ]+]] = linalg.generic {{.*}} ins(%[[QT]], %[[KT]] : tensor<16x64xbf16>, tensor<16x64xbf16>) outs(%{{.+}} : tensor<16x16xf32>)
// CHECK:             %[[C:[^ ]+]] = linalg.generic {{.*}} ins(%[[SCALARS]]#0 : {{.*}}attn.prefix_sum = {block = 16 : i64, inclusive = true, reverse = false}
// CHECK:             %[[P:[^ ]+]] = linalg.generic {{.*}} ins(%[[QK]], %[[C]], %[[C]],
// CHECK:               arith.subf %{{.+}}, %{{.+}} : f32
// CHECK:               math.exp
// CHECK:               arith.cmpi ule
// CHECK:               arith.select
// CHECK:             %[[QSTATE:[^ ]+]] = linalg.generic {{.*}} ins(%[[QT]], %[[STATE]] :
// CHECK:             %[[CARRIED:[^ ]+]] = linalg.generic {{.*}} ins(%[[QSTATE]],
// CHECK:             %[[ROWS:[^ ]+]] = linalg.generic {{.*}} ins(%[[P]], %{{.+}} : tensor<16x16xf32>, tensor<16x32xf32>) outs(%[[CARRIED]] :
// CHECK:             %[[KEPT:[^ ]+]] = linalg.generic {{.*}} ins(%[[STATE]], %{{.+}} : tensor<64x32xf32>, tensor<f32>)
// CHECK:             attn.prefix_sum = {block = 16 : i64, inclusive = false, reverse = true}
// CHECK:             %[[NEXT:[^ ]+]] = linalg.generic {{.*}} ins(%[[KT]], %{{.+}} : tensor<16x64xbf16>, tensor<16x32xf32>) outs(%[[KEPT]] :
// CHECK:             %[[NARROW:[^ ]+]] = linalg.generic {{.*}} ins(%[[ROWS]] : {{.*}} outs(%{{.+}} : tensor<16x32xbf16>)
// CHECK:             %[[REALROWS:[^ ]+]] = tensor.extract_slice %[[NARROW]][0, 0] [%[[REAL]], 32]
// CHECK:             %[[WRITTEN:[^ ]+]] = tensor.insert_slice %[[REALROWS]] into %[[O]][%[[FIRST]], 0] [%[[REAL]], 32]
// CHECK:             scf.yield %[[NEXT]], %[[WRITTEN]]
// CHECK:           } {attn.chunks}
// CHECK:           scf.forall.in_parallel
// CHECK:             tensor.parallel_insert_slice %[[LOOP]]#1 into %[[OUT]][%[[B]], %[[H]], 0, 0] [1, 1, %[[LENGTH]], 32]
// CHECK:             tensor.parallel_insert_slice %[[LOOP]]#0 into %[[FINAL]][%[[B]], %[[H]], 0, 0] [1, 1, 64, 32]
// CHECK-NOT:     attn.chunked_recurrence
//
// Two programs share the value features; sums of logarithms are f64 by default, until they are subtracted.
// PARTS-LABEL: func.func @scalar
// PARTS:         scf.forall (%{{.+}}, %{{.+}}, %[[BLOCK:[^ ]+]]) in (%{{.+}}, 2, 2)
// PARTS:           %[[COLUMN:[^ ]+]] = arith.muli %[[BLOCK]], %c16
// PARTS:           tensor.extract_slice %{{.+}}[%{{.+}}, %{{.+}}, 0, %[[COLUMN]]] [1, 1, 64, 16]
// PARTS:           scf.for {{.*}} -> (tensor<64x16xf32>, tensor<?x16xbf16>)
// PARTS:             outs(%{{.+}} : tensor<16xf64>) attrs = {attn.prefix_sum
// PARTS:               arith.extf %{{.+}} : f32 to f64
// PARTS:             %[[BETWEEN:[^ ]+]] = arith.subf %{{.+}}, %{{.+}} : f64
// PARTS:             arith.truncf %[[BETWEEN]] : f64 to f32
func.func @scalar(%q: tensor<?x2x?x64xbf16> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x2x?x64xbf16> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x2x?x32xbf16> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x2x64x32xf32>, %log_decay: tensor<?x2x?xf32> {attn.dims = ["B", "", "T"]}, %query_scale: tensor<?x2x?xf32> {attn.dims = ["B", "", "T"]}, %key_scale: tensor<?x2x?xf32> {attn.dims = ["B", "", "T"]}) -> (tensor<?x2x?x32xbf16>, tensor<?x2x64x32xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<64xf32>, %kt: tensor<64xf32>, %vt: tensor<32xf32>, %b: index, %h: index, %t: index):
    %log_decay_t = tensor.extract %log_decay[%b, %h, %t] : tensor<?x2x?xf32>
    %query_scale_t = tensor.extract %query_scale[%b, %h, %t] : tensor<?x2x?xf32>
    %key_scale_t = tensor.extract %key_scale[%b, %h, %t] : tensor<?x2x?xf32>
    "attn.position_yield"(%qt, %kt, %vt, %log_decay_t, %query_scale_t, %key_scale_t)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 1, 1, 0, 0, 0>}
      : (tensor<64xf32>, tensor<64xf32>, tensor<32xf32>, f32, f32, f32) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"}
    : (tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x32xbf16>, tensor<?x2x64x32xf32>) -> (tensor<?x2x?x32xbf16>, tensor<?x2x64x32xf32>)
  return %o, %final : tensor<?x2x?x32xbf16>, tensor<?x2x64x32xf32>
}

// -----

// A decay for each key feature, and o that reads the state before its update: one product where sums stay near that in the
// middle, else one for each size of blocks.
// CHECK-LABEL: func.func @diagonal
// CHECK:         scf.for
// CHECK:           %[[LOG:[^ ]+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<16x8xf32>)
// CHECK:             arith.select
// CHECK:           ins(%[[LOG]] : {{.*}}attn.prefix_sum = {block = 16 : i64, inclusive = true, reverse = false}
// CHECK:           arith.cmpi eq, %{{.+}}, %c7
// CHECK:           ins(%[[LOG]] : {{.*}}attn.prefix_sum = {block = 16 : i64, inclusive = false, reverse = false}
// CHECK-COUNT-2:   math.absf
// CHECK:           %[[INSIDE:[^ ]+]] = arith.andi
// CHECK:           %[[PAIRS:[^ ]+]] = scf.if %[[INSIDE]] -> (tensor<16x16xf32>)
// CHECK:             arith.negf
// CHECK:             iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-NOT:         iterator_types = ["parallel", "parallel", "reduction"]
// CHECK:           } else {
// CHECK:             attn.prefix_sum = {block = 1 : i64, inclusive = false, reverse = true}
// CHECK:             attn.prefix_sum = {block = 1 : i64, inclusive = false, reverse = false}
// CHECK:             attn.prefix_sum = {block = 2 : i64, inclusive = false, reverse = true}
// CHECK:             attn.prefix_sum = {block = 8 : i64, inclusive = false, reverse = false}
// CHECK:             scf.yield
// CHECK:           linalg.generic {{.*}} ins(%[[PAIRS]] :
// CHECK:             arith.cmpi ult
//
// PARTS-LABEL: func.func @diagonal
// PARTS-NOT:     scf.if
// PARTS:         attn.prefix_sum = {block = 8 :
func.func @diagonal(%q: tensor<?x1x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x1x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x1x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x1x8x16xf32>, %log_decay: tensor<?x1x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %skip: tensor<?x1x?x16xf32> {attn.dims = ["B", "", "T", ""]}) -> (tensor<?x1x?x16xf32>, tensor<?x1x8x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %log_decay_t = tensor.extract_slice %log_decay[%b, %h, %t, 0] [1, 1, 1, 8] [1, 1, 1, 1] : tensor<?x1x?x8xf32> to tensor<8xf32>
    %skip_t = tensor.extract_slice %skip[%b, %h, %t, 0] [1, 1, 1, 16] [1, 1, 1, 1] : tensor<?x1x?x16xf32> to tensor<16xf32>
    "attn.position_yield"(%qt, %kt, %vt, %log_decay_t, %skip_t)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 1>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 16 : i64, reads = "before", exponents = "any"}
    : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x16xf32>, tensor<?x1x8x16xf32>) -> (tensor<?x1x?x16xf32>, tensor<?x1x8x16xf32>)
  return %o, %final : tensor<?x1x?x16xf32>, tensor<?x1x8x16xf32>
}

// -----

// A rank-one term: the inverse of its triangular matrix by doubling, from blocks of 1 to 8 positions.
// CHECK-LABEL: func.func @delta
// CHECK:         scf.forall {{.*}} in (%{{.+}}, 4)
// CHECK:           scf.for {{.*}} iter_args(%[[STATE:[^ ]+]] = %{{.+}}, %{{.+}} = %{{.+}})
// CHECK:             %[[KT:[^ ]+]] = tensor.pad {{.*}}
// CHECK:             %[[KT:[^ ]+]] = tensor.pad {{.*}}
// CHECK:             ins(%[[KT]], %[[KT]] : tensor<16x8xf32>, tensor<16x8xf32>) outs(%{{.+}} : tensor<16x16xf32>)
// CHECK:             %[[N:[^ ]+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<16x16xf32>)
// CHECK:               arith.mulf %{{.+}}, %cst{{.*}} : f32
// CHECK:               arith.cmpi ult
// CHECK:             %[[ERASED:[^ ]+]] = linalg.generic {{.*}} ins(%[[KT]], %[[STATE]] :
// CHECK:             arith.subf
// CHECK:             %[[T2:[^ ]+]] = linalg.generic {{.*}} ins(%[[N]] :
// CHECK:             %[[PART:[^ ]+]] = linalg.generic {{.*}} ins(%[[N]] :
// CHECK:             %[[RIGHT:[^ ]+]] = linalg.generic {{.*}} ins(%[[PART]], %[[T2]] :
// CHECK:             %[[T4:[^ ]+]] = linalg.generic {{.*}} ins(%[[T2]], %[[RIGHT]] : {{.*}} outs(%[[T2]] :
// CHECK:             ins(%[[N]] :
// CHECK:             ins(%[[N]] :
// CHECK-NOT:         ins(%[[N]] :
// CHECK:             scf.yield
//
// The heads that share q and k are one program, in which products of these are computed once.
// PARTS-LABEL: func.func @delta
// PARTS:         scf.forall (%{{[^,]+}}) in (%{{[^,]+}})
// PARTS:           scf.for {{.*}} -> (tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>)
// PARTS-COUNT-2:     ins(%{{.+}}, %{{.+}} : tensor<16x8xf32>, tensor<16x8xf32>) outs(%{{.+}} : tensor<16x16xf32>)
// PARTS-NOT:         ins(%{{.+}}, %{{.+}} : tensor<16x8xf32>, tensor<16x8xf32>) outs(%{{.+}} : tensor<16x16xf32>)
// PARTS:           scf.forall.in_parallel
// PARTS-COUNT-8:     tensor.parallel_insert_slice
func.func @delta(%q: tensor<?x1x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x1x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x4x8x16xf32>, %log_decay: tensor<?x4x?xf32> {attn.dims = ["B", "", "T"]}, %query_scale: tensor<?x4x?xf32> {attn.dims = ["B", "", "T"]}, %key_scale: tensor<?x4x?xf32> {attn.dims = ["B", "", "T"]}, %erase_scale: tensor<?x4x?xf32> {attn.dims = ["B", "", "T"]}) -> (tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %log_decay_t = tensor.extract %log_decay[%b, %h, %t] : tensor<?x4x?xf32>
    %query_scale_t = tensor.extract %query_scale[%b, %h, %t] : tensor<?x4x?xf32>
    %key_scale_t = tensor.extract %key_scale[%b, %h, %t] : tensor<?x4x?xf32>
    %erase_scale_t = tensor.extract %erase_scale[%b, %h, %t] : tensor<?x4x?xf32>
    "attn.position_yield"(%qt, %kt, %vt, %log_decay_t, %query_scale_t, %key_scale_t, %kt, %erase_scale_t)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 1, 1, 1, 1, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32, f32, f32, tensor<8xf32>, f32) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any", erase_reads = "decayed"}
    : (tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>) -> (tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>
}

// -----

// Sequences of different lengths: chunks begin at a sequence's first position, and o is 0 before. The gate is not known to
// have as many positions as q, and is read element by element, clamped.
// CHECK-LABEL: func.func @packed
// CHECK-SAME:    %[[OFFSETS:[^ ]+]]: tensor<?xi32>
// CHECK:         %[[ZEROS:[^ ]+]] = linalg.fill
// CHECK:         scf.forall (%[[N:[^ ]+]], %[[H:[^ ]+]]) in (%{{.+}}, 2) shared_outs(%{{.+}} = %[[ZEROS]],
// CHECK:           tensor.extract %[[OFFSETS]]
// CHECK:           tensor.extract %[[OFFSETS]]
// CHECK:           %[[LENGTH:[^ ]+]] = arith.maxsi
// CHECK:           scf.for
// CHECK:             tensor.extract_slice {{.*}} [1, 1, %[[REAL:[^ ]+]], 8]
// CHECK:             linalg.generic
// CHECK:               arith.minsi
// CHECK:               arith.maxsi
// CHECK:               tensor.extract
//
// PARTS-LABEL: func.func @packed
func.func @packed(%q: tensor<1x2x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %k: tensor<1x2x?x8xf32> {attn.dims = ["B", "", "T", ""]}, %v: tensor<1x2x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x2x8x16xf32>, %offsets: tensor<?xi32>, %log_decay: tensor<1x2x?xf32>) -> (tensor<1x2x?x16xf32>, tensor<?x2x8x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial, %offsets) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %log_decay_t = tensor.extract %log_decay[%b, %h, %t] : tensor<1x2x?xf32>
    "attn.position_yield"(%qt, %kt, %vt, %log_decay_t)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"}
    : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x16xf32>, tensor<?x2x8x16xf32>, tensor<?xi32>) -> (tensor<1x2x?x16xf32>, tensor<?x2x8x16xf32>)
  return %o, %final : tensor<1x2x?x16xf32>, tensor<?x2x8x16xf32>
}
