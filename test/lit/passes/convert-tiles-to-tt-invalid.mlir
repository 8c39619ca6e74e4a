// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --convert-tiles-to-tt --verify-diagnostics
// RUN: not aec-opt %s --split-input-file --convert-tiles-to-tt 2>&1 | FileCheck %s --check-prefix=STRICT
// RUN: not aec-opt %s --convert-tiles-to-tt=precision=half 2>&1 | FileCheck %s --check-prefix=PRECISION
// RUN: not aec-opt %s --convert-tiles-to-tt=library=libm 2>&1 | FileCheck %s --check-prefix=LIBRARY
// RUN: not aec-opt %s --convert-tiles-to-tt=section=0 2>&1 | FileCheck %s --check-prefix=SECTION

// STRICT: error: 'builtin.module' op needs a context that allows unregistered dialects
// PRECISION: pass 'convert-tiles-to-tt': expects precision to be one of tf32, tf32x3, ieee, got 'half'
// LIBRARY: pass 'convert-tiles-to-tt': expects library to be one of libdevice, ocml, got 'libm'
// SECTION: pass 'convert-tiles-to-tt': expects section to be 1 to 65536, got 0

// A grid starts at 0, and visits all numbers.
func.func @f(%n: index) -> tensor<16xf32> {
  %empty = tensor.empty() : tensor<16xf32>
  // expected-error @+1 {{'scf.forall' op unsupported: a grid with bounds or steps that are not 0, n and 1}}
  %o = scf.forall (%t) = (0) to (%n) step (2) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %new = tensor.empty() : tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %new into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// A tensor that exists before may be written, but what the grid reads of it would depend on the order of programs.
func.func @f(%into: tensor<16xf32>) -> tensor<16xf32> {
  // expected-error @+1 {{'scf.forall' op unsupported: a grid that writes a tensor which it has under another name}}
  %o = scf.forall (%t) in (1) shared_outs(%out = %into) -> (tensor<16xf32>) {
    %new = tensor.extract_slice %into[0] [16] [1] : tensor<16xf32> to tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %new into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// A part of a result that a loop has written belongs where it was taken from.
func.func @f() -> tensor<32xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %empty = tensor.empty() : tensor<32xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<32xf32>) {
    %part = tensor.extract_slice %out[0] [16] [1] : tensor<32xf32> to tensor<16xf32>
    %all = scf.for %n = %c0 to %c16 step %c1 iter_args(%rows = %part) -> (tensor<16xf32>) {
      %new = arith.constant dense<1.0> : tensor<1xf32>
      %next = tensor.insert_slice %new into %rows[%n] [1] [1] : tensor<1xf32> into tensor<16xf32>
      scf.yield %next : tensor<16xf32>
    }
    scf.forall.in_parallel {
      // expected-error @+1 {{'tensor.parallel_insert_slice' op unsupported in a kernel: a part of a result that is written in a loop and belongs elsewhere}}
      tensor.parallel_insert_slice %all into %out[16] [16] [1] : tensor<16xf32> into tensor<32xf32>
    }
  }
  return %o : tensor<32xf32>
}

// -----

// An operation that has no form in a kernel.
func.func @f(%x: tensor<16x24xf32>) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    // expected-error @+1 {{'tensor.bitcast' op unsupported in a kernel: 'tensor.bitcast'}}
    %s = tensor.bitcast %tile : tensor<16x24xf32> to tensor<16x24xi32>
    %r = tensor.bitcast %s : tensor<16x24xi32> to tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// A function of which the device's library has none.
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @f(%x: tensor<16x24xf32>) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16x24xf32>
    // expected-error @+1 {{'linalg.generic' op unsupported in a kernel: 'math.fpowi' on elements}}
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile : tensor<16x24xf32>) outs(%new : tensor<16x24xf32>) {
    ^bb0(%a: f32, %b: f32):
      %i = arith.constant 2 : i32
      %e = math.fpowi %a, %i : f32, i32
      linalg.yield %e : f32
    } -> tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// Tensors in memory are cut into parts without steps.
func.func @f(%x: tensor<32x24xf32>) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    // expected-error @+1 {{'tensor.extract_slice' op unsupported in a kernel: a slice with steps}}
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [2, 1] : tensor<32x24xf32> to tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// Of a tile parts at known places may be taken.
func.func @f(%x: tensor<16x24xf32>) -> tensor<8x24xf32> {
  %empty = tensor.empty() : tensor<8x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<8x24xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    // expected-error @+1 {{'tensor.extract_slice' op unsupported in a kernel: a part of a tile at places that are computed, or of fewer dimensions}}
    %r = tensor.extract_slice %tile[%t, 0] [8, 24] [1, 1] : tensor<16x24xf32> to tensor<8x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [8, 24] [1, 1] : tensor<8x24xf32> into tensor<8x24xf32>
    }
  }
  return %o : tensor<8x24xf32>
}

// -----

// A part of unknown size has to begin where the tile does.
func.func @f(%x: tensor<16x24xf32>, %n: index) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    // expected-error @+1 {{'tensor.extract_slice' op unsupported in a kernel: a part of a tile of unknown size that is not its beginning}}
    %part = tensor.extract_slice %tile[8, 0] [%n, 24] [1, 1] : tensor<16x24xf32> to tensor<?x24xf32>
    %r = tensor.cast %part : tensor<?x24xf32> to tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// A tile is put into another without gaps.
func.func @f(%x: tensor<16x24xf32>) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %small = tensor.extract_slice %x[0, 0] [8, 24] [1, 1] : tensor<16x24xf32> to tensor<8x24xf32>
    // expected-error @+1 {{'tensor.insert_slice' op unsupported in a kernel: a tile that is put into others with steps, or whose size is not known}}
    %r = tensor.insert_slice %small into %tile[0, 0] [8, 24] [2, 1] : tensor<8x24xf32> into tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// What is missing of a tile stands after it.
func.func @f(%x: tensor<?x24xf32>, %n: index) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %one = arith.constant 1.0 : f32
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    %whole = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<?x24xf32> to tensor<16x24xf32>
    %part = tensor.extract_slice %whole[0, 0] [%n, 24] [1, 1] : tensor<16x24xf32> to tensor<?x24xf32>
    // expected-error @+1 {{'tensor.pad' op unsupported in a kernel: padding of a part of a tensor whose size is not known, but by elements after it}}
    %tile = tensor.pad %part low[2, 0] high[%n, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %one : f32
    } : tensor<?x24xf32> to tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// A part whose size is not known has to be padded to a tile.
func.func @f(%x: tensor<?x24xf32>, %n: index) -> tensor<16x24xf32> {
  %empty = tensor.empty() : tensor<16x24xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x24xf32>) {
    // expected-error @+1 {{'tensor.extract_slice' op unsupported in a kernel: a part of a tensor that is not padded to a known size}}
    %part = tensor.extract_slice %x[0, 0] [%n, 24] [1, 1] : tensor<?x24xf32> to tensor<?x24xf32>
    %tile = tensor.cast %part : tensor<?x24xf32> to tensor<16x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> into tensor<16x24xf32>
    }
  }
  return %o : tensor<16x24xf32>
}

// -----

// A tensor of different numbers would have to stand in memory.
func.func @f() -> tensor<2xf32> {
  %empty = tensor.empty() : tensor<2xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<2xf32>) {
    // expected-error @+1 {{'arith.constant' op unsupported in a kernel: a tensor of different constants}}
    %tile = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[0] [2] [1] : tensor<2xf32> into tensor<2xf32>
    }
  }
  return %o : tensor<2xf32>
}

// -----

// What a reduction does has to be associative, with an identity.
#map = affine_map<(d0, d1) -> (d0, d1)>
#rows = affine_map<(d0, d1) -> (d0)>
func.func @f(%x: tensor<16x24xf32>) -> tensor<16xf32> {
  %empty = tensor.empty() : tensor<16xf32>
  %zero = arith.constant 0.0 : f32
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16xf32>
    // expected-error @+1 {{'linalg.generic' op unsupported in a kernel: a reduction by 'arith.divf'}}
    %r = linalg.generic {indexing_maps = [#map, #rows], iterator_types = ["parallel", "reduction"]} ins(%tile : tensor<16x24xf32>) outs(%new : tensor<16xf32>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.divf %b, %a : f32
      linalg.yield %e : f32
    } -> tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// A reduction that uses its result twice is none.
#map = affine_map<(d0, d1) -> (d0, d1)>
#rows = affine_map<(d0, d1) -> (d0)>
func.func @f(%x: tensor<16x24xf32>) -> tensor<16xf32> {
  %empty = tensor.empty() : tensor<16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16xf32>
    // expected-error @+1 {{'linalg.generic' op unsupported in a kernel: a reduction that is no operation on the result and elements}}
    %r = linalg.generic {indexing_maps = [#map, #rows], iterator_types = ["parallel", "reduction"]} ins(%tile : tensor<16x24xf32>) outs(%new : tensor<16xf32>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.mulf %b, %b : f32
      %s = arith.addf %e, %a : f32
      linalg.yield %s : f32
    } -> tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// Heads and positions that are one in registers, beside a tensor of positions alone.
#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#positions = affine_map<(d0, d1, d2) -> (d1, d2)>
func.func @f(%x: tensor<2x8x16xf32>, %y: tensor<8x16xf32>) -> tensor<16x16xf32> {
  %empty = tensor.empty() : tensor<16x16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x16xf32>) {
    %a = tensor.extract_slice %x[0, 0, 0] [2, 8, 16] [1, 1, 1] : tensor<2x8x16xf32> to tensor<2x8x16xf32>
    %b = tensor.extract_slice %y[0, 0] [8, 16] [1, 1] : tensor<8x16xf32> to tensor<8x16xf32>
    %new = tensor.empty() : tensor<2x8x16xf32>
    // expected-error @+1 {{'linalg.generic' op unsupported in a kernel: dimensions that are one in registers beside such that are not}}
    %c = linalg.generic {indexing_maps = [#map, #positions, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%a, %b : tensor<2x8x16xf32>, tensor<8x16xf32>) outs(%new : tensor<2x8x16xf32>) {
    ^bb0(%in: f32, %other: f32, %init: f32):
      %s = arith.addf %in, %other : f32
      linalg.yield %s : f32
    } -> tensor<2x8x16xf32>
    %r = tensor.collapse_shape %c [[0, 1], [2]] : tensor<2x8x16xf32> into tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %o : tensor<16x16xf32>
}

// -----

// Only first dimensions are one in registers.
func.func @f(%x: tensor<16x2x8xf32>) -> tensor<16x16xf32> {
  %empty = tensor.empty() : tensor<16x16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x16xf32>) {
    %a = tensor.extract_slice %x[0, 0, 0] [16, 2, 8] [1, 1, 1] : tensor<16x2x8xf32> to tensor<16x2x8xf32>
    // expected-error @+1 {{'tensor.collapse_shape' op unsupported in a kernel: dimensions as one that are not the first ones of a part of a tensor in memory}}
    %r = tensor.collapse_shape %a [[0], [1, 2]] : tensor<16x2x8xf32> into tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %o : tensor<16x16xf32>
}

// -----

// A dimension of size 1 has 16 elements in registers.
func.func @f(%x: tensor<16xf32>) -> tensor<16xf64> {
  %empty = tensor.empty() : tensor<16xf64>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf64>) {
    %row = tensor.extract_slice %x[0] [16] [1] : tensor<16xf32> to tensor<16xf32>
    %a = tensor.expand_shape %row [[0, 1]] output_shape [16, 1] : tensor<16xf32> into tensor<16x1xf32>
    %e = tensor.empty() : tensor<16x1xf64>
    %w = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<16x1xf32>) outs(%e : tensor<16x1xf64>) {
    ^bb0(%in: f32, %old: f64):
      %y = arith.extf %in : f32 to f64
      linalg.yield %y : f64
    } -> tensor<16x1xf64>
    // expected-error @+1 {{'tensor.collapse_shape' op unsupported in a kernel: a dimension of size 1 left out of a tile that is in registers}}
    %r = tensor.collapse_shape %w [[0, 1]] : tensor<16x1xf64> into tensor<16xf64>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf64> into tensor<16xf64>
    }
  }
  return %o : tensor<16xf64>
}

// -----

// Another dimension than the first one as two.
func.func @f(%x: tensor<16x16xf32>) -> tensor<16x2x8xf32> {
  %empty = tensor.empty() : tensor<16x2x8xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x2x8xf32>) {
    %a = tensor.extract_slice %x[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> to tensor<16x16xf32>
    // expected-error @+1 {{'tensor.expand_shape' op unsupported in a kernel: another dimension than the first one as several}}
    %r = tensor.expand_shape %a [[0], [1, 2]] output_shape [16, 2, 8] : tensor<16x16xf32> into tensor<16x2x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0, 0] [16, 2, 8] [1, 1, 1] : tensor<16x2x8xf32> into tensor<16x2x8xf32>
    }
  }
  return %o : tensor<16x2x8xf32>
}
