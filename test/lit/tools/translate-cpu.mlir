// The CPU has LLVM IR; the function of a program with several is named.
// RUN: aec-translate %s --target=cpu --emit=llvm --function=twice | FileCheck %s
// RUN: aec-translate %s --target=cpu --emit=llvm --function=same -o %t && FileCheck %s --check-prefix=SAME --input-file %t
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=llvm 2>&1 | FileCheck %s --check-prefix=SEVERAL
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=ptx --function=twice 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --report --function=twice 2>&1 | FileCheck %s --check-prefix=REPORT
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=cpu --emit=llvm --function=twice --option=block_x=1 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: aec-translate %s --target=cpu --emit=llvm --function=twice --option=direct=true --option=opt_level=1 | FileCheck %s

// CHECK: define {{.*}}twice
// CHECK: fadd float
// SAME: define {{.*}}same
// SAME-NOT: fadd float

// SEVERAL: aec-translate: error: expects a program with one public function, got 2 (twice, same): name one with --function
// FORM: aec-translate: error: --emit=ptx: target 'cpu' has the form llvm only
// REPORT: aec-translate: error: target 'cpu' has no --report
// OPTION: aec-translate: error: --option: unknown option 'block_x' (options:

func.func @twice(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

func.func @same(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
