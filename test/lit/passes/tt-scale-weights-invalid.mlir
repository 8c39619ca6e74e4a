// RUN: not aec-opt %s --allow-unregistered-dialect --tt-scale-weights=exponent=16 2>&1 | FileCheck %s

// CHECK: expects exponent to be 1 to 15, got 16
func.func @no_kernel() {
  return
}
