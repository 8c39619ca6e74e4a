// RUN: aec-opt %s --split-input-file --cpu-vectorize-tiles | FileCheck %s

// Vectors are read of a tensor from outside that is not sliced: its rows are copied where its elements do not lie
// side by side. The names of the new functions are their own.
// CHECK-LABEL: func.func private @f.tile1(
// CHECK-SAME:    memref<16x16xf32, strided<[?, 1], offset: ?>>, %{{[^ ]+}}: memref<16x16xf32>)
// CHECK:         vector.load %{{.*}} : memref<16x16xf32, strided<[?, 1], offset: ?>>, vector<16xf32>
// CHECK:       func.func private @f.copy2f32.0(
// CHECK-LABEL: func.func @f(
// CHECK:         call @f.copy2f32.0(
// CHECK:         call @f.tile1(
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func private @f.tile0(f32)
func.func private @f.copy2f32(f32)
func.func @f(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %e = tensor.empty() : tensor<16x16xf32>
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<16x16xf32>) {
    %em = tensor.empty() : tensor<16x16xf32>
    %g = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<16x16xf32>) outs(%em : tensor<16x16xf32>) {
    ^bb0(%a: f32, %b: f32):
      %y = arith.addf %a, %a : f32
      linalg.yield %y : f32
    } -> tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %r : tensor<16x16xf32>
}

// -----

// Single elements are read of any tensor: it is taken with its strides.
// CHECK-LABEL: func.func private @single.tile0(
// CHECK-SAME:    memref<16xf32, strided<[?], offset: ?>>, %{{[^ ]+}}: memref<16xf32>)
#row = affine_map<(d0) -> (d0)>
func.func @single(%x: tensor<16xf32>) -> tensor<16xf32> {
  %e = tensor.empty() : tensor<16xf32>
  %r = scf.forall (%i) in (1) shared_outs(%o = %e) -> (tensor<16xf32>) {
    %em = tensor.empty() : tensor<16xf32>
    %g = linalg.generic {indexing_maps = [#row], iterator_types = ["parallel"]} outs(%em : tensor<16xf32>) {
    ^bb0(%b: f32):
      %n = linalg.index 0 : index
      %a = tensor.extract %x[%n] : tensor<16xf32>
      linalg.yield %a : f32
    } -> tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %r : tensor<16xf32>
}
