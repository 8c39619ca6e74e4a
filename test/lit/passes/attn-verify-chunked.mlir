// RUN: aec-opt %s --attn-verify-chunked | FileCheck %s
// RUN: aec-opt %s --explain attn-verify-chunked --attn-verify-chunked | FileCheck %s --check-prefix=EXPLAIN
// RUN: aec-opt %S/attn-derive-chunked.mlir --attn-derive-chunked --attn-verify-chunked | FileCheck %s --check-prefix=DERIVED

// All that the pass derives obeys the laws, and the IR stays as it is.
// DERIVED-LABEL: func.func @none
// DERIVED-LABEL: func.func @other_ways

// A gate that is limited from below: nothing is claimed of its sign.
// CHECK-LABEL: func.func @any
// CHECK:         "attn.chunked_recurrence"
// EXPLAIN-LABEL: attn.chunked_recurrence 0: all laws hold
// EXPLAIN-NEXT:    step: S' = exp(max(c0[b, h, t], -199)) * S[i, j] + k[i] * u[j], u[j] = v[j]
// EXPLAIN:         proved: bounded below: log_decay >= -199, so that no sum of it is -inf
// EXPLAIN-NOT:     proved: range
func.func @any(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -199.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.maximumf %g, %least : f32
    "attn.position_yield"(%qt, %kt, %vt, %log) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// One that is limited from above as well, and a sign that is chosen.
// CHECK-LABEL: func.func @limited
// EXPLAIN-LABEL: attn.chunked_recurrence 1: all laws hold
// EXPLAIN:         proved: bounded below
// EXPLAIN-NEXT:    proved: range: log_decay <= 0, so that no exponent of a chunk is above 0
// EXPLAIN-NEXT:    proved: sign: it is 1 or -1
func.func @limited(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %small = arith.minimumf %g, %zero : f32
    %log = arith.maximumf %small, %least : f32
    %p = arith.cmpf olt, %g, %zero : f32
    %sign = arith.select %p, %minus, %one : f32
    "attn.position_yield"(%qt, %kt, %vt, %log, %sign) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "nonpositive"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}
