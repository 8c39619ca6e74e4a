// RUN: aec-opt %s --allow-unregistered-dialect --ttg-order-groups | FileCheck %s

// One group takes no turns.
// CHECK-LABEL: "tt.func"
// CHECK:         "ttg.warp_specialize"
// CHECK-NOT:     "tt.elementwise_inline_asm"
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
"tt.func"() ({
^bb0(%q: !rows, %k: !tile):
  "ttg.warp_specialize"(%q, %k) ({
    %yes = arith.constant true
    %none = arith.constant dense<0.0> : !sums
    %sb = "ttng.warp_group_dot"(%q, %k, %none, %yes) {isAsync = true} : (!rows, !tile, !sums, i1) -> !sums
    %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
    "test.use"(%s) : (!sums) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%qp: !rows, %kp: !tile):
      "test.copy"(%kp) : (!tile) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (!rows, !tile) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()
