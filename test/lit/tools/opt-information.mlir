// RUN: aec-opt --help | FileCheck %s --check-prefix=HELP
// RUN: aec-opt -h | FileCheck %s --check-prefix=HELP
// RUN: aec-opt --list-passes | FileCheck %s --check-prefix=LIST
// RUN: aec-opt --show-dialects | FileCheck %s --check-prefix=DIALECTS
// RUN: aec-opt --version | FileCheck %s --check-prefix=VERSION

// HELP: usage: aec-opt [FILE]
// HELP: input and output:
// HELP: --split-input-file
// HELP: passes for every target:
// HELP: --attn-canonicalize (on any)
// HELP-NEXT: Simplify attention programs
// HELP: --convert-attn-to-linalg
// HELP: block-q=<int> {{.*}}
// HELP: passes of the CPU backend:
// HELP-NEXT: --cpu-
// HELP: named pipelines of the CPU backend:
// HELP: --attn-cpu-reference
// HELP: Exit status: 0 success

// LIST: for every target:
// LIST: attn-canonicalize {{ +}}Simplify attention programs
// LIST: convert-attn-to-linalg
// LIST: of the CPU backend:
// LIST: cpu-prepare-functions

// DIALECTS: arith
// DIALECTS: attn
// DIALECTS: linalg

// VERSION: aecompiler {{[0-9]}}
// VERSION-NEXT: {{.*mlir.* [0-9]}}
