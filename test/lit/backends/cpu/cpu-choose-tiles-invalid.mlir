// RUN: not aec-opt %s --cpu-choose-tiles=vector-bits=100 2>&1 | FileCheck %s --check-prefix=BITS
// RUN: not aec-opt %s --cpu-choose-tiles=block-q=5000 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not aec-opt %s --cpu-choose-tiles=l2-bytes=0 2>&1 | FileCheck %s --check-prefix=CACHE
// RUN: not aec-opt %s --cpu-choose-tiles=length=0 2>&1 | FileCheck %s --check-prefix=LENGTH

// BITS: expects vector-bits to be 128, 256 or 512, got 100
// ROWS: expects block-q to be 0 to 4096, got 5000
// CACHE: expects l2-bytes to be 1 to {{[0-9]+}}, got 0
// LENGTH: expects length to be 1 to {{[0-9]+}}, got 0
func.func @nothing() {
  return
}
