// RUN: aec-opt %s --split-input-file --cpu-vectorize-tiles 2>/dev/null | FileCheck %s
// RUN: aec-opt %s --split-input-file --cpu-vectorize-tiles --verify-diagnostics

// Tiles whose sizes are not known before the program runs stay as they are: here the number of rows,
// CHECK-NOT:   func.func private
// CHECK-LABEL: func.func @rows(
// CHECK:         scf.forall {{.*}} shared_outs
// CHECK:           linalg.generic
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @rows(%x: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x16xf32>
  %e = tensor.empty(%d) : tensor<?x16xf32>
  // expected-remark @+1 {{'scf.forall' op is not vectorized: a tensor whose sizes are not known}}
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<?x16xf32>) {
    %s = tensor.extract_slice %x[0, 0] [%d, 16] [1, 1] : tensor<?x16xf32> to tensor<?x16xf32>
    %em = tensor.empty(%d) : tensor<?x16xf32>
    %g = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%s : tensor<?x16xf32>) outs(%em : tensor<?x16xf32>) {
    ^bb0(%a: f32, %b: f32):
      %y = arith.addf %a, %a : f32
      linalg.yield %y : f32
    } -> tensor<?x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0, 0] [%d, 16] [1, 1] : tensor<?x16xf32> into tensor<?x16xf32>
    }
  }
  return %r : tensor<?x16xf32>
}

// -----

// and here that of the elements of a row.
// CHECK-NOT:   func.func private
// CHECK-LABEL: func.func @elements(
// CHECK:         scf.forall {{.*}} shared_outs
// CHECK:           linalg.generic
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @elements(%x: tensor<16x?xf32>) -> tensor<16x?xf32> {
  %c1 = arith.constant 1 : index
  %d = tensor.dim %x, %c1 : tensor<16x?xf32>
  %e = tensor.empty(%d) : tensor<16x?xf32>
  // expected-remark @+1 {{'scf.forall' op is not vectorized: a tensor whose sizes are not known}}
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<16x?xf32>) {
    %s = tensor.extract_slice %x[0, 0] [16, %d] [1, 1] : tensor<16x?xf32> to tensor<16x?xf32>
    %g = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]}
        outs(%s : tensor<16x?xf32>) {
    ^bb0(%a: f32):
      %y = arith.addf %a, %a : f32
      linalg.yield %y : f32
    } -> tensor<16x?xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0, 0] [16, %d] [1, 1] : tensor<16x?xf32> into tensor<16x?xf32>
    }
  }
  return %r : tensor<16x?xf32>
}

// -----

// A row tensor that a branch hands on.
// CHECK-NOT:   func.func private
// CHECK-LABEL: func.func @branch(
// CHECK:         scf.forall {{.*}} shared_outs
func.func @branch(%x: tensor<?xf32>, %c: i1) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?xf32>
  %e = tensor.empty(%d) : tensor<?xf32>
  // expected-remark @+1 {{'scf.forall' op is not vectorized: a tensor whose sizes are not known}}
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<?xf32>) {
    %g = scf.if %c -> (tensor<?xf32>) {
      scf.yield %x : tensor<?xf32>
    } else {
      %em = tensor.empty(%d) : tensor<?xf32>
      scf.yield %em : tensor<?xf32>
    }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0] [%d] [1] : tensor<?xf32> into tensor<?xf32>
    }
  }
  return %r : tensor<?xf32>
}
