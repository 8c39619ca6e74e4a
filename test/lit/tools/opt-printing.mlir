// RUN: aec-opt %s --canonicalize --cse --print-ir-before=canonicalize --print-ir-after=cse -o /dev/null 2>&1 | FileCheck %s --check-prefix=SOME
// SOME: // -----// IR Dump Before canonicalize //----- //
// SOME: arith.mulf
// SOME-NOT: IR Dump Before cse
// SOME-NOT: IR Dump After canonicalize
// SOME: // -----// IR Dump After cse //----- //

// RUN: aec-opt %s --pass-pipeline='func.func(canonicalize),cse' --print-ir-before-all --print-ir-after-all -o /dev/null 2>&1 | FileCheck %s --check-prefix=ALL
// ALL: IR Dump Before canonicalize ('func.func' operation: @f)
// ALL: IR Dump After canonicalize ('func.func' operation: @f)
// ALL: IR Dump Before canonicalize ('func.func' operation: @g)
// ALL: IR Dump After canonicalize ('func.func' operation: @g)
// ALL: IR Dump Before cse //
// ALL: IR Dump After cse //

// RUN: aec-opt %s --pass-pipeline='func.func(canonicalize),cse' --mlir-print-ir-after-change -o /dev/null 2>&1 | FileCheck %s --check-prefix=CHANGE
// CHANGE: IR Dump After canonicalize ('func.func' operation: @f)
// CHANGE-NOT: IR Dump

// RUN: aec-opt %s --canonicalize --timing -o /dev/null 2>&1 | FileCheck %s --check-prefix=TIME
// TIME: Execution time report
// TIME: Total Execution Time:
// TIME: Parser
// TIME: canonicalize
// TIME: Verifier
// TIME: Total

func.func @f(%x: f32) -> f32 {
  %c = arith.constant 1.0 : f32
  %0 = arith.mulf %x, %c : f32
  return %0 : f32
}
func.func @g() {
  return
}
