// RUN: not aec-opt %s --attn-tile-chunked=heads=0 2>&1 | FileCheck %s --check-prefix=HEADS
// RUN: not aec-opt %s --attn-tile-chunked=value-block=-1 2>&1 | FileCheck %s --check-prefix=VALUES
// RUN: not aec-opt %s --attn-tile-chunked=decay-bound=50 2>&1 | FileCheck %s --check-prefix=BOUND
// RUN: not aec-opt %s --attn-tile-chunked=decay-bound=nan 2>&1 | FileCheck %s --check-prefix=NAN
// RUN: not aec-opt %s --attn-tile-chunked=decay-sums=f16 2>&1 | FileCheck %s --check-prefix=SUMS
// RUN: not aec-opt %s --attn-tile-chunked=value-lanes=0 2>&1 | FileCheck %s --check-prefix=LANES
// RUN: not aec-opt %s --attn-tile-chunked=solve-rows=2000 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not aec-opt %s --attn-tile-chunked 2>&1 | FileCheck %s --check-prefix=SKIP

// HEADS: pass 'attn-tile-chunked': expects heads to be 1 to 64, got 0
// VALUES: pass 'attn-tile-chunked': expects value-block to be 0 to 4096, got -1
// BOUND: pass 'attn-tile-chunked': expects decay-bound to be 0 to 40, got 50.0
// NAN: pass 'attn-tile-chunked': expects decay-bound to be 0 to 40, got nan
// LANES: pass 'attn-tile-chunked': expects value-lanes to be 1 to 4096, got 0
// ROWS: pass 'attn-tile-chunked': expects solve-rows to be 0 to 1024, got 2000
// SUMS: option 'decay-sums' of pass 'attn-tile-chunked' expects one of f64, acc, auto, got 'f16'
// SKIP: error: 'attn.chunked_recurrence' op unsupported: a skip beside keys without features
func.func @no_keys(%q: tensor<1x1x?x0xf32>, %v: tensor<1x1x?x3xf32>, %initial: tensor<1x1x0x3xf32>)
    -> (tensor<1x1x?x3xf32>, tensor<1x1x0x3xf32>) {
  %o, %final = "attn.chunked_recurrence"(%q, %q, %v, %initial) ({
  ^position(%qt: tensor<0xf32>, %kt: tensor<0xf32>, %vt: tensor<3xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt, %vt)
      {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
      : (tensor<0xf32>, tensor<0xf32>, tensor<3xf32>, tensor<3xf32>) -> ()
  }) {chunk = 16 : i64, reads = "after", exponents = "any"}
    : (tensor<1x1x?x0xf32>, tensor<1x1x?x0xf32>, tensor<1x1x?x3xf32>, tensor<1x1x0x3xf32>)
    -> (tensor<1x1x?x3xf32>, tensor<1x1x0x3xf32>)
  return %o, %final : tensor<1x1x?x3xf32>, tensor<1x1x0x3xf32>
}
