// RUN: not aec-opt %s --attn-tile-steps=value-block=-1 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not aec-opt %s --attn-tile-steps=value-block=5000 2>&1 | FileCheck %s --check-prefix=LARGE
// RUN: not aec-opt %s --attn-tile-steps=step-value-block=-1 2>&1 | FileCheck %s --check-prefix=STEP
// RUN: not aec-opt %s --attn-tile-steps=step-elements=-1 2>&1 | FileCheck %s --check-prefix=ELEMENTS

// ELEMENTS: pass 'attn-tile-steps': expects step-elements to be 0 to 1048576, got -1
// STEP: pass 'attn-tile-steps': expects step-value-block to be 0 to 4096, got -1
// NEGATIVE: pass 'attn-tile-steps': expects value-block to be 0 to 4096, got -1
// LARGE: pass 'attn-tile-steps': expects value-block to be 0 to 4096, got 5000
func.func @f() {
  return
}
