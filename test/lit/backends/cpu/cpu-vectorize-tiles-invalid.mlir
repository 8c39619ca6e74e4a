// RUN: not aec-opt %s --cpu-vectorize-tiles=vector-bits=100 2>&1 | FileCheck %s --check-prefix=BITS
// RUN: not aec-opt %s --cpu-vectorize-tiles=tile-q=0 2>&1 | FileCheck %s --check-prefix=TILE

// BITS: expects vector-bits to be 128, 256 or 512, got 100
// TILE: expects tile-q to be 1 to 16, got 0
func.func @nothing() {
  return
}
