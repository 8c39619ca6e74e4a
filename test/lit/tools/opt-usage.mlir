// Mistakes in the command line end with status 2 and a line that says what is wrong.
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --pass-pipeline='builtin.module(nope)' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --attn-canonicalise 2>&1 | FileCheck %s --check-prefix=FLAG
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --pass-pipeline='builtin.module(cse' 2>&1 | FileCheck %s --check-prefix=SYNTAX
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --pass-pipeline='func.func(convert-attn-to-linalg)' 2>&1 | FileCheck %s --check-prefix=ANCHOR
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --convert-attn-to-linalg=block-q=x 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --canonicalize=foo=1 2>&1 | FileCheck %s --check-prefix=UPSTREAM
// RUN: sh %S/Inputs/status.sh 2 aec-opt %t.missing 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: sh %S/Inputs/status.sh 2 aec-opt %S 2>&1 | FileCheck %s --check-prefix=DIRECTORY
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s -o %S/no/such/folder/x 2>&1 | FileCheck %s --check-prefix=UNWRITABLE
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --cse --pass-pipeline=cse 2>&1 | FileCheck %s --check-prefix=BOTH
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --pass-pipeline=cse --pass-pipeline=cse 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s %s 2>&1 | FileCheck %s --check-prefix=INPUTS
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --timeout=soon 2>&1 | FileCheck %s --check-prefix=TIMEOUT
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --verify-each=maybe 2>&1 | FileCheck %s --check-prefix=BOOL
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --print-ir-after=sccp --cse 2>&1 | FileCheck %s --check-prefix=PRINT
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --run-reproducer 2>&1 | FileCheck %s --check-prefix=REPRODUCER
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --load-pass-module=%t.missing.py 2>&1 | FileCheck %s --check-prefix=MODULE
// RUN: echo 'import sys; sys.exit(0)' > %t.exits.py
// RUN: sh %S/Inputs/status.sh 2 aec-opt %s --load-pass-module=%t.exits.py 2>&1 | FileCheck %s --check-prefix=EXITS

// UNKNOWN: aec-opt: error: unknown pass or pipeline 'nope'
// UNKNOWN-NEXT: builtin.module(nope)
// UNKNOWN-NEXT: {{^                 \^$}}
// FLAG: aec-opt: error: --attn-canonicalise is no flag, pass or pipeline; did you mean --attn-canonicalize?
// SYNTAX: aec-opt: error: '(' is not closed
// ANCHOR: aec-opt: error: pass 'convert-attn-to-linalg' runs on 'builtin.module', not on 'func.func'
// OPTION: aec-opt: error: option 'block-q' of pass 'convert-attn-to-linalg' expects an integer, got 'x'
// UPSTREAM: aec-opt: error: pass 'canonicalize': no such option foo
// MISSING: aec-opt: error: cannot read '{{.+}}missing': No such file or directory
// DIRECTORY: aec-opt: error: cannot read '{{.+}}': Is a directory
// UNWRITABLE: aec-opt: error: cannot write '{{.+}}/no/such/folder/x': No such file or directory
// BOTH: aec-opt: error: --pass-pipeline and --cse exclude each other
// TWICE: aec-opt: error: --pass-pipeline is given twice
// INPUTS: aec-opt: error: expects one input file, got
// TIMEOUT: aec-opt: error: argument --timeout: expects a number of seconds, 0 for no limit, got 'soon'
// BOOL: aec-opt: error: argument --verify-each: expects true or false, got 'maybe'
// PRINT: aec-opt: error: --print-ir-after: the pipeline has no pass 'sccp'
// REPRODUCER: aec-opt: error: {{.+}}opt-usage.mlir holds no reproducer
// MODULE: aec-opt: error: cannot load pass module '{{.+}}': expects a Python file
// EXITS: aec-opt: error: cannot load pass module '{{.+}}exits.py': SystemExit: 0
func.func @f() {
  return
}
