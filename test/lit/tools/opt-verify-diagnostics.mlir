// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --pass-pipeline='func.func(test-fail{how=refuse only=refused})' --split-input-file --verify-diagnostics
// RUN: sh %S/Inputs/status.sh 1 aec-opt %S/Inputs/expectations.mlir --split-input-file --verify-diagnostics 2>&1 | FileCheck %s

// CHECK: expectations.mlir:2:5: error: expected error "'func.return' op has 9 operands" was not produced
// CHECK: expectations.mlir:3:3: error: unexpected error: 'func.return' op has 0 operands
// CHECK: expectations.mlir:9:6: error: expected error "never" was not produced
// CHECK: expectations.mlir:16:6: error: malformed expectation
// CHECK: expectations.mlir:17:6: error: malformed expectation
// CHECK: expectations.mlir:18:6: error: malformed regular expression
// CHECK: expectations.mlir:25:6: error: expected error "op has" was not produced

func.func @same_line() -> f32 {
  return  // expected-error {{'func.return' op has 0 operands}}
}

// -----

func.func @offset() -> f32 {
  // expected-error@+1 {{has 0 operands}}
  return
}

// -----

func.func @above() -> f32 {
  return
  // A line with an expectation does not count, one without does.
  // expected-error @-2 1 {{op has 0 operands}}
}

// -----

func.func @below() -> f32 {
  // expected-error-re @below {{'func.{{[a-z]{6}}}' op has {{[0-9]+}} operands}}
  return
}

// -----

// expected-error @+1 {{'func.func' op expects to be left alone}}
func.func @refused() {
  return
}

