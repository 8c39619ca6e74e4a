// RUN: aec-opt %s --cpu-expand-math | FileCheck %s

// CHECK-LABEL: func.func @isinf
// CHECK-DAG:     %[[A:[^ ]+]] = math.absf
// CHECK-DAG:     %[[INF:[^ ]+]] = arith.constant 0x7F800000 : f32
// CHECK:         arith.cmpf oeq, %[[A]], %[[INF]]
func.func @isinf(%x: f32) -> i1 {
  %r = math.isinf %x : f32
  return %r : i1
}

// CHECK-LABEL: func.func @isnormal
// CHECK-DAG:     %[[A:[^ ]+]] = math.absf
// CHECK-DAG:     %[[SMALLEST:[^ ]+]] = arith.constant 6.10{{.*}}e-05 : f16
// CHECK:         %[[LARGE:[^ ]+]] = arith.cmpf oge, %[[A]], %[[SMALLEST]]
// CHECK:         %[[FINITE:[^ ]+]] = arith.cmpf olt, %[[A]], %{{.+}}
// CHECK:         arith.andi %[[LARGE]], %[[FINITE]]
func.func @isnormal(%x: f16) -> i1 {
  %r = math.isnormal %x : f16
  return %r : i1
}

// f64 to bf16 over f32, rounded to odd in between so that the value is rounded once.
// CHECK-LABEL: func.func @narrow
// CHECK-SAME:    %[[X:[^ ]+]]: f64
// CHECK:         %[[F:[^ ]+]] = arith.truncf %[[X]] : f64 to f32
// CHECK:         %[[ODD:[^ ]+]] = arith.ori
// CHECK:         arith.bitcast %[[ODD]] : i32 to f32
// CHECK:         arith.cmpf one, %{{.+}}, %[[X]]
// CHECK:         %[[S:[^ ]+]] = arith.select
// CHECK:         arith.truncf %[[S]] : f32 to bf16
func.func @narrow(%x: f64) -> bf16 {
  %r = arith.truncf %x : f64 to bf16
  return %r : bf16
}

// CHECK-LABEL: func.func @power
// CHECK:         math.ipowi %{{.+}}, %{{.+}} : i64
func.func @power(%x: index, %n: index) -> index {
  %r = math.ipowi %x, %n : index
  return %r : index
}

// What MLIR lowers by itself stays.
// CHECK-LABEL: func.func @others
// CHECK-NEXT:    arith.truncf %{{.+}} : f32 to bf16
// CHECK-NEXT:    math.fma %{{.+}} : f32
// CHECK-NEXT:    return
func.func @others(%x: f32) -> (bf16, f32) {
  %r = arith.truncf %x : f32 to bf16
  %s = math.fma %x, %x, %x : f32
  return %r, %s : bf16, f32
}

// (u - 1) (x / log u) with u = exp x, and its limits.
// CHECK-LABEL: func.func @expm1
// CHECK-SAME:    %[[X:[^ ]+]]: f32
// CHECK:         %[[U:[^ ]+]] = math.exp %[[X]]
// CHECK:         %[[LESS:[^ ]+]] = arith.subf %[[U]], %{{.+}}
// CHECK:         %[[LOG:[^ ]+]] = math.log %[[U]]
// CHECK:         %[[RATIO:[^ ]+]] = arith.divf %[[X]], %[[LOG]]
// CHECK:         arith.mulf %[[LESS]], %[[RATIO]]
// CHECK-COUNT-3: arith.select
func.func @expm1(%x: f32) -> f32 {
  %r = math.expm1 %x : f32
  return %r : f32
}

// log(u) (x / (u - 1)) with u = 1 + x, in f32 for the narrow types.
// CHECK-LABEL: func.func @log1p
// CHECK-SAME:    %[[H:[^ ]+]]: bf16
// CHECK:         %[[X:[^ ]+]] = arith.extf %[[H]] : bf16 to f32
// CHECK:         %[[U:[^ ]+]] = arith.addf %{{.+}}, %[[X]] : f32
// CHECK:         math.log %[[U]] : f32
// CHECK:         arith.truncf %{{.+}} : f32 to bf16
func.func @log1p(%x: bf16) -> bf16 {
  %r = math.log1p %x : bf16
  return %r : bf16
}

// CHECK-LABEL: func.func @between_halves
// CHECK:         %[[F:[^ ]+]] = arith.extf %{{.+}} : f16 to f32
// CHECK:         arith.truncf %[[F]] : f32 to bf16
func.func @between_halves(%x: f16) -> bf16 {
  %r = arith.convertf %x : f16 to bf16
  return %r : bf16
}
