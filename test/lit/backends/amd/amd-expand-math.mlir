// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(amd-expand-math))' | FileCheck %s

// Library functions are declared once, in the module.
// CHECK-LABEL: gpu.module @kernels
// CHECK-DAG:     llvm.func @__ocml_tanh_f32(f32) -> f32
// CHECK-DAG:     llvm.func @__ocml_pow_f32(f32, f32) -> f32
// CHECK-DAG:     llvm.func @__ocml_pown_f32(f32, i32) -> f32
// CHECK-DAG:     llvm.func @__ocml_exp_f64(f64) -> f64
gpu.module @kernels {
  // CHECK-LABEL: gpu.func @instructions
  // CHECK-SAME:    %[[X:.+]]: f32
  // CHECK:         %[[A:.+]] = llvm.call_intrinsic "llvm.amdgcn.exp2.f32"(%[[X]]) : (f32) -> f32
  // CHECK:         %[[B:.+]] = llvm.call_intrinsic "llvm.log2.f32"(%[[A]]) {fastmathFlags = #llvm.fastmath<afn>} : (f32) -> f32
  // CHECK:         llvm.call_intrinsic "llvm.floor.f32"(%[[B]]) : (f32) -> f32
  // CHECK:         math.sqrt
  gpu.func @instructions(%x: f32) -> f32 {
    %a = math.exp2 %x : f32
    %b = math.log2 %a fastmath<afn> : f32
    %c = math.floor %b : f32
    %d = math.sqrt %c : f32
    gpu.return %d : f32
  }

  // CHECK-LABEL: gpu.func @library
  // CHECK-SAME:    %[[X:.+]]: f32, %[[N:.+]]: i32, %[[D:.+]]: f64
  // CHECK:         %[[A:.+]] = llvm.call @__ocml_tanh_f32(%[[X]]) : (f32) -> f32
  // CHECK:         %[[B:.+]] = llvm.call @__ocml_tanh_f32(%[[A]])
  // CHECK:         %[[C:.+]] = llvm.call @__ocml_pow_f32(%[[B]], %[[X]]) : (f32, f32) -> f32
  // CHECK:         llvm.call @__ocml_pown_f32(%[[C]], %[[N]]) : (f32, i32) -> f32
  // CHECK:         llvm.call @__ocml_exp_f64(%[[D]]) : (f64) -> f64
  gpu.func @library(%x: f32, %n: i32, %d: f64) -> (f32, f64) {
    %a = math.tanh %x : f32
    %b = math.tanh %a : f32
    %c = math.powf %b, %x : f32
    %e = math.fpowi %c, %n : f32, i32
    %f = math.exp %d : f64
    gpu.return %e, %f : f32, f64
  }

  // In f32 for the narrow types, and element by element.
  // CHECK-LABEL: gpu.func @narrow
  // CHECK-SAME:    %[[V:.+]]: vector<2xbf16>
  // CHECK:         %[[V0:.+]] = vector.extract %[[V]][0] : bf16 from vector<2xbf16>
  // CHECK:         %[[F:.+]] = arith.extf %[[V0]] : bf16 to f32
  // CHECK:         %[[E:.+]] = llvm.call_intrinsic "llvm.amdgcn.exp2.f32"(%[[F]])
  // CHECK:         %[[R0:.+]] = arith.truncf %[[E]] : f32 to bf16
  // CHECK:         vector.extract %[[V]][1]
  // CHECK:         vector.from_elements %[[R0]], %{{.+}} : vector<2xbf16>
  gpu.func @narrow(%v: vector<2xbf16>) -> vector<2xbf16> {
    %a = math.exp2 %v : vector<2xbf16>
    gpu.return %a : vector<2xbf16>
  }

  // CHECK-LABEL: gpu.func @conversions
  // CHECK:         arith.truncf %{{.+}} : f64 to f32
  // CHECK:         %[[ODD:.+]] = arith.select
  // CHECK:         arith.truncf %[[ODD]] : f32 to bf16
  // CHECK:         %[[W:.+]] = arith.extf %{{.+}} : f16 to f32
  // CHECK:         arith.truncf %[[W]] : f32 to bf16
  gpu.func @conversions(%d: f64, %h: f16) -> (bf16, bf16) {
    %a = arith.truncf %d : f64 to bf16
    %b = arith.convertf %h : f16 to bf16
    gpu.return %a, %b : bf16, bf16
  }

  // What MLIR and LLVM lower by themselves stays.
  // CHECK-LABEL: gpu.func @others
  // CHECK-NEXT:    math.absf
  // CHECK-NEXT:    math.fma
  // CHECK-NEXT:    arith.truncf
  // CHECK-NEXT:    gpu.return
  gpu.func @others(%x: f32) -> bf16 {
    %a = math.absf %x : f32
    %b = math.fma %a, %x, %x : f32
    %c = arith.truncf %b : f32 to bf16
    gpu.return %c : bf16
  }
}

// -----

// Questions that MLIR has no lowering for.
// CHECK-LABEL: gpu.module @classes
gpu.module @classes {
  // CHECK-LABEL: gpu.func @isinf
  // CHECK-SAME:    %[[X:.+]]: f32
  // CHECK:         %[[MASK:.+]] = llvm.mlir.constant(516 : i32) : i32
  // CHECK:         llvm.call_intrinsic "llvm.is.fpclass.f32"(%[[X]], %[[MASK]]) : (f32, i32) -> i1
  gpu.func @isinf(%x: f32) -> i1 {
    %r = math.isinf %x : f32
    gpu.return %r : i1
  }
}
