// RUN: not aec-opt %s --convert-attn-to-linalg=block-q=0 2>&1 | FileCheck %s --check-prefix=SMALL
// RUN: not aec-opt %s --attn-cpu-reference=block-q=99999999999999999999 2>&1 | FileCheck %s --check-prefix=LARGE
// RUN: not aec-opt %s --convert-attn-to-linalg=block-q=many 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: not aec-opt %s --convert-attn-to-linalg=block-k=4 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// SMALL: pass 'convert-attn-to-linalg': expects block-q to be 1 to 4096, got 0
// LARGE: pass 'convert-attn-to-linalg': expects block-q to be 1 to 4096, got 99999999999999999999
// NUMBER: option 'block-q' of pass 'convert-attn-to-linalg' expects an integer, got 'many'
// UNKNOWN: pass 'convert-attn-to-linalg' has no option 'block-k'; did you mean 'block-q'?
func.func @f() {
  return
}
