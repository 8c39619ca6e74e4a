// RUN: aec-opt %s '--amd-lanes-to-llvm=chip=gfx950 waves=2 waves-per-simd=2' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s --amd-lanes-to-llvm=waves=1 | FileCheck %s
// RUN: aec-opt %s '--amd-lanes-to-llvm=chip=gfx950 waves=2 waves-per-simd=2' | FileCheck %s --check-prefix=NEW

// PIPELINE:      builtin.module(gpu.module(amd-expand-divisions,amd-expand-math,arith-expand,
// PIPELINE-SAME: convert-amdgpu-to-rocdl{chipset=gfx950},
// PIPELINE-SAME: convert-vector-to-scf,convert-scf-to-cf,
// PIPELINE-SAME: convert-gpu-to-rocdl{chipset=gfx950 use-bare-ptr-memref-call-conv=true runtime=HIP},
// PIPELINE-SAME: amd-finish-kernels{waves=2 waves-per-simd=2}))

module attributes {gpu.container_module} {
// CHECK-LABEL: gpu.module @kernels
// The barrier orders LDS for LLVM as well; arrays in LDS are aligned for the widest access.
// CHECK:         llvm.mlir.global internal @[[LDS:.+]]() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<256 x f16>
// CHECK:         llvm.func @product(%[[A:.+]]: !llvm.ptr<1> {llvm.noalias}, %{{.+}}: !llvm.ptr<1>, %{{.+}}: i32)
// CHECK-SAME:      rocdl.flat_work_group_size = "64,64"
// CHECK-SAME:      rocdl.kernel
// CHECK-SAME:      rocdl.reqd_work_group_size = array<i32: 64, 1, 1>
// CHECK-NOT:       waves-per-eu
// CHECK:           rocdl.workitem.id.x
// CHECK:           llvm.load %{{.+}} {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xf16>
// CHECK:           llvm.store %{{.+}} {alignment = 8 : i64} : vector<4xf16>, !llvm.ptr<3>
// CHECK:           rocdl.s.barrier
// CHECK:           rocdl.mfma.f32.16x16x16f16
// CHECK:           llvm.br ^[[LOOP:[a-z0-9]+]](
// CHECK:           llvm.call_intrinsic "llvm.amdgcn.exp2.f32"
// CHECK:           llvm.fptrunc %{{.+}} : vector<4xf32> to vector<4xbf16>
// CHECK:           llvm.return
// CHECK-NOT:       unrealized_conversion_cast
// NEW-LABEL:   gpu.module @kernels
// NEW:           llvm.func @product(
// NEW-SAME:        passthrough = {{\[\[}}"amdgpu-ieee", "false"], ["amdgpu-waves-per-eu", "2,2"]]
// NEW-SAME:        rocdl.flat_work_group_size = "128,128"
// NEW-SAME:        rocdl.reqd_work_group_size = array<i32: 128, 1, 1>
gpu.module @kernels {
  gpu.func @product(%a: !llvm.ptr<1> {llvm.noalias}, %o: !llvm.ptr<1>, %n: i32)
      workgroup(%lds: memref<256xf16, #gpu.address_space<workgroup>>) kernel {
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %c4 = arith.constant 4 : index
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %t = gpu.thread_id x
    %at = arith.muli %t, %c4 : index
    %at64 = arith.index_cast %at : index to i64
    %pa = llvm.getelementptr %a[%at64] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f16
    %va = llvm.load %pa {alignment = 8} : !llvm.ptr<1> -> vector<4xf16>
    vector.store %va, %lds[%at] {alignment = 8} : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    gpu.barrier
    %vb = vector.load %lds[%at] {alignment = 8} : memref<256xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    %p = amdgpu.mfma 16x16x16 %va * %vb + %zero blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
    %end = arith.index_cast %n : i32 to index
    %e = scf.for %i = %c0 to %end step %c1 iter_args(%x = %p) -> (vector<4xf32>) {
      %y = math.exp2 %x : vector<4xf32>
      scf.yield %y : vector<4xf32>
    }
    %r = arith.truncf %e : vector<4xf32> to vector<4xbf16>
    %po = llvm.getelementptr %o[%at64] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, bf16
    llvm.store %r, %po {alignment = 8} : vector<4xbf16>, !llvm.ptr<1>
    gpu.return
  }
}
}
