// RUN: not aec-opt %s --attn-fuse-elementwise=operands=q,w 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not aec-opt %s --attn-fuse-elementwise=operands=all 2>&1 | FileCheck %s --check-prefix=ALL
// RUN: not aec-opt %s --attn-fuse-elementwise=operand=q 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not aec-opt %s --attn-fuse-elementwise=repeated-work=-1 2>&1 | FileCheck %s --check-prefix=WORK

// NAME: option 'operands' of pass 'attn-fuse-elementwise' expects a comma-separated list, each one of q, k, v, o, got 'q,w'
// ALL: option 'operands' of pass 'attn-fuse-elementwise' expects a comma-separated list, each one of q, k, v, o, got 'all'
// UNKNOWN: pass 'attn-fuse-elementwise' has no option 'operand'; did you mean 'operands'?
// WORK: expects repeated-work to be at least 0, got -1
func.func @f() {
  return
}
