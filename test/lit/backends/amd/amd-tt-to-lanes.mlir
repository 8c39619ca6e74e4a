// RUN: aec-opt %s --allow-unregistered-dialect '--amd-tt-to-lanes=chip=gfx950 waves=2 matrix=16 xcds=4 near=true' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PIPELINE
// RUN: aec-opt %s --allow-unregistered-dialect '--amd-tt-to-lanes=prefetch=false sched-barriers=false priority=false' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s --check-prefix=PLAIN
// RUN: aec-opt %s --allow-unregistered-dialect --amd-tt-to-lanes | FileCheck %s

// PIPELINE:      builtin.module(convert-tt-to-vector,canonicalize,cse,
// PIPELINE-SAME: amd-order-grid{xcds=4},amd-use-unsigned,amd-merge-bounds,canonicalize,cse,amd-relax-maxima,amd-vote-nans,amd-extract-elements,
// PIPELINE-SAME: amd-prefetch-tiles,canonicalize,cse,
// PIPELINE-SAME: amd-distribute-tiles{chip=gfx950 waves=2 matrix=16 near=true},canonicalize,cse,loop-invariant-code-motion,
// PIPELINE-SAME: amd-place-barriers,amd-space-comparisons,amd-place-sched-barriers,amd-raise-priority)

// PLAIN: builtin.module(convert-tt-to-vector,canonicalize,cse,amd-use-unsigned,amd-merge-bounds,canonicalize,cse,amd-relax-maxima,amd-vote-nans,amd-extract-elements,canonicalize,cse,amd-distribute-tiles,canonicalize,cse,loop-invariant-code-motion,amd-place-barriers)

// 256 threads of 4 waves write one element each, and no operation of tt is left.
// CHECK-LABEL: gpu.func @write(
// CHECK-SAME:    amd.shared_bytes = 0 : i64
// CHECK-SAME:    known_block_size = array<i32: 256, 1, 1>
// CHECK:         %[[B:.+]] = rocdl.make.buffer.rsrc
// CHECK:         rocdl.raw.ptr.buffer.store %{{.*}}, %[[B]]
// CHECK-NOT:     tt.
"tt.func"() ({
^bb0(%p: !tt.ptr<i32>):
  %i = "tt.make_range"() {start = 0 : i32, end = 256 : i32} : () -> tensor<256xi32>
  %s = "tt.splat"(%p) : (!tt.ptr<i32>) -> tensor<256x!tt.ptr<i32>>
  %a = "tt.addptr"(%s, %i) : (tensor<256x!tt.ptr<i32>>, tensor<256xi32>) -> tensor<256x!tt.ptr<i32>>
  "tt.store"(%a, %i) {operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<256x!tt.ptr<i32>>, tensor<256xi32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "write", function_type = (!tt.ptr<i32>) -> (), arg_attrs = [{tt.divisibility = 16 : i32}]} : () -> ()
