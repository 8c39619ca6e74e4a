// RUN: not aec-opt %s --tt-keep-loops 2>&1 | FileCheck %s

// CHECK: needs a context that allows unregistered dialects
func.func @f() {
  return
}
