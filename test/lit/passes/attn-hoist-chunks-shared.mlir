// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile-chunked,attn-hoist-chunks{shared-heads=2},canonicalize,cse)' | FileCheck %s

// Eight heads of v share four of q, and these one of k: products of q and k are alike for two heads. There are four
// of them, and each loop reads that of its head of q.
// CHECK-LABEL: func.func @grouped
// CHECK:         %[[ALL:[^ ]+]] = scf.forall (%{{.+}}, %{{.+}}, %{{.+}}) in (%{{.+}}, 4, %[[CHUNKS:[^ ]+]]) shared_outs({{.*}}) -> (tensor<?x4x?x16x16xbf16>)
// CHECK:           linalg.generic {{.*}}"reduction"
// CHECK:           scf.forall.in_parallel
// CHECK:         } {attn.chunks}
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]]) in (%{{[^ ]+}}, 8)
// CHECK:           scf.for %[[N:[^ ]+]] = %{{.+}} to %[[CHUNKS]]
// CHECK:             %[[Q:[^ ]+]] = arith.divui %[[H]], %c2
// CHECK:             %[[P:[^ ]+]] = tensor.extract_slice %[[ALL]][%[[B]], %[[Q]], %[[N]], 0, 0] [1, 1, 1, 16, 16]
// CHECK:             linalg.generic {{.*}} ins(%[[P]]
func.func @grouped(%q: tensor<?x4x?x16xbf16>, %k: tensor<?x1x?x16xbf16>, %v: tensor<?x8x?x16xbf16>, %initial: tensor<?x8x16x16xf32>) -> (tensor<?x8x?x16xbf16>, tensor<?x8x16x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"} : (tensor<?x4x?x16xbf16>, tensor<?x1x?x16xbf16>, tensor<?x8x?x16xbf16>, tensor<?x8x16x16xf32>) -> (tensor<?x8x?x16xbf16>, tensor<?x8x16x16xf32>)
  return %o, %final : tensor<?x8x?x16xbf16>, tensor<?x8x16x16xf32>
}

// -----

// No two heads have a product alike: it stays in the loop.
// CHECK-LABEL: func.func @own
// CHECK:         scf.forall
// CHECK-NEXT:      tensor.extract_slice
// CHECK-NOT:     scf.forall (
func.func @own(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x1x?x16xbf16>, %v: tensor<?x2x?x16xbf16>, %initial: tensor<?x2x16x16xf32>) -> (tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"} : (tensor<?x2x?x16xbf16>, tensor<?x1x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>) -> (tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>)
  return %o, %final : tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>
}
