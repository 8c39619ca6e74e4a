// Standard input and files, -o, devices.
// RUN: aec-opt %s | FileCheck %s
// RUN: aec-opt < %s | FileCheck %s
// RUN: cat %s | aec-opt - -o %t.out && FileCheck %s < %t.out
// RUN: aec-opt %s -o /dev/null

// A failure leaves the output alone.
// RUN: echo old > %t.old
// RUN: not aec-opt %S/opt-diagnostics.mlir -o %t.old
// RUN: grep old %t.old

// Bytecode goes round.
// RUN: aec-opt %s --emit-bytecode -o %t.bc && aec-opt %t.bc | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt --mlir-print-debuginfo | FileCheck %s --check-prefix=LOC

// An empty input is an empty module.
// RUN: aec-opt /dev/null | FileCheck %s --check-prefix=EMPTY
// EMPTY: module {
// EMPTY-NEXT: }

// Locations name the file, and survive bytecode.
// RUN: aec-opt %s --mlir-print-debuginfo | FileCheck %s --check-prefix=LOC
// LOC: loc("{{.*}}opt-input-output.mlir":

// RUN: aec-opt %s -mlir-print-op-generic | FileCheck %s --check-prefix=GENERIC
// GENERIC: "func.func"()

// RUN: echo '"foo.bar"() : () -> ()' | aec-opt --allow-unregistered-dialect | FileCheck %s --check-prefix=FOO
// RUN: echo '"foo.bar"() : () -> ()' | not aec-opt 2>&1 | FileCheck %s --check-prefix=NOFOO
// FOO: "foo.bar"()
// NOFOO: <stdin>:1:{{[0-9]+}}: error: operation being parsed with an unregistered dialect

// CHECK-LABEL: func.func @f
// CHECK-NEXT:    return
func.func @f() {
  return
}
