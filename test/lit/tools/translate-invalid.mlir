// What Triton or the assembler refuses is reported at the place in the file, with the kernel's name.
// RUN: sh %S/Inputs/status.sh 1 aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=shape 2>&1 | FileCheck %s --check-prefix=SHAPE
// RUN: sh %S/Inputs/status.sh 1 aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=assembly 2>&1 | FileCheck %s --check-prefix=ASSEMBLY
// RUN: sh %S/Inputs/status.sh 1 aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=abort 2>&1 | FileCheck %s --check-prefix=ABORT
// RUN: sh %S/Inputs/status.sh 1 aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=abort --timeout=0.01 2>&1 | FileCheck %s --check-prefix=TIMEOUT
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=other 2>&1 | FileCheck %s --check-prefix=KERNEL
// REQUIRES: triton

// KERNEL: aec-translate: error: --kernel: there is no kernel 'other' (kernels: shape, assembly, abort)

"tt.func"() ({
^bb0(%o: !tt.ptr<i32>):
  %range = "tt.make_range"() {end = 128 : i32, start = 0 : i32} : () -> tensor<128xi32>
// SHAPE: translate-invalid.mlir:15:11: error: kernel 'shape' for nvidia:sm_90: Triton's parser: 'tt.expand_dims' op inferred type(s)
  %rows = "tt.expand_dims"(%range) {axis = 0 : i32} : (tensor<128xi32>) -> tensor<128x1xi32>
  "tt.return"() : () -> ()
}) {function_type = (!tt.ptr<i32>) -> (), noinline = false, sym_name = "shape", sym_visibility = "public"} : () -> ()

"tt.func"() ({
^bb0(%o: !tt.ptr<i32>):
  %x = arith.constant 1 : i32
// ASSEMBLY: translate-invalid.mlir:23:8: error: kernel 'assembly' for nvidia:sm_90: ptxas: {{.+}}: nonsense %r{{[0-9]+}}, %r{{[0-9]+}};
  %y = "tt.elementwise_inline_asm"(%x) {asm_string = "nonsense $0, $1;", constraints = "=r,r",
    packed_element = 1 : i32, pure = true} : (i32) -> i32
  "tt.store"(%o, %y) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32} : (!tt.ptr<i32>, i32) -> ()
  "tt.return"() : () -> ()
}) {function_type = (!tt.ptr<i32>) -> (), noinline = false, sym_name = "assembly", sym_visibility = "public"} : () -> ()

// LLVM aborts the process on constraints for operands that are not there.
// ABORT: translate-invalid.mlir: error: kernel 'abort' for nvidia:sm_90: Triton: the compiler crashed (SIGABRT): {{.+}}
// TIMEOUT: translate-invalid.mlir: error: kernel 'abort' for nvidia:sm_90: Triton: the compilation did not finish within 0.01 s
"tt.func"() ({
^bb0(%o: !tt.ptr<i32>):
  %x = arith.constant 1 : i32
  %y = "tt.elementwise_inline_asm"(%x) {asm_string = "mov.u32 $0, $1;", constraints = "=r,r,r,r",
    packed_element = 1 : i32, pure = true} : (i32) -> i32
  "tt.store"(%o, %y) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32} : (!tt.ptr<i32>, i32) -> ()
  "tt.return"() : () -> ()
}) {function_type = (!tt.ptr<i32>) -> (), noinline = false, sym_name = "abort", sym_visibility = "public"} : () -> ()
