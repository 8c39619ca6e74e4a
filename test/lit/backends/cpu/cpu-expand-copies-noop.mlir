// RUN: aec-opt %s -o %t.before
// RUN: aec-opt %s --cpu-expand-copies -o %t.after
// RUN: diff %t.before %t.after

func.func @ordinary(%a: memref<4xf32>, %b: memref<4xf32>) {
  linalg.copy ins(%a : memref<4xf32>) outs(%b : memref<4xf32>)
  return
}
