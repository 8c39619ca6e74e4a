// Whatever a pass does, the driver ends with a status, a message that names the pass, and a reproducer.
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --canonicalize --test-fail=how=raise --cse --crash-reproducer=%t.raise 2>&1 | FileCheck %s --check-prefix=RAISE
// RUN: FileCheck %s --check-prefix=FILE < %t.raise
// RAISE: aec-opt: internal error: pass 'test-fail' raised KeyError: 'a bug'
// RAISE-NEXT: aec-opt: note: reproducer with the traceback: {{.+}}.raise
// RAISE-NEXT: aec-opt: note: replay: aec-opt {{.+}}.raise --run-reproducer --load-pass-module={{.+}}bad_passes.py
// RAISE-NOT: Traceback
// FILE: // KeyError: 'a bug'
// FILE: func.func @f
// FILE-NOT: arith.mulf
// FILE: pipeline: "builtin.module(test-fail,cse)"

// The reproducer replays.
// RUN: sh %S/Inputs/status.sh 3 aec-opt %t.raise --run-reproducer --load-pass-module=%S/Inputs/bad_passes.py --crash-reproducer=%t.again 2>&1 | FileCheck %s --check-prefix=AGAIN
// AGAIN: aec-opt: internal error: pass 'test-fail' raised KeyError

// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail --debug --crash-reproducer=%t.debug 2>&1 | FileCheck %s --check-prefix=DEBUG
// DEBUG: Traceback (most recent call last)

// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=recurse --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=RECURSE
// RECURSE: pass 'test-fail' raised RecursionError
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=interrupt --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=INTERRUPT
// INTERRUPT: aec-opt: internal error: pass 'test-fail' raised KeyboardInterrupt
// INTERRUPT-NEXT: aec-opt: note: reproducer with the traceback
// INTERRUPT-NOT: Traceback
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=segfault --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=SEGV
// SEGV: pass 'test-fail' crashed (SIGSEGV)
// SEGV-NEXT: reproducer: {{.+}}.r
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=abort --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=ABRT
// ABRT: pass 'test-fail' crashed (SIGABRT)
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=process-exit --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=EXIT
// EXIT: pass 'test-fail' ended the process (exit status 0)
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=hang --timeout=4 --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=HANG
// HANG: pass 'test-fail' did not finish within 4 s (see --timeout)
// RUN: sh %S/Inputs/status.sh 3 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=invalid --crash-reproducer=%t.r 2>&1 | FileCheck %s --check-prefix=INVALID
// INVALID: error: 'builtin.module' op can only contain attributes with dialect-prefixed names
// INVALID: pass 'test-fail' made invalid IR

// Without the verifier the next pass gets the IR as it is; what can't be verified prints in the generic form.
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=invalid --cse --verify-each=false | FileCheck %s --check-prefix=UNVERIFIED
// RUN: aec-opt --verify-each false %s --load-pass-module=%S/Inputs/bad_passes.py --test-fail=how=invalid --cse | FileCheck %s --check-prefix=UNVERIFIED
// UNVERIFIED: "builtin.module"() ({
// UNVERIFIED: {unprefixed} : () -> ()

// A refusal is the user's to mend: status 1, a located message; the reproducer only on demand.
// RUN: sh %S/Inputs/status.sh 1 aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --pass-pipeline='func.func(test-fail{how=refuse only=g},cse)' --crash-reproducer=%t.refuse 2>&1 | FileCheck %s --check-prefix=REFUSE
// REFUSE: opt-failures.mlir:{{[0-9]+}}:1: error: 'func.func' op expects to be left alone
// RUN: sh %S/Inputs/status.sh 1 aec-opt %t.refuse --run-reproducer --load-pass-module=%S/Inputs/bad_passes.py 2>&1 | FileCheck %s --check-prefix=REPLAY
// REPLAY: opt-failures.mlir:{{[0-9]+}}:1: error: 'func.func' op expects to be left alone

func.func @f(%x: f32) -> f32 {
  %c = arith.constant 1.0 : f32
  %0 = arith.mulf %x, %c : f32
  return %0 : f32
}
func.func @g() {
  return
}
