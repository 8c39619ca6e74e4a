// RUN: not aec-opt %s --attn-canonicalize=merge=true 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not aec-opt %s --pass-pipeline='builtin.module(attn-canonicalize{x})' 2>&1 | FileCheck %s --check-prefix=FLAG

// The pass refuses no program; it has no options.
// OPTION: aec-opt: error: pass 'attn-canonicalize' has no option 'merge' (it has none)
// FLAG: aec-opt: error: pass 'attn-canonicalize' has no option 'x'
func.func @f() {
  return
}
