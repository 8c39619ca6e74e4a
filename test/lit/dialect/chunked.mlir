// RUN: aec-opt %s | aec-opt | FileCheck %s
// RUN: aec-opt %s --mlir-print-op-generic | aec-opt | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt | FileCheck %s
// RUN: aec-opt %s --canonicalize --cse --canonicalize | aec-opt | FileCheck %s --check-prefix=CLEAN

// The required parts alone: linear attention.
// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[Q:.+]]: tensor<?x1x?x8xbf16>, %[[V:.+]]: tensor<?x4x?x16xbf16>, %[[I:.+]]: tensor<?x4x8x16xf32>)
// CHECK:         %[[O:.+]]:2 = "attn.chunked_recurrence"(%[[Q]], %[[Q]], %[[V]], %[[I]]) ({
// CHECK-NEXT:    ^{{.+}}(%[[QT:.+]]: tensor<8xf32>, %[[KT:.+]]: tensor<8xf32>, %[[VT:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      "attn.position_yield"(%[[QT]], %[[KT]], %[[VT]])
// CHECK-SAME:        operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>
// CHECK:         }) {{.*}}chunk = 64 : i64
// CHECK:         return %[[O]]#0, %[[O]]#1
func.func @linear(%q: tensor<?x1x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "nonpositive"}
    : (tensor<?x1x?x8xbf16>, tensor<?x1x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// Every part: a decay per key feature with a sign, an erase that reads the decayed state, a skip; packed, f64.
// Constants may stand outside.
// CHECK-LABEL: func.func @all
// CHECK-SAME:    (%{{.+}}: tensor<1x2x?x4xf64>, %{{.+}}: tensor<?x2x4x4xf64>, %[[OFFSETS:.+]]: tensor<?xi32>,
// CHECK:         "attn.chunked_recurrence"(%{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, %[[OFFSETS]]) ({
// CHECK:           %[[GATE:.+]] = tensor.extract_slice
// CHECK:           "attn.position_yield"(%{{.+}}, %[[K:.+]], %{{.+}}, %[[GATE]], %{{.+}}, %{{.+}}, %{{.+}}, %[[K]], %{{.+}}, %{{.+}}) {{.*}}operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1>
// CHECK:         }) {
// CHECK-SAME:      attn.proof = ["a line", "another"]
// CHECK-SAME:      erase_reads = "decayed"
// CHECK-SAME:      exponents = "any"
// CHECK-SAME:      reads = "before"
// CLEAN-LABEL: func.func @all
// CLEAN:         arith.constant dense<-1.000000e+00> : tensor<4xf64>
// CLEAN:         "attn.chunked_recurrence"
func.func @all(%q: tensor<1x2x?x4xf64>, %s0: tensor<?x2x4x4xf64>, %offsets: tensor<?xi32>,
               %gate: tensor<2x?x4xf64>) -> (tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>) {
  %o, %final = "attn.chunked_recurrence"(%q, %q, %q, %s0, %offsets) ({
  ^position(%qt: tensor<4xf64>, %kt: tensor<4xf64>, %vt: tensor<4xf64>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gate[%h, %t, 0] [1, 1, 4] [1, 1, 1] : tensor<2x?x4xf64> to tensor<4xf64>
    %minus = arith.constant dense<-1.0> : tensor<4xf64>
    %half = arith.constant 0.5 : f64
    "attn.position_yield"(%qt, %kt, %vt, %g, %minus, %half, %half, %kt, %half, %vt)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1>}
      : (tensor<4xf64>, tensor<4xf64>, tensor<4xf64>, tensor<4xf64>, tensor<4xf64>, f64, f64, tensor<4xf64>,
         f64, tensor<4xf64>) -> ()
  }) {chunk = 1024 : i64, reads = "before", erase_reads = "decayed", exponents = "any",
      attn.proof = ["a line", "another"]}
    : (tensor<1x2x?x4xf64>, tensor<1x2x?x4xf64>, tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>, tensor<?xi32>)
    -> (tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>)
  return %o, %final : tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>
}

// A decay that is one number for all features, and an erase that reads the state before the decay.
// CHECK-LABEL: func.func @scalar
// CHECK:         "attn.position_yield"(%{{.+}}, %[[K:.+]], %{{.+}}, %[[G:.+]], %[[K]]) {{.*}}operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 1, 0, 0>
// CHECK:           erase_reads = "state"
func.func @scalar(%q: tensor<2x2x?x4xf16>, %s0: tensor<2x2x4x4xf32>, %g: f32)
    -> (tensor<2x2x?x4xf32>, tensor<2x2x4x4xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %q, %q, %s0) ({
  ^position(%qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<4xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt, %g, %kt)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 1, 0, 0>}
      : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, f32, tensor<4xf32>) -> ()
  }) {chunk = 1 : i64, reads = "after", erase_reads = "state", exponents = "any"}
    : (tensor<2x2x?x4xf16>, tensor<2x2x?x4xf16>, tensor<2x2x?x4xf16>, tensor<2x2x4x4xf32>)
    -> (tensor<2x2x?x4xf32>, tensor<2x2x4x4xf32>)
  return %o, %final : tensor<2x2x?x4xf32>, tensor<2x2x4x4xf32>
}
