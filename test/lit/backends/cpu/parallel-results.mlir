// RUN: aec-opt %s --pass-pipeline='builtin.module(cpu-prepare-functions,canonicalize,cse,eliminate-empty-tensors,one-shot-bufferize{allow-return-allocs-from-loops=true bufferize-function-boundaries=true},buffer-deallocation-pipeline,convert-bufferization-to-memref,canonicalize)' | FileCheck %s
// RUN: aec-opt %s --attn-cpu-reference | FileCheck %s --check-prefix=LLVM

// The pipeline takes parallel loops over tensors. Their results are written straight to the caller's memory:
// there is no other buffer, and no copy.
// CHECK-LABEL: func.func @aec.scale(
// CHECK-SAME:    %[[X:[^ ]+]]: memref<?x64xf32, strided<[?, ?], offset: ?>>, %[[OUT:[^ ]+]]: memref<?x64xf32>, %[[SUMS:[^ ]+]]: memref<?xf32>)
// CHECK-NOT:     memref.alloc
// CHECK-NOT:     memref.copy
// CHECK:         scf.forall (%[[I:.+]]) in
// CHECK:           memref.subview %[[OUT]][%[[I]], 0] [1, 64] [1, 1]
// CHECK:           memref.subview %[[SUMS]][%[[I]]] [1] [1]
// CHECK-NOT:     memref.alloc
// CHECK-NOT:     memref.copy
// CHECK:         return

// LLVM-LABEL:  llvm.func @aec.scale(
// LLVM:          llvm.call @aecrt.run(
// LLVM:        llvm.func @aec.scale.parallel0(%{{.+}}: !llvm.ptr, %{{.+}}: i64)
func.func @scale(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim %x, %c0 : tensor<?x64xf32>
  %out = tensor.empty(%rows) : tensor<?x64xf32>
  %sums = tensor.empty(%rows) : tensor<?xf32>
  %r:2 = scf.forall (%i) in (%rows) shared_outs(%o = %out, %p = %sums) -> (tensor<?x64xf32>, tensor<?xf32>) {
    %row = tensor.extract_slice %x[%i, 0] [1, 64] [1, 1] : tensor<?x64xf32> to tensor<64xf32>
    %into = tensor.extract_slice %o[%i, 0] [1, 64] [1, 1] : tensor<?x64xf32> to tensor<64xf32>
    %cell = tensor.extract_slice %p[%i] [1] [1] : tensor<?xf32> to tensor<f32>
    %doubled = linalg.add ins(%row, %row : tensor<64xf32>, tensor<64xf32>) outs(%into : tensor<64xf32>) -> tensor<64xf32>
    %start = linalg.fill ins(%zero : f32) outs(%cell : tensor<f32>) -> tensor<f32>
    %sum = linalg.reduce ins(%row : tensor<64xf32>) outs(%start : tensor<f32>) dimensions = [0]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %doubled into %o[%i, 0] [1, 64] [1, 1] : tensor<64xf32> into tensor<?x64xf32>
      tensor.parallel_insert_slice %sum into %p[%i] [1] [1] : tensor<f32> into tensor<?xf32>
    }
  }
  return %r#0, %r#1 : tensor<?x64xf32>, tensor<?xf32>
}
