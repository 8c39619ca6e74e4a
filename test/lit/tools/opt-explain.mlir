// Instead of the IR, what the chosen pass says of each op that it runs on; the pipeline runs as it is given.
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-mark=text=x --cse --explain test-mark | FileCheck %s --check-prefix=GIVEN
// GIVEN: "f" gets the mark x
// GIVEN-EMPTY:
// GIVEN-NEXT: "g" gets the mark x
// GIVEN-NOT: {{.}}

// A pass that the pipeline lacks runs last, on its own anchor.
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --explain=test-mark --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=ALONE
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --pass-pipeline='func.func(canonicalize),cse' --explain=test-mark --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=LAST
// ALONE: builtin.module(func.func(test-mark))
// ALONE: "f" gets the mark here
// LAST: builtin.module(func.func(canonicalize),cse,func.func(test-mark))
// LAST: "f" gets the mark here

// What it can't handle is reported as when it runs.
// RUN: not aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-mark --explain=test-mark --test-mark 2>&1 | FileCheck %s --check-prefix=REFUSED
// REFUSED: opt-explain.mlir:{{[0-9]+}}:1: error: 'func.func' op expects no mark yet

// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --explain=cse 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --explain=convert-attn-to-linalg 2>&1 | FileCheck %s --check-prefix=SILENT
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --explain=cse --emit-bytecode 2>&1 | FileCheck %s --check-prefix=BYTES
// NONE: aec-opt: error: --explain: 'cse' is no pass that has an explanation
// SILENT: aec-opt: error: --explain: 'convert-attn-to-linalg' is no pass that has an explanation
// BYTES: aec-opt: error: --emit-bytecode and --explain exclude each other

func.func @f() {
  return
}
func.func @g() {
  return
}
