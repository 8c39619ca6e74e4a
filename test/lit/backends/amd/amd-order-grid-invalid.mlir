// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-order-grid{xcds=0})' 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-order-grid{xcds=65})' 2>&1 | FileCheck %s --check-prefix=MANY

// NONE: expects xcds to be 1 to 64, got 0
// MANY: expects xcds to be 1 to 64, got 65
module {}
