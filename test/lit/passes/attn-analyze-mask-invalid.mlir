// RUN: not aec-opt %s --attn-analyze-mask=block-q=0 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not aec-opt %s --attn-analyze-mask=kv-len=-1 2>&1 | FileCheck %s --check-prefix=LENGTH
// RUN: not aec-opt %s --attn-analyze-mask=values=w 2>&1 | FileCheck %s --check-prefix=VALUE

// The pass refuses no program, only options.
// ROWS: expects block-q to be at least 1, got 0
// LENGTH: expects kv-len to be at least 0, got -1
// VALUE: expects values to be NAME=NUMBER, got 'w'
func.func @f() {
  return
}
