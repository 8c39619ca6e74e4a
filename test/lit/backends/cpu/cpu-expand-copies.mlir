// RUN: aec-opt %s --cpu-expand-copies | FileCheck %s

// CHECK-LABEL: func.func @strided
// CHECK-SAME:    %[[A:[^ ]+]]: memref<?x4xf32, strided<[?, ?]>>, %[[B:[^ ]+]]: memref<?x4xf32>
// CHECK-NEXT:    linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} ins(%[[A]] : {{.+}}) outs(%[[B]] : memref<?x4xf32>)
// CHECK-NEXT:    ^{{.+}}(%[[IN:[^ ]+]]: f32, %{{.+}}: f32):
// CHECK-NEXT:      linalg.yield %[[IN]]
// CHECK-NOT:     memref.copy
func.func @strided(%a: memref<?x4xf32, strided<[?, ?]>>, %b: memref<?x4xf32>) {
  memref.copy %a, %b : memref<?x4xf32, strided<[?, ?]>> to memref<?x4xf32>
  return
}

// CHECK-LABEL: func.func @rank_zero
// CHECK:         linalg.generic {{.*}}iterator_types = []} ins(%{{.+}} : memref<i8>) outs(%{{.+}} : memref<i8>)
func.func @rank_zero(%a: memref<i8>, %b: memref<i8>) {
  memref.copy %a, %b : memref<i8> to memref<i8>
  return
}
