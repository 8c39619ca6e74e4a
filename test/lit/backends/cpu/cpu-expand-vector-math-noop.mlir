// RUN: aec-opt %s --cpu-expand-vector-math | FileCheck %s

// Scalars are another pass's, and these are instructions.
// CHECK-LABEL: func.func @others(
// CHECK:         math.exp %{{.+}} : f32
// CHECK:         math.sqrt %{{.+}} : vector<4xf32>
// CHECK:         math.fma %{{.+}} : vector<4xf32>
func.func @others(%x: f32, %v: vector<4xf32>) -> (f32, vector<4xf32>) {
  %e = math.exp %x : f32
  %s = math.sqrt %v : vector<4xf32>
  %m = math.fma %s, %s, %v : vector<4xf32>
  return %e, %m : f32, vector<4xf32>
}
