// RUN: aec-opt %s --pass-pipeline='builtin.module(amd-raise-priority{level=2 least=2})' | FileCheck %s

// Runs of at least two products, apart from what accesses memory.
// CHECK-LABEL: gpu.func @kernel
// CHECK:         rocdl.s.setprio 2
// CHECK-NEXT:    amdgpu.mfma
// CHECK-NEXT:    amdgpu.mfma
// CHECK-NEXT:    rocdl.s.setprio 0
// CHECK-NEXT:    vector.load
// CHECK-NEXT:    amdgpu.mfma
// CHECK-NOT:     rocdl.s.setprio
gpu.module @kernels {
  gpu.func @kernel(%a: vector<4xf16>, %c: vector<4xf32>, %i: index) workgroup(%lds: memref<64xf16, #gpu.address_space<workgroup>>) kernel {
    %0 = amdgpu.mfma 16x16x16 %a * %a + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
    %1 = amdgpu.mfma 16x16x16 %a * %a + %0 blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
    %b = vector.load %lds[%i] : memref<64xf16, #gpu.address_space<workgroup>>, vector<4xf16>
    %2 = amdgpu.mfma 16x16x16 %b * %a + %1 blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>
    gpu.return
  }
}
