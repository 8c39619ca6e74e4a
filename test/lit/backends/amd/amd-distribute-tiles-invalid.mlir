// RUN: aec-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect --amd-distribute-tiles

// Sizes of tiles are powers of two.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    // expected-error @+1 {{'vector.step' op expects tiles whose sizes are powers of two, got vector<48xindex>}}
    %x = vector.step : vector<48xindex>
    gpu.return
  }
}

// -----

// An element that no register holds.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    // expected-error @+1 {{'arith.constant' op unsupported: a tile of i128}}
    %x = arith.constant dense<1> : vector<64xi128>
    gpu.return
  }
}

// -----

// Memory that is looked at otherwise than by loads and stores: only its address is handed on.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    // expected-error @+1 {{'memref.dim' op unsupported: an access to memory that lanes don't know}}
    %x = memref.dim %p, %c0 : memref<?xf32>
    gpu.return
  }
}

// -----

// Memory of its own.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    %a = memref.alloca() : memref<4xf32>
    // expected-error @+1 {{'memref.load' op expects memory that is a parameter of the kernel}}
    %x = memref.load %a[%c0] : memref<4xf32>
    gpu.return
  }
}

// -----

// Memory of two dimensions.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects memory of one dimension without gaps, got memref<?x?xf32>}}
  gpu.func @f(%p: memref<?x?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    gpu.return
  }
}

// -----

// Memory with gaps.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects memory of one dimension without gaps, got memref<?xf32, strided<[2]>>}}
  gpu.func @f(%p: memref<?xf32, strided<[2]>>) kernel attributes {amd.divisibility = array<i64: 16>} {
    gpu.return
  }
}

// -----

// A tile as a parameter.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op unsupported: a parameter of type vector<64xf32>}}
  gpu.func @f(%p: vector<64xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    gpu.return
  }
}

// -----

// What parameters are multiples of, for more than there are.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects amd.divisibility to be an array of 1 positive i64, one for each parameter, got array<i64: 16, 1>}}
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16, 1>} {
    gpu.return
  }
}

// -----

// A multiple of nothing.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects amd.divisibility to be an array of 1 positive i64, one for each parameter, got array<i64: 0>}}
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 0>} {
    gpu.return
  }
}

// -----

// No array.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects amd.divisibility to be an array of 1 positive i64, one for each parameter, got 16 : i64}}
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = 16 : i64} {
    gpu.return
  }
}

// -----

// Several blocks.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op unsupported: a kernel of 2 blocks}}
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    cf.br ^end
  ^end:
    gpu.return
  }
}

// -----

// Regions of other operations, whose tiles nobody would spread.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %c0 = arith.constant 0 : index
    // expected-error @+1 {{'scf.index_switch' op unsupported: an operation with regions that lanes don't know}}
    scf.index_switch %c0
    default {
      %x = arith.constant dense<1.0> : vector<64xf32>
      scf.yield
    }
    gpu.return
  }
}

// -----

// Two results.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %x = arith.constant dense<1> : vector<64xi32>
    // expected-error @+1 {{'arith.mulsi_extended' op unsupported: several tiles at once}}
    %y, %z = arith.mulsi_extended %x, %x : vector<64xi32>
    gpu.return
  }
}

// -----

// A grid of two dimensions.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    // expected-error @+1 {{'gpu.grid_dim' op unsupported: a grid of several dimensions}}
    %x = gpu.grid_dim y
    gpu.return
  }
}

// -----

// A factor that is given transposed.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %x = arith.constant dense<1.0> : vector<64x64xf32>
    // expected-error @+1 {{'vector.contract' op unsupported: a product that is not of an m x k and a k x n matrix}}
    %y = vector.contract {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>} %x, %x, %x : vector<64x64xf32>, vector<64x64xf32> into vector<64x64xf32>
    gpu.return
  }
}

// -----

// A product by maxima.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %x = arith.constant dense<1.0> : vector<64x64xf32>
    // expected-error @+1 {{'vector.contract' op unsupported: a product summed by #vector.kind<maxnumf>}}
    %y = vector.contract {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<maxnumf>} %x, %x, %x : vector<64x64xf32>, vector<64x64xf32> into vector<64x64xf32>
    gpu.return
  }
}

// -----

// Elements that are left open.
gpu.module @kernels {
  gpu.func @f(%p: memref<?xf32>) kernel attributes {amd.divisibility = array<i64: 16>} {
    %x = arith.constant dense<1.0> : vector<2xf32>
    // expected-error @+1 {{'vector.shuffle' op unsupported: a shuffle of elements that are left open}}
    %y = vector.shuffle %x, %x [-1, 1] : vector<2xf32>, vector<2xf32>
    gpu.return
  }
}

// -----

// A function that is no kernel.
gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op expects a kernel}}
  gpu.func @f(%p: f32) attributes {amd.divisibility = array<i64: 1>} {
    gpu.return
  }
}
