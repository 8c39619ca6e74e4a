// RUN: not aec-opt %s --split-input-file > %t.out 2> %t.err
// RUN: FileCheck %s < %t.err
// RUN: FileCheck %s --check-prefix=OUT < %t.out

// Lines count from the top of the file, whatever the chunk; chunks without errors are printed.
// OUT-NOT: @bad
// OUT: func.func @good
func.func @bad_type() -> f32 {
  // CHECK: opt-diagnostics.mlir:10:3: error: 'func.return' op has 0 operands
  return
}

// -----

func.func @good() {
  return
}

// -----

func.func @bad_name() {
  // CHECK: opt-diagnostics.mlir:24:3: error:
  // CHECK-NEXT: retrn
  retrn
}
