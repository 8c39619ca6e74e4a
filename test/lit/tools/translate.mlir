// aec-translate on a module that holds kernels already: each form, the report, and what an output file gets.
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=tt | FileCheck %s --check-prefix=TT
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=tt --kernel=f_1 | FileCheck %s --check-prefix=TEXT
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=ttg | FileCheck %s --check-prefix=TTG
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=llvm --kernel=f_1 | FileCheck %s --check-prefix=LLVM
// RUN: aec-translate %s --target=nvidia:sm_80 --emit=ptx --kernel=f_0 | FileCheck %s --check-prefix=PTX80
// RUN: aec-translate %s --target=nvidia:sm_90 --emit=ptx --kernel=f_0 | FileCheck %s --check-prefix=PTX90
// RUN: aec-translate - --target=nvidia:sm_100 --emit=ptx --kernel=f_0 < %s | FileCheck %s --check-prefix=PTX100
// RUN: aec-translate %s --target=nvidia:sm_90 --emit=sass --kernel=f_0 --report 2> %t.report | FileCheck %s --check-prefix=SASS90
// RUN: FileCheck %s --check-prefix=REPORT --input-file %t.report
// RUN: aec-translate %s --target=nvidia:sm_90 --emit=cubin -o %t/ && FileCheck %s --check-prefix=MANIFEST --input-file %t/kernels.json
// RUN: test -s %t/f_0.cubin && test -s %t/f_1.cubin
// RUN: aec-translate %s --target=nvidia:sm_90 --report --json --kernel=f_1 --option=num_warps=2 | FileCheck %s --check-prefix=JSON
// REQUIRES: triton

// The host function stays in the module, and what is for the host's compiler does not reach Triton.
// TT: func.func @f
// TT: sym_name = "f_0"
// TT-SAME: tt_host.num_warps = 8 : i32
// TEXT-NOT: tt_host
// TEXT: sym_name = "f_1"
// TEXT-NOT: f_0

// TTG: // kernel f_0
// TTG: "ttg.num-warps" = 8 : i32
// TTG: tt.func public @f_0
// TTG: // kernel f_1
// TTG: "ttg.num-warps" = 4 : i32
// TTG: tt.func public @f_1

// LLVM: define ptx_kernel void @f_1(

// PTX80: .target sm_80
// PTX80: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX90: .target sm_90a
// PTX90: wgmma.mma_async.sync.aligned
// PTX100: .target sm_100a
// PTX100: tcgen05.mma.cta_group::1.kind::f16

// SASS90: HGMMA.64x

// REPORT: kernel f_0 for nvidia:sm_90
// REPORT-NEXT: warps 8
// REPORT-NEXT: registers {{[0-9]+}} of a thread
// REPORT-NEXT: spills 0 bytes stored, 0 bytes loaded
// REPORT-NEXT: shared memory {{[0-9]+}} bytes
// REPORT-NEXT: blocks of an SM {{[0-9]+}}, {{[0-9]+}}% of its warps
// REPORT-NEXT: limited by
// REPORT-NEXT: kernel main loop
// REPORT: wgmma

// MANIFEST: "f_0": {
// MANIFEST-NEXT: "file": "f_0.cubin",
// MANIFEST-NEXT: "target": "nvidia:sm_90",
// MANIFEST-NEXT: "threads": 256,
// MANIFEST-NEXT: "shared_bytes": {{[1-9][0-9]+}},
// MANIFEST-NEXT: "scratch_pointers": 2
// MANIFEST: "f_1": {
// MANIFEST: "threads": 128,
// MANIFEST-NEXT: "shared_bytes": 0,

// JSON: "kernel": "f_1"
// JSON: "num_warps": 2
// JSON: "limited_by": [
// JSON-NEXT: "warps",
// JSON-NEXT: "blocks"
// JSON: "loops": []

func.func @f(%a: tensor<?xbf16>, %o: tensor<?xf32>, %n: index) -> (tensor<?xf32>, tensor<?xbf16>) {
  %one = arith.constant 1 : index
  %sum = "tt_host.launch"(%one, %one, %one, %a, %a, %o, %n) {kernel = @f_0, outputs = array<i64: 2>}
    : (index, index, index, tensor<?xbf16>, tensor<?xbf16>, tensor<?xf32>, index) -> tensor<?xf32>
  %copy = "tt_host.launch"(%one, %one, %one, %a, %a) {kernel = @f_1, outputs = array<i64: 1>}
    : (index, index, index, tensor<?xbf16>, tensor<?xbf16>) -> tensor<?xbf16>
  return %sum, %copy : tensor<?xf32>, tensor<?xbf16>
}

// The sum of products of n tiles, 64 rows each.
"tt.func"() ({
^bb0(%a: !tt.ptr<bf16>, %b: !tt.ptr<bf16>, %o: !tt.ptr<f32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %size = arith.constant dense<4096> : tensor<64x64xi32>
  %width = arith.constant dense<64> : tensor<64x1xi32>
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %range = "tt.make_range"() {end = 64 : i32, start = 0 : i32} : () -> tensor<64xi32>
  %rows = "tt.expand_dims"(%range) {axis = 1 : i32} : (tensor<64xi32>) -> tensor<64x1xi32>
  %columns = "tt.expand_dims"(%range) {axis = 0 : i32} : (tensor<64xi32>) -> tensor<1x64xi32>
  %starts = arith.muli %rows, %width : tensor<64x1xi32>
  %starts2 = "tt.broadcast"(%starts) : (tensor<64x1xi32>) -> tensor<64x64xi32>
  %columns2 = "tt.broadcast"(%columns) : (tensor<1x64xi32>) -> tensor<64x64xi32>
  %offsets = arith.addi %starts2, %columns2 : tensor<64x64xi32>
  %as = "tt.splat"(%a) : (!tt.ptr<bf16>) -> tensor<64x64x!tt.ptr<bf16>>
  %bs = "tt.splat"(%b) : (!tt.ptr<bf16>) -> tensor<64x64x!tt.ptr<bf16>>
  %a0 = "tt.addptr"(%as, %offsets)
    : (tensor<64x64x!tt.ptr<bf16>>, tensor<64x64xi32>) -> tensor<64x64x!tt.ptr<bf16>>
  %b0 = "tt.addptr"(%bs, %offsets)
    : (tensor<64x64x!tt.ptr<bf16>>, tensor<64x64xi32>) -> tensor<64x64x!tt.ptr<bf16>>
  %sum, %an, %bn = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zero, %ap = %a0, %bp = %b0)
      -> (tensor<64x64xf32>, tensor<64x64x!tt.ptr<bf16>>, tensor<64x64x!tt.ptr<bf16>>) : i32 {
    %x = "tt.load"(%ap) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32, isVolatile = false,
      operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<64x64x!tt.ptr<bf16>>) -> tensor<64x64xbf16>
    %y = "tt.load"(%bp) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32, isVolatile = false,
      operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<64x64x!tt.ptr<bf16>>) -> tensor<64x64xbf16>
    %d = "tt.dot"(%x, %y, %acc) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32}
      : (tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
    %a1 = "tt.addptr"(%ap, %size)
      : (tensor<64x64x!tt.ptr<bf16>>, tensor<64x64xi32>) -> tensor<64x64x!tt.ptr<bf16>>
    %b1 = "tt.addptr"(%bp, %size)
      : (tensor<64x64x!tt.ptr<bf16>>, tensor<64x64xi32>) -> tensor<64x64x!tt.ptr<bf16>>
    scf.yield %d, %a1, %b1 : tensor<64x64xf32>, tensor<64x64x!tt.ptr<bf16>>, tensor<64x64x!tt.ptr<bf16>>
  }
  %os = "tt.splat"(%o) : (!tt.ptr<f32>) -> tensor<64x64x!tt.ptr<f32>>
  %op = "tt.addptr"(%os, %offsets)
    : (tensor<64x64x!tt.ptr<f32>>, tensor<64x64xi32>) -> tensor<64x64x!tt.ptr<f32>>
  "tt.store"(%op, %sum) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32}
    : (tensor<64x64x!tt.ptr<f32>>, tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [{tt.divisibility = 16 : i32}, {tt.divisibility = 16 : i32}, {tt.divisibility = 16 : i32}, {}],
    function_type = (!tt.ptr<bf16>, !tt.ptr<bf16>, !tt.ptr<f32>, i32) -> (), noinline = false,
    sym_name = "f_0", sym_visibility = "public", tt_host.num_warps = 8 : i32} : () -> ()

"tt.func"() ({
^bb0(%a: !tt.ptr<bf16>, %o: !tt.ptr<bf16>):
  %range = "tt.make_range"() {end = 128 : i32, start = 0 : i32} : () -> tensor<128xi32>
  %as = "tt.splat"(%a) : (!tt.ptr<bf16>) -> tensor<128x!tt.ptr<bf16>>
  %ap = "tt.addptr"(%as, %range) : (tensor<128x!tt.ptr<bf16>>, tensor<128xi32>) -> tensor<128x!tt.ptr<bf16>>
  %x = "tt.load"(%ap) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32, isVolatile = false,
    operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<128x!tt.ptr<bf16>>) -> tensor<128xbf16>
  %os = "tt.splat"(%o) : (!tt.ptr<bf16>) -> tensor<128x!tt.ptr<bf16>>
  %op = "tt.addptr"(%os, %range) : (tensor<128x!tt.ptr<bf16>>, tensor<128xi32>) -> tensor<128x!tt.ptr<bf16>>
  "tt.store"(%op, %x) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32}
    : (tensor<128x!tt.ptr<bf16>>, tensor<128xbf16>) -> ()
  "tt.return"() : () -> ()
}) {function_type = (!tt.ptr<bf16>, !tt.ptr<bf16>) -> (), noinline = false, sym_name = "f_1",
    sym_visibility = "public"} : () -> ()
