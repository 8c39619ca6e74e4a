// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-overlap-products | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-overlap-products=waits=at-use | FileCheck %s --check-prefixes=ATUSE
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-overlap-products=waits=together | FileCheck %s --check-prefixes=TOGETHER

// Both products of a turn are begun before the first is waited for, which leaves the second unfinished while weights
// are computed. What uses the second, its factor, comes last; then tiles may be overwritten.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: i32, %[[Q:[^:]+]]: !ttg.memdesc<64x16xbf16{{.*}}, %[[EMPTY:[^:]+]]: !ttg.memdesc<1xi64
// CHECK:         scf.for
// CHECK:           %[[S0:[^ ]+]] = "ttng.warp_group_dot"(%[[Q]],
// CHECK-NEXT:      %[[O0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:      %[[S:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[S0]]) {pendings = 1 : i32}
// CHECK-NEXT:      math.exp2 %[[S]]
// CHECK-NEXT:      "ttg.convert_layout"
// CHECK-NEXT:      %[[O:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[O0]]) {pendings = 0 : i32}
// CHECK-NEXT:      "ttng.arrive_barrier"(%[[EMPTY]],
// CHECK-NEXT:      arith.mulf %[[O]], %[[O]]
// CHECK-NEXT:      scf.yield

// At the first use, in the order of the program: products end in the order in which they were begun.
// ATUSE-LABEL: "tt.func"
// ATUSE:         scf.for
// ATUSE:           %[[S0:[^ ]+]] = "ttng.warp_group_dot"
// ATUSE-NEXT:      %[[O0:[^ ]+]] = "ttng.warp_group_dot"
// ATUSE-NEXT:      %[[BOTH:[^ ]+]]:2 = "ttng.warp_group_dot_wait"(%[[S0]], %[[O0]]) {pendings = 0 : i32}
// ATUSE-NEXT:      "ttng.arrive_barrier"
// ATUSE-NEXT:      arith.mulf %[[BOTH]]#1, %[[BOTH]]#1
// ATUSE-NEXT:      math.exp2 %[[BOTH]]#0

// TOGETHER-LABEL: "tt.func"
// TOGETHER:         scf.for
// TOGETHER:           "ttng.warp_group_dot_wait"(%{{[^ ]+}}, %{{[^ ]+}}) {pendings = 0 : i32}
// TOGETHER-NEXT:      "ttng.arrive_barrier"
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!bar = !ttg.memdesc<1xi64, #ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!weights = tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>, kWidth = 2}>>
"tt.func"() ({
^bb0(%n: i32, %q: !rows, %k: !tile, %v: !tile, %empty: !bar, %none: !sums, %w0: !weights):
  %yes = arith.constant true
  %no = arith.constant false
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%w = %w0, %a = %none) -> (!weights, !sums) : i32 {
    %sb = "ttng.warp_group_dot"(%q, %k, %none, %no) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
    %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
    %ob = "ttng.warp_group_dot"(%w, %v, %a, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!weights, !tile, !sums, i1) -> !sums
    %o = "ttng.warp_group_dot_wait"(%ob) {pendings = 0 : i32} : (!sums) -> !sums
    "ttng.arrive_barrier"(%empty, %yes) {count = 1 : i32} : (!bar, i1) -> ()
    %scaled = arith.mulf %o, %o : !sums
    %e = math.exp2 %s : !sums
    %next = "ttg.convert_layout"(%e) : (!sums) -> !weights
    scf.yield %next, %scaled : !weights, !sums
  }
  "test.use"(%r#0, %r#1) : (!weights, !sums) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Only the first is used before a third is begun: all are waited for one by one, each with what was begun since.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[A0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    %[[B0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    %[[A:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[A0]]) {pendings = 1 : i32}
// CHECK-NEXT:    "test.use"(%[[A]])
// CHECK-NEXT:    %[[C0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    %[[BC:[^ ]+]]:2 = "ttng.warp_group_dot_wait"(%[[B0]], %[[C0]]) {pendings = 0 : i32}
// CHECK-NEXT:    "ttng.arrive_barrier"
// CHECK-NEXT:    "test.use"(%[[BC]]#1)
// CHECK-NEXT:    "test.use"(%[[BC]]#0)

// TOGETHER-LABEL: "tt.func"
// TOGETHER:         "ttng.warp_group_dot_wait"(%{{[^ ]+}}, %{{[^ ]+}}) {pendings = 0 : i32}
// TOGETHER-NEXT:    "test.use"
// TOGETHER-NEXT:    "ttng.warp_group_dot"
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!bar = !ttg.memdesc<1xi64, #ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!weights = tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>, kWidth = 2}>>
"tt.func"() ({
^bb0(%n: i32, %q: !rows, %k: !tile, %v: !tile, %empty: !bar, %none: !sums, %w0: !weights):
  %yes = arith.constant true
  %no = arith.constant false
  %ab = "ttng.warp_group_dot"(%q, %k, %none, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %a = "ttng.warp_group_dot_wait"(%ab) {pendings = 0 : i32} : (!sums) -> !sums
  %bb = "ttng.warp_group_dot"(%q, %v, %none, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %b = "ttng.warp_group_dot_wait"(%bb) {pendings = 0 : i32} : (!sums) -> !sums
  "test.use"(%a) : (!sums) -> ()
  %cb = "ttng.warp_group_dot"(%q, %v, %none, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %c = "ttng.warp_group_dot_wait"(%cb) {pendings = 0 : i32} : (!sums) -> !sums
  "ttng.arrive_barrier"(%empty, %yes) {count = 1 : i32} : (!bar, i1) -> ()
  "test.use"(%c) : (!sums) -> ()
  "test.use"(%b) : (!sums) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// A branch that uses a product waits for it before, one that does not is run meanwhile.
// CHECK-LABEL: "tt.func"
// CHECK:         "test.first"
// CHECK-NEXT:    %[[A0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    scf.if
// CHECK-NEXT:      "test.other"
// CHECK:         %[[A:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[A0]]) {pendings = 0 : i32}
// CHECK-NEXT:    scf.if
// CHECK-NEXT:      "test.use"(%[[A]])
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!bar = !ttg.memdesc<1xi64, #ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!weights = tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>, kWidth = 2}>>
"tt.func"() ({
^bb0(%n: i32, %q: !rows, %k: !tile, %v: !tile, %empty: !bar, %none: !sums, %w0: !weights):
  %yes = arith.constant true
  %no = arith.constant false
  "test.first"() : () -> ()
  %ab = "ttng.warp_group_dot"(%q, %k, %none, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %a = "ttng.warp_group_dot_wait"(%ab) {pendings = 0 : i32} : (!sums) -> !sums
  scf.if %no {
    "test.other"() : () -> ()
  }
  scf.if %no {
    "test.use"(%a) : (!sums) -> ()
  }
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Values of single threads are handed to many after the first product has ended, though they do not use it.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[S0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    %[[O0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:    %[[S:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[S0]]) {pendings = 1 : i32}
// CHECK-NEXT:    %[[KEYS:[^ ]+]] = "ttg.convert_layout"
// CHECK-NEXT:    "test.use"(%[[KEYS]], %[[S]])
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!each = tensor<16xi32, #ttg.blocked<{sizePerThread = [1], threadsPerWarp = [32], warpsPerCTA = [4], order = [0]}>>
!columns = tensor<16xi32, #ttg.slice<{dim = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>}>>
"tt.func"() ({
^bb0(%q: !rows, %k: !tile, %none: !sums, %read: !each):
  %no = arith.constant false
  %sb = "ttng.warp_group_dot"(%q, %k, %none, %no) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
  %ob = "ttng.warp_group_dot"(%q, %k, %none, %no) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
  %o = "ttng.warp_group_dot_wait"(%ob) {pendings = 0 : i32} : (!sums) -> !sums
  %keys = "ttg.convert_layout"(%read) : (!each) -> !columns
  "test.use"(%keys, %s) : (!columns, !sums) -> ()
  "test.use"(%o) : (!sums) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "f"} : () -> ()

// -----

// Two products add to what the turn before has left: what uses either comes last, and each is waited for alone.
// CHECK-LABEL: "tt.func"
// CHECK:         scf.for
// CHECK:           %[[S0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:      %[[A0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:      %[[B0:[^ ]+]] = "ttng.warp_group_dot"
// CHECK-NEXT:      %[[S:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[S0]]) {pendings = 2 : i32}
// CHECK-NEXT:      math.exp2 %[[S]]
// CHECK-NEXT:      "ttg.convert_layout"
// CHECK-NEXT:      %[[A:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[A0]]) {pendings = 1 : i32}
// CHECK-NEXT:      arith.mulf %[[A]], %[[A]]
// CHECK-NEXT:      %[[B:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[B0]]) {pendings = 0 : i32}
// CHECK-NEXT:      "ttng.arrive_barrier"
// CHECK-NEXT:      arith.mulf %[[B]], %[[B]]
// CHECK-NEXT:      scf.yield
!tile = !ttg.memdesc<16x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!rows = !ttg.memdesc<64x16xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 32, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!bar = !ttg.memdesc<1xi64, #ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>, #ttg.shared_memory, mutable>
!sums = tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>>
!weights = tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 1], instrShape = [16, 16, 16]}>, kWidth = 2}>>
"tt.func"() ({
^bb0(%n: i32, %q: !rows, %k: !tile, %v0: !tile, %v1: !tile, %empty: !bar, %none: !sums, %w0: !weights):
  %yes = arith.constant true
  %no = arith.constant false
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %r:3 = scf.for %i = %c0 to %n step %c1 iter_args(%w = %w0, %a = %none, %b = %none) -> (!weights, !sums, !sums) : i32 {
    %sb = "ttng.warp_group_dot"(%q, %k, %none, %no) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!rows, !tile, !sums, i1) -> !sums
    %s = "ttng.warp_group_dot_wait"(%sb) {pendings = 0 : i32} : (!sums) -> !sums
    %ab = "ttng.warp_group_dot"(%w, %v0, %a, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!weights, !tile, !sums, i1) -> !sums
    %as = "ttng.warp_group_dot_wait"(%ab) {pendings = 0 : i32} : (!sums) -> !sums
    %bb = "ttng.warp_group_dot"(%w, %v1, %b, %yes) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : (!weights, !tile, !sums, i1) -> !sums
    %bs = "ttng.warp_group_dot_wait"(%bb) {pendings = 0 : i32} : (!sums) -> !sums
    "ttng.arrive_barrier"(%empty, %yes) {count = 1 : i32} : (!bar, i1) -> ()
    %x = arith.mulf %as, %as : !sums
    %y = arith.mulf %bs, %bs : !sums
    %e = math.exp2 %s : !sums
    %next = "ttg.convert_layout"(%e) : (!sums) -> !weights
    scf.yield %next, %x, %y : !weights, !sums, !sums
  }
  "test.use"(%r#0, %r#1, %r#2) : (!weights, !sums, !sums) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "pieces"} : () -> ()
