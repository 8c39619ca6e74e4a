// aec-translate takes a program down the road of its target, with the options of its schedule.
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=tt --option=block_q=32 --option=num_warps=2 --option=num_stages=3 | FileCheck %s
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=ptx | FileCheck %s --check-prefix=PTX80
// RUN: aec-translate %s --target=nvidia:sm_90 --emit=ptx | FileCheck %s --check-prefix=PTX90
// RUN: aec-translate %s --target=nvidia:sm_100 --emit=ptx | FileCheck %s --check-prefix=PTX100
// RUN: aec-translate %s --target=nvidia:sm_90 --report --option=consumers=2 | FileCheck %s --check-prefix=REPORT
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=block_q=x 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=num_warps=3 2>&1 | FileCheck %s --check-prefix=VALUE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --function=g 2>&1 | FileCheck %s --check-prefix=FUNCTION
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=tt --option=tune=2 2>&1 | FileCheck %s --check-prefix=TUNE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --emit=archive --option=tune=2 -o %t.zip 2>&1 | FileCheck %s --check-prefix=TUNE
// RUN: sh %S/Inputs/status.sh 2 aec-translate %s --target=nvidia:sm_90 --report --option=tune=2 2>&1 | FileCheck %s --check-prefix=TUNE
// REQUIRES: triton

// CHECK: func.func @attention
// CHECK: arith.constant 32 : index
// CHECK: "tt_host.launch"({{.+}}) {kernel = @attention_0,
// CHECK: "tt.func"
// CHECK: sym_name = "attention_0"
// CHECK-SAME: tt_host.num_stages = 3 : i32
// CHECK-SAME: tt_host.num_warps = 2 : i32

// PTX80: .entry attention_0(
// PTX80: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX90: wgmma.mma_async.sync.aligned
// PTX100: tcgen05.mma.cta_group::1.kind::f16

// REPORT: kernel attention_0 for nvidia:sm_90
// REPORT-NEXT: warps 12
// REPORT: main loop
// REPORT: wgmma

// TYPE: aec-translate: error: --option: expects block_q to be of type int, got 'x' of type str
// VALUE: aec-translate: error: --option: expects num_warps to be one of
// TUNE: aec-translate: error: --option: unsupported: tune, which times schedules on a GPU (aec.compile does)
// FUNCTION: aec-translate: error: no function 'g' in the program (functions: attention)

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
