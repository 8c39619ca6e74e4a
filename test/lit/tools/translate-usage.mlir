// Mistakes in the command line end with status 2 and a line that says what is wrong.
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --emit=ptx 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu 2>&1 | FileCheck %s --check-prefix=EMIT
// RUN: sh %S/Inputs/status.sh 2 aec-translate --target=cpu --emit=llvm 2>&1 | FileCheck %s --check-prefix=FILE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=wasm 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=llvm --json 2>&1 | FileCheck %s --check-prefix=JSON
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_91 --emit=ptx 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=wasm --emit=llvm 2>&1 | FileCheck %s --check-prefix=BACKEND
// RUN: sh %S/Inputs/status.sh 2 aec-translate %t.missing --target=cpu --emit=llvm 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=llvm -o %S/no/such/folder/x 2>&1 | FileCheck %s --check-prefix=UNWRITABLE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=num_stages=0 2>&1 | FileCheck %s --check-prefix=VALUE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=stages=1 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=num_warps=1 --option=num_warps=2 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --function=f 2>&1 | FileCheck %s --check-prefix=FUNCTION
// RUN: aec-translate --help | FileCheck %s --check-prefix=HELP
// RUN: aec-translate --version | FileCheck %s --check-prefix=VERSION

// TARGET: aec-translate: error: expects --target
// TARGET-NEXT: run 'aec-translate --help' for the flags
// EMIT: aec-translate: error: expects --emit or --report
// FILE: aec-translate: error: expects a FILE
// FORM: aec-translate: error: argument --emit: invalid choice: 'wasm'
// JSON: aec-translate: error: --json expects --report beside it
// UNKNOWN: aec-translate: error: unknown target 'nvidia:sm_91' (targets: nvidia:sm_80,
// BACKEND: aec-translate: error: unknown target 'wasm' (targets:
// MISSING: aec-translate: error: cannot read '{{.+}}missing': No such file or directory
// UNWRITABLE: aec-translate: error: cannot write '{{.+}}/no/such/folder/x': no folder
// VALUE: aec-translate: error: --option: expects num_stages to be a positive integer, got '0'
// OPTION: aec-translate: error: --option: unknown option 'stages' (options of a kernel: num_warps, num_stages)
// TWICE: aec-translate: error: --option num_warps is given twice
// FUNCTION: aec-translate: error: --function: '{{.+}}' holds kernels, which --kernel names
// HELP: usage: aec-translate
// HELP: --emit FORM
// HELP: forms of --emit:
// VERSION: aecompiler {{.+}}

"tt.func"() ({
  "tt.return"() : () -> ()
}) {function_type = () -> (), noinline = false, sym_name = "f", sym_visibility = "public"} : () -> ()
