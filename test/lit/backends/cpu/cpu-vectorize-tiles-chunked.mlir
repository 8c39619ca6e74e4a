// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile-chunked,canonicalize,cse,cpu-prepare-functions,cpu-vectorize-tiles{vector-bits=128 tile-q=2 tile-kv=2 tile-d=2},canonicalize,cse)' | FileCheck %s

// Sums of logarithms are running sums, and wider than the vectors of tiles. Keys are transposed for the product with
// queries, so that they are lanes. Each chunk's rows of o are stored where they belong: the part of o that a program
// carries is no memory of its own.
// CHECK-LABEL: func.func private @aec.scalar.tile0(
// CHECK-SAME:    %[[OUT:[^ ]+]]: memref<?x2x?x8xf32>, %[[FINAL:[^ ]+]]: memref<?x2x4x8xf32>
// CHECK-DAG:     %[[STATE:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<4x8xf32>
// CHECK-DAG:     %[[KT:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<4x8xf32>
// CHECK-DAG:     %[[SUMS:[^ ]+]] = memref.alloca() {alignment = 64 : i64} : memref<8xf64>
// CHECK-NOT:     memref.alloca{{.*}} : memref<?x8xf32>
// CHECK:         %[[PART:[^ ]+]] = memref.subview %[[OUT]]
// CHECK:         scf.for {{.*}} {
// CHECK:           scf.for {{.*}} iter_args(%[[TOTAL:[^ ]+]] = %{{.+}}) -> (f64)
// CHECK:             arith.extf {{.*}} : f32 to f64
// CHECK:             arith.addf %[[TOTAL]]
// CHECK:             memref.store
// CHECK:           vector.shuffle
// CHECK:           arith.subf {{.*}} : vector<4xf64>
// CHECK:           arith.truncf {{.*}} : vector<4xf64> to vector<4xf32>
// CHECK:           math.exp {{.*}} : vector<4xf32>
// CHECK:           vector.fma {{.*}} : vector<4xf32>
// CHECK:           %[[ROWS:[^ ]+]] = memref.subview %[[PART]]
// CHECK:           vector.store %{{.+}}, %[[ROWS]]
// CHECK-NOT:     memref.subview %[[OUT]]
// CHECK:         memref.subview %[[FINAL]]
// CHECK:         return
func.func @scalar(%q: tensor<?x2x?x4xf32> {attn.dims = ["B", "", "T", ""]}, %k: tensor<?x2x?x4xf32>,
                  %v: tensor<?x2x?x8xf32>, %gate: tensor<?x2x?xf32> {attn.dims = ["B", "", "T"]},
                  %initial: tensor<?x2x4x8xf32>) -> (tensor<?x2x?x8xf32>, tensor<?x2x4x8xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial) ({
  ^position(%qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x2x?xf32>
    "attn.position_yield"(%qt, %kt, %vt, %g)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<4xf32>, tensor<4xf32>, tensor<8xf32>, f32) -> ()
  }) {chunk = 8 : i64, reads = "after", exponents = "any"}
    : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x8xf32>, tensor<?x2x4x8xf32>)
    -> (tensor<?x2x?x8xf32>, tensor<?x2x4x8xf32>)
  return %o, %final : tensor<?x2x?x8xf32>, tensor<?x2x4x8xf32>
}

// -----

// Running sums of a decay for each feature are vectors, in blocks of each size. o is filled with zeros before the
// programs of sequences of different lengths.
// CHECK-LABEL: func.func private @aec.packed.tile0(
// CHECK:         scf.if
// CHECK:         } else {
// CHECK:           scf.for {{.*}} iter_args(%[[TOTAL:[^ ]+]] = %{{.+}}) -> (vector<4xf32>)
// CHECK:             arith.addf %[[TOTAL]], %{{.+}} : vector<4xf32>
// CHECK:             vector.store %[[TOTAL]]
// CHECK-LABEL: func.func @aec.packed(
// CHECK-SAME:    %[[OUT:[^ ]+]]: memref<1x2x?x8xf32>
// CHECK:         scf.forall (%[[H:[^ ]+]]) in (2)
// CHECK:           scf.for %[[T:[^ ]+]] =
// CHECK:             vector.store %{{.+}}, %[[OUT]][%{{.+}}, %[[H]], %[[T]], %{{.+}}]
// CHECK:         scf.forall
// CHECK:           func.call @aec.packed.tile0
func.func @packed(%q: tensor<1x2x?x4xf32> {attn.dims = ["", "", "T", ""]}, %k: tensor<1x2x?x4xf32>,
                  %v: tensor<1x2x?x8xf32>, %gate: tensor<1x2x?x4xf32> {attn.dims = ["", "", "T", ""]},
                  %initial: tensor<?x2x4x8xf32>, %offsets: tensor<?xi32>)
    -> (tensor<1x2x?x8xf32>, tensor<?x2x4x8xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %k, %v, %initial, %offsets) ({
  ^position(%qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gate[%b, %h, %t, 0] [1, 1, 1, 4] [1, 1, 1, 1] : tensor<1x2x?x4xf32> to tensor<4xf32>
    "attn.position_yield"(%qt, %kt, %vt, %g)
      {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<4xf32>, tensor<4xf32>, tensor<8xf32>, tensor<4xf32>) -> ()
  }) {chunk = 8 : i64, reads = "after", exponents = "any"}
    : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x8xf32>, tensor<?x2x4x8xf32>, tensor<?xi32>)
    -> (tensor<1x2x?x8xf32>, tensor<?x2x4x8xf32>)
  return %o, %final : tensor<1x2x?x8xf32>, tensor<?x2x4x8xf32>
}
