// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile-chunked{value-block=8},attn-hoist-chunks,canonicalize,cse)' | FileCheck %s

// The inverse of a delta rule, scaled by the keys' scales, and rounded as products would: the loop reads it.
// The products of queries and keys, and what depends on v, stay in the loop.
// CHECK-LABEL: func.func @delta_rule
// CHECK:         %[[ALL:[^ ]+]] = scf.forall (%{{.+}}, %{{.+}}, %{{.+}}) in (%{{.+}}, 2, %[[CHUNKS:[^ ]+]]) shared_outs({{.*}}) -> (tensor<?x2x?x16x16xbf16>)
// CHECK-COUNT-6:   attn.inverse
// CHECK:           scf.forall.in_parallel
// CHECK:         } {attn.chunks}
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]], %{{.+}}) in (%{{.+}}, 2, 2)
// CHECK:           scf.for %[[N:[^ ]+]] = %{{.+}} to %[[CHUNKS]]
// CHECK:             %[[T:[^ ]+]] = tensor.extract_slice %[[ALL]][%[[B]], %[[H]], %[[N]], 0, 0] [1, 1, 1, 16, 16]
// CHECK-NOT:         attn.inverse
// CHECK:             linalg.generic {{.*}} ins(%[[T]], %{{.+}} : tensor<16x16xbf16>, tensor<16x8xf32>)
// CHECK:           } {attn.chunks}
func.func @delta_rule(%q: tensor<?x2x?x16xbf16> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x2x?x16xbf16> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x2x?x16xbf16> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x2x16x16xf32>, %beta: tensor<?x2x?xf32> {attn.dims = ["B", "", "T"]}) -> (tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %bt = tensor.extract %beta[%b, %h, %t] : tensor<?x2x?xf32>
    "attn.position_yield"(%qt, %kt, %vt, %bt, %kt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 1, 1, 0, 0>} : (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, f32, tensor<16xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any", erase_reads = "decayed"} : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>) -> (tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>)
  return %o, %final : tensor<?x2x?x16xbf16>, tensor<?x2x16x16xf32>
}

// -----

// Of decays for each key feature one product does mostly: the first grid also tells where it does not, and the
// second computes these chunks again, by halves. No branch is left in the loop.
// CHECK-LABEL: func.func @diagonal
// CHECK:         %[[ALL:[^ ]+]]:{{[0-9]+}} = scf.forall {{.*}}-> ({{.*}}tensor<?x2x?xf32>)
// CHECK-NOT:       scf.if
// CHECK:         } {attn.chunks}
// CHECK:         scf.forall {{.*}}-> (tensor<?x2x?x16x16xf32>)
// CHECK:           %[[FITS:[^ ]+]] = tensor.extract %[[ALL]]#
// CHECK:           scf.if
// CHECK:             tensor.extract_slice %[[ALL]]#
// CHECK:           } else {
// CHECK:             attn.prefix_sum = {block = 2 : i64
// CHECK:           } {attn.chunks}
// CHECK:         } {attn.chunks}
// CHECK:         scf.forall
// CHECK:           scf.for
// CHECK-NOT:         scf.if
// CHECK:           } {attn.chunks}
func.func @diagonal(%q: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %v: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "T", ""]}, %initial: tensor<?x2x16x16xf32>, %gate: tensor<?x2x?x16xf32> {attn.dims = ["B", "", "T", ""]}) -> (tensor<?x2x?x16xf32>, tensor<?x2x16x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gate[%b, %h, %t, 0] [1, 1, 1, 16] [1, 1, 1, 1] : tensor<?x2x?x16xf32> to tensor<16xf32>
    "attn.position_yield"(%qt, %kt, %vt, %g) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>} : (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"} : (tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x16x16xf32>) -> (tensor<?x2x?x16xf32>, tensor<?x2x16x16xf32>)
  return %o, %final : tensor<?x2x?x16xf32>, tensor<?x2x16x16xf32>
}
