// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-raise-priority{level=4})' 2>&1 | FileCheck %s --check-prefix=LEVEL
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-raise-priority{level=0})' 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not aec-opt %s --pass-pipeline='builtin.module(amd-raise-priority{least=0})' 2>&1 | FileCheck %s --check-prefix=LEAST

// LEVEL: expects level to be 1 to 3, got 4
// NONE: expects level to be 1 to 3, got 0
// LEAST: expects least to be at least 1, got 0
module {}
