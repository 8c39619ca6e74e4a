// aec-translate has the forms of both roads to AMD's chips, the report, and code objects.
// RUN: aec-translate %s --target=amd:gfx942 --emit=tt --option=block_q=32 --option=waves=2 --option=num_stages=1 | FileCheck %s --check-prefix=TT
// RUN: aec-translate %s --target=amd:gfx942 --emit=ttg --option=road=triton --option=block_q=64 --option=matrix_rows=16 | FileCheck %s --check-prefix=TTG
// RUN: aec-translate %s --target=amd:gfx90a --emit=llvm --option=road=triton --option=block_q=64 | FileCheck %s --check-prefix=LLVM
// RUN: aec-translate %s --target=amd:gfx950 --emit=asm --option=road=triton --option=block_q=64 | FileCheck %s --check-prefix=ASM950
// RUN: aec-translate %s --target=amd:gfx942 --emit=vector --option=road=mlir --option=block_q=64 | FileCheck %s --check-prefix=VECTOR
// RUN: aec-translate %s --target=amd:gfx942 --emit=gpu --option=road=mlir --option=block_q=64 | FileCheck %s --check-prefix=GPU
// RUN: aec-translate %s --target=amd:gfx942 --emit=rocdl --option=road=mlir --option=block_q=64 | FileCheck %s --check-prefix=ROCDL
// RUN: aec-translate %s --target=amd:gfx942 --emit=llvm --option=road=mlir --option=block_q=64 | FileCheck %s --check-prefix=LLVM
// RUN: aec-translate %s --target=amd:gfx90a --emit=asm --option=road=mlir --option=block_q=64 --report 2> %t.report | FileCheck %s --check-prefix=ASM90A
// RUN: FileCheck %s --check-prefix=REPORT --input-file %t.report
// RUN: aec-translate %s --target=amd:gfx942 --emit=hsaco --option=block_q=32 -o %t/ && FileCheck %s --check-prefix=MANIFEST --input-file %t/kernels.json
// RUN: test -s %t/attention_0.hsaco
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=amd:gfx942 --emit=ptx 2>&1 | FileCheck %s --check-prefix=PTX
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=amd:gfx942 --emit=gpu --option=road=triton 2>&1 | FileCheck %s --check-prefix=ROAD
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=amd:gfx942 --emit=ttg --option=road=mlir 2>&1 | FileCheck %s --check-prefix=LAYOUTS
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=hsaco 2>&1 | FileCheck %s --check-prefix=NVIDIA
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=amd:gfx942 --emit=asm --option=waves=3 2>&1 | FileCheck %s --check-prefix=VALUE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=amd:gfx1100 --emit=asm 2>&1 | FileCheck %s --check-prefix=CHIP
// REQUIRES: triton

// TT: func.func @attention
// TT: arith.constant 32 : index
// TT: "tt_host.launch"({{.+}}) {kernel = @attention_0,
// TT: "tt.func"
// TT-NOT: tt.elementwise_inline_asm
// TT: sym_name = "attention_0"
// TT-SAME: tt_host.num_stages = 1 : i32
// TT-SAME: tt_host.num_warps = 2 : i32

// TTG: ttg.target = "hip:gfx942"
// TTG: tt.func public @attention_0

// LLVM: define amdgpu_kernel void @attention_0(

// ASM950: v_mfma_f32_{{[0-9x]+}}_bf16
// ASM90A: v_mfma_f32_16x16x16bf16_1k

// VECTOR: func.func @attention
// VECTOR: gpu.func @attention_0
// VECTOR: vector.contract
// GPU: gpu.func @attention_0
// GPU: amdgpu.mfma
// ROCDL: llvm.func @attention_0
// ROCDL: rocdl.mfma

// REPORT: kernel attention_0 for amd:gfx90a
// REPORT: waves
// REPORT: registers
// REPORT: scratch
// REPORT-NEXT: LDS {{ +}}[[LDS:[0-9]+]] of 65536 bytes
// REPORT-NEXT: predicted {{ +[0-9]+}} vector registers, [[LDS]] bytes of LDS
// REPORT: matrix

// MANIFEST: "attention_0": {
// MANIFEST-NEXT: "file": "attention_0.hsaco",
// MANIFEST-NEXT: "target": "amd:gfx942",
// MANIFEST-NEXT: "threads": 256,

// PTX: aec-translate: error: --emit=ptx: target 'amd:gfx942' has the forms
// ROAD: aec-translate: error: --emit=gpu: target 'amd:gfx942' has the forms tt, ttg, llvm, asm, hsaco, archive on the road 'triton'
// LAYOUTS: aec-translate: error: --emit=ttg: target 'amd:gfx942' has the forms tt, vector, gpu, rocdl, llvm, asm, hsaco, archive on the road 'mlir'
// NVIDIA: aec-translate: error: --emit=hsaco: target 'nvidia:sm_90' has the forms tt, ttg, llvm, ptx, cubin, sass, archive
// VALUE: aec-translate: error: --option: expects waves to be one of 1, 2, 4, 8, 16, or 0 to choose, got 3
// CHIP: aec-translate: error: unknown target 'amd:gfx1100' (targets: amd:gfx90a, amd:gfx942, amd:gfx950)

func.func @attention(%q: tensor<?x4x?x64xbf16>, %k: tensor<?x4x?x64xbf16>, %v: tensor<?x4x?x64xbf16>)
    -> tensor<?x4x?x64xbf16> {
  %scale = arith.constant 0.125 : f32
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x64xbf16>, tensor<?x4x?x64xbf16>, tensor<?x4x?x64xbf16>) -> tensor<?x4x?x64xbf16>
  return %o : tensor<?x4x?x64xbf16>
}
