// RUN: aec-opt %s --allow-unregistered-dialect --ttg-order-groups | FileCheck %s

// Two groups, with barriers 8 and 9. Before the products of a step, which read rows from shared memory, a group waits at
// its own; behind them, before it waits for one, it lets the other begin. The last group lets the first begin. A product
// that adds weights after the loop is no step.
// CHECK-LABEL: "tt.func"
// CHECK:         "ttg.warp_specialize"
// CHECK:           %[[A8:[^ ]+]] = arith.constant 8 : i32
// CHECK-NEXT:      %[[A256:[^ ]+]] = arith.constant 256 : i32
// CHECK-NEXT:      "tt.elementwise_inline_asm"(%[[A8]], %[[A256]]) {asm_string = "bar.sync $1, $2; mov.u32 $0, 0;", constraints = "=r,n,n", packed_element = 1 : i32, pure = false}
// CHECK-NEXT:      "ttng.warp_group_dot"(%[[Q:[^ ,]+]],
// CHECK-NEXT:      %[[A9:[^ ]+]] = arith.constant 9 : i32
// CHECK-NEXT:      %[[N256:[^ ]+]] = arith.constant 256 : i32
// CHECK-NEXT:      "tt.elementwise_inline_asm"(%[[A9]], %[[N256]]) {asm_string = "bar.arrive $1, $2; mov.u32 $0, 0;"
// CHECK-NEXT:      "ttng.warp_group_dot_wait"
// CHECK:           scf.for
// CHECK:             "bar.sync $1, $2; mov.u32 $0, 0;"
// CHECK-NEXT:        "ttng.warp_group_dot"(%[[Q]],
// CHECK-NEXT:        "ttng.warp_group_dot"
// CHECK:             "bar.arrive $1, $2; mov.u32 $0, 0;"
// CHECK-NEXT:        "ttng.warp_group_dot_wait"
// CHECK-NOT:       "bar.
// CHECK:           "ttng.warp_group_dot"
// CHECK-NEXT:      "ttng.warp_group_dot_wait"
// CHECK-NOT:       "bar.
// CHECK:           "ttg.warp_yield"
// CHECK:         ^bb0
// CHECK-NEXT:      %[[B8:[^ ]+]] = arith.constant 8 : i32
// CHECK-NEXT:      %[[M256:[^ ]+]] = arith.constant 256 : i32
// CHECK-NEXT:      "tt.elementwise_inline_asm"(%[[B8]], %[[M256]]) {asm_string = "bar.arrive $1, $2; mov.u32 $0, 0;"
// CHECK:           %[[B9:[^ ]+]] = arith.constant 9 : i32
// CHECK:           "tt.elementwise_inline_asm"(%[[B9]], %{{[^ ]+}}) {asm_string = "bar.sync $1, $2; mov.u32 $0, 0;"
// CHECK-NEXT:      "ttng.warp_group_dot"
// CHECK-NEXT:      %[[C8:[^ ]+]] = arith.constant 8 : i32
// CHECK:           "tt.elementwise_inline_asm"(%[[C8]], %{{[^ ]+}}) {asm_string = "bar.arrive $1, $2; mov.u32 $0, 0;"
// CHECK-NEXT:      "ttng.warp_group_dot_wait"
// CHECK:           "ttg.warp_return"
// CHECK:         ^bb0
// CHECK-NOT:       "bar.
// CHECK:           "ttg.warp_return"
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!weights = tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>, kWidth = 2}>>
"tt.func"() ({
^bb0(%n: i32, %q: !rows, %k: !tile):
  "ttg.warp_specialize"(%n, %q, %k) ({
    %yes = arith.constant true
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : !sums
    %sb = "ttng.warp_group_dot"(%q, %k, %none, %yes) {isAsync = true} : (!rows, !tile, !sums, i1) -> !sums
    %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
    %w = "test.weights"(%s) : (!sums) -> !weights
    %a = scf.for %i = %c0 to %n step %c1 iter_args(%o = %none) -> (!sums) : i32 {
      %tb = "ttng.warp_group_dot"(%q, %k, %none, %yes) {isAsync = true} : (!rows, !tile, !sums, i1) -> !sums
      %ob = "ttng.warp_group_dot"(%w, %k, %o, %yes) {isAsync = true} : (!weights, !tile, !sums, i1) -> !sums
      %t = "ttng.warp_group_dot_wait"(%tb) {pendings = 1 : i32} : (!sums) -> !sums
      %u = "ttng.warp_group_dot_wait"(%ob) {pendings = 0 : i32} : (!sums) -> !sums
      scf.yield %u : !sums
    }
    %lb = "ttng.warp_group_dot"(%w, %k, %a, %yes) {isAsync = true} : (!weights, !tile, !sums, i1) -> !sums
    %l = "ttng.warp_group_dot_wait"(%lb) {pendings = 0 : i32} : (!sums) -> !sums
    "test.use"(%l) : (!sums) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !tile):
      %yes = arith.constant true
      %none = arith.constant dense<0.0> : !sums
      %sb = "ttng.warp_group_dot"(%qp, %kp, %none, %yes) {isAsync = true} : (!rows, !tile, !sums, i1) -> !sums
      %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
      "test.use"(%s) : (!sums) -> ()
      "ttg.warp_return"() : () -> ()
    }, {
    ^bb0(%np: i32, %qp: !rows, %kp: !tile):
      "test.copy"(%kp) : (!tile) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 4, 1>, requestedRegisters = array<i32: 240, 24>} : (i32, !rows, !tile) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()
