// RUN: aec-opt %s --pass-pipeline='builtin.module(gpu.module(amd-finish-kernels{waves=2 waves-per-simd=3}))' | FileCheck %s
// RUN: aec-opt %s --pass-pipeline='builtin.module(gpu.module(amd-finish-kernels{waves=2}))' | FileCheck %s --check-prefix=ANY
// RUN: not aec-opt %s --pass-pipeline='builtin.module(gpu.module(amd-finish-kernels{waves=17}))' 2>&1 | FileCheck %s --check-prefix=WAVES
// RUN: not aec-opt %s --pass-pipeline='builtin.module(gpu.module(amd-finish-kernels{waves-per-simd=9}))' 2>&1 | FileCheck %s --check-prefix=SIMD

// WAVES: expects waves of 1 to 16, got 17
// SIMD: expects waves-per-simd of 0 to 8, got 9

// CHECK-LABEL: gpu.module @kernels
gpu.module @kernels {
  // Arrays in LDS are aligned, others stay.
  // CHECK:         llvm.mlir.global internal @lds() {addr_space = 3 : i32, alignment = 16 : i64}
  // CHECK:         llvm.mlir.global internal constant @table() {addr_space = 4 : i32} : !llvm.array<2 x f32>
  llvm.mlir.global internal @lds() {addr_space = 3 : i32} : !llvm.array<512 x f16>
  llvm.mlir.global internal constant @table() {addr_space = 4 : i32} : !llvm.array<2 x f32>

  // Functions that are no kernels stay.
  // CHECK:         llvm.func @helper() {
  llvm.func @helper() {
    llvm.return
  }

  // CHECK:         llvm.func @kernel(
  // CHECK-SAME:      passthrough = {{\[\[}}"amdgpu-ieee", "false"], ["amdgpu-waves-per-eu", "3,3"]]
  // CHECK-SAME:      rocdl.flat_work_group_size = "128,128"
  // CHECK-SAME:      rocdl.reqd_work_group_size = array<i32: 128, 1, 1>
  // ANY:           llvm.func @kernel(
  // ANY-NOT:         amdgpu-waves-per-eu
  llvm.func @kernel(%p: !llvm.ptr<1>) attributes {gpu.kernel, rocdl.kernel} {
    llvm.return
  }

  // Accesses to LDS are said to be none of what loads put there meanwhile: or else each would wait for the loads.
  // CHECK:         llvm.func @direct(
  // CHECK:           rocdl.raw.ptr.buffer.load.lds {{.*}} {alias_scopes = [#alias_scope]}
  // CHECK:           llvm.load %{{.*}} {alias_scopes = [#alias_scope1], noalias_scopes = [#alias_scope]} : !llvm.ptr<3>
  // CHECK:           rocdl.ds.read.tr16.b64 %{{.*}} {alias_scopes = [#alias_scope1], noalias_scopes = [#alias_scope]}
  // CHECK:           llvm.store %{{.*}} {alias_scopes = [#alias_scope1], noalias_scopes = [#alias_scope]}
  // CHECK:           llvm.load %{{[^ ]+}} : !llvm.ptr<1> -> f32
  llvm.func @direct(%b: !llvm.ptr<8>, %l: !llvm.ptr<3>, %g: !llvm.ptr<1>) attributes {gpu.kernel, rocdl.kernel} {
    %z = llvm.mlir.constant(0 : i32) : i32
    %w = llvm.mlir.constant(16 : i32) : i32
    rocdl.raw.ptr.buffer.load.lds %b, %l, %w, %z, %z, %z, 0
    %x = llvm.load %l : !llvm.ptr<3> -> vector<8xf16>
    %y = rocdl.ds.read.tr16.b64 %l : <3> -> vector<4xf16>
    llvm.store %y, %l : vector<4xf16>, !llvm.ptr<3>
    %a = llvm.load %g : !llvm.ptr<1> -> f32
    llvm.return
  }
}
