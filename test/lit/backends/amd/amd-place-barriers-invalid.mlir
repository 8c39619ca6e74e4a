// RUN: aec-opt %s --split-input-file --verify-diagnostics --amd-place-barriers

// Where a view begins says whether accesses meet.
gpu.module @kernels {
  gpu.func @place(%i: index, %n: index) workgroup(%lds: memref<256xi8, #gpu.address_space<workgroup>>) kernel {
    %view = memref.view %lds[%n][] : memref<256xi8, #gpu.address_space<workgroup>> to memref<16xf32, #gpu.address_space<workgroup>>
    // expected-error @+1 {{'memref.load' op unsupported: local memory at a place that is not constant}}
    %0 = memref.load %view[%i] : memref<16xf32, #gpu.address_space<workgroup>>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @other(%i: index, %x: f32) kernel {
    %alloc = memref.alloca() : memref<16xf32, #gpu.address_space<workgroup>>
    // expected-error @+1 {{'memref.store' op unsupported: local memory that is no attribution, or a view of one}}
    memref.store %x, %alloc[%i] : memref<16xf32, #gpu.address_space<workgroup>>
    gpu.return
  }
}
