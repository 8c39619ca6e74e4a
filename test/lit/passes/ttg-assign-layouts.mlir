// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-assign-layouts | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-assign-layouts=arch=100 | FileCheck %s --check-prefix=ARCH

// ARCH: module attributes {{{.*}}ttg.target = "cuda:100"

// A step of softmax. Scores have the layout of the instruction for 16 columns, the accumulator that for 32. Constants,
// numbers of rows and keys and the mask are made in the layout of the scores, and so is the maximum of a row, a slice
// of it. Two values go to the layout of the accumulator: the factor of a row, and the weights, a factor in registers.
// The factors in shared memory stay there. Where the accumulator is 0, the product does not add to it.
// CHECK:       module attributes {"ttg.num-ctas" = 1 : i32, "ttg.num-warps" = 4 : i32, ttg.target = "cuda:90", "ttg.threads-per-warp" = 32 : i32}
// CHECK:         %[[QS:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<64x32xbf16
// CHECK:         %[[KS:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<16x32xbf16
// CHECK:         "ttg.warp_specialize"
// CHECK-NOT:       "ttg.local_load"
// CHECK:           "tt.make_range"() {end = 64 : i32, start = 0 : i32} : () -> tensor<64xi32, #ttg.slice<{dim = 1, parent = [[SCORES:#ttg.nvidia_mma<.versionMajor = 3, versionMinor = 0, warpsPerCTA = .4, 1., instrShape = .16, 16, 16..>]]}>>
// CHECK:           "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32, #ttg.slice<{dim = 0, parent = [[SCORES]]}>>
// CHECK:           scf.for {{.*}} -> (tensor<64xf32, #ttg.slice<{dim = 1, parent = [[SCORES]]}>>, tensor<64x32xf32, [[SUMS:#ttg.nvidia_mma<.versionMajor = 3, versionMinor = 0, warpsPerCTA = .4, 1., instrShape = .16, 32, 16..>]]>)
// CHECK:             %[[KT:[^ ]+]] = "ttg.memdesc_trans"(%[[KS]]) {order = array<i32: 1, 0>}
// CHECK:             %[[NO:[^ ]+]] = arith.constant false
// CHECK:             %[[BEGUN:[^ ]+]] = "ttng.warp_group_dot"(%[[QS]], %[[KT]], %{{[^ ]+}}, %[[NO]]) {inputPrecision = 0 : i32, isAsync = true, maxNumImpreciseAcc = 0 : i32} : {{.*}} -> tensor<64x16xf32, [[SCORES]]>
// CHECK-NEXT:        %[[S:[^ ]+]] = "ttng.warp_group_dot_wait"(%[[BEGUN]]) {pendings = 0 : i32}
// CHECK:             "tt.broadcast"({{.*}} -> tensor<64x16xi32, [[SCORES]]>
// CHECK:             "tt.broadcast"({{.*}} -> tensor<64x16xi32, [[SCORES]]>
// CHECK:             %[[MASK:[^ ]+]] = arith.cmpi sge, {{.*}} : tensor<64x16xi32, [[SCORES]]>
// CHECK:             %[[T:[^ ]+]] = arith.select %[[MASK]], %[[S]], %{{[^ ]+}} : {{.*}}, tensor<64x16xf32, [[SCORES]]>
// CHECK-NOT:         "ttg.convert_layout"
// CHECK:             "tt.reduce"(%[[T]])
// CHECK:             -> tensor<64xf32, #ttg.slice<{dim = 1, parent = [[SCORES]]}>>
// CHECK:             "ttg.convert_layout"({{.*}} -> tensor<64xf32, #ttg.slice<{dim = 1, parent = [[SUMS]]}>>
// CHECK:             %[[C:[^ ]+]] = arith.mulf {{.*}} : tensor<64x32xf32, [[SUMS]]>
// CHECK:             %[[W:[^ ]+]] = "ttg.convert_layout"({{.*}} -> tensor<64x16xbf16, #ttg.dot_op<{opIdx = 0, parent = [[SUMS]], kWidth = 2}>>
// CHECK:             %[[YES:[^ ]+]] = arith.constant true
// CHECK:             "ttng.warp_group_dot"(%[[W]], %[[KS]], %[[C]], %[[YES]])
// CHECK-NEXT:        "ttng.warp_group_dot_wait"
// CHECK-NOT:         "ttg.convert_layout"
// CHECK:           "ttg.local_store"(%{{[^ ]+}}, %[[QS]]) : (tensor<64x32xbf16, [[SUMS]]>,
// CHECK:           "ttg.warp_yield"
// CHECK:           "test.copies"
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%n: i32, %yes: i1):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%n, %qs, %ks) ({
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %zero = arith.constant dense<0.0> : tensor<64x32xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %low = arith.constant dense<0xFF800000> : tensor<64xf32>
    %rows = "tt.make_range"() {start = 0 : i32, end = 64 : i32} : () -> tensor<64xi32>
    %numbers = "tt.make_range"() {start = 0 : i32, end = 16 : i32} : () -> tensor<16xi32>
    %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%m = %low, %a = %zero) -> (tensor<64xf32>, tensor<64x32xf32>) : i32 {
      %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
      %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
      %s = "tt.dot"(%q, %kt, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
      %ra = "tt.expand_dims"(%rows) {axis = 1 : i32} : (tensor<64xi32>) -> tensor<64x1xi32>
      %rb = "tt.broadcast"(%ra) : (tensor<64x1xi32>) -> tensor<64x16xi32>
      %ka = "tt.expand_dims"(%numbers) {axis = 0 : i32} : (tensor<16xi32>) -> tensor<1x16xi32>
      %kb = "tt.broadcast"(%ka) : (tensor<1x16xi32>) -> tensor<64x16xi32>
      %mask = arith.cmpi sge, %rb, %kb : tensor<64x16xi32>
      %inf = arith.constant dense<0xFF800000> : tensor<64x16xf32>
      %t = arith.select %mask, %s, %inf : tensor<64x16xi1>, tensor<64x16xf32>
      %max = "tt.reduce"(%t) ({
      ^bb0(%x: f32, %y: f32):
        %z = arith.maximumf %x, %y : f32
        "tt.reduce.return"(%z) : (f32) -> ()
      }) {axis = 1 : i32} : (tensor<64x16xf32>) -> tensor<64xf32>
      %next = arith.maximumf %m, %max : tensor<64xf32>
      %column = "tt.expand_dims"(%next) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
      %factor = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x32xf32>
      %scaled = arith.mulf %a, %factor : tensor<64x32xf32>
      %w = arith.truncf %t : tensor<64x16xf32> to tensor<64x16xbf16>
      %o = "tt.dot"(%w, %k, %scaled) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>) -> tensor<64x32xf32>
      scf.yield %next, %o : tensor<64xf32>, tensor<64x32xf32>
    }
    %out = arith.truncf %r#1 : tensor<64x32xf32> to tensor<64x32xbf16>
    "ttg.local_store"(%out, %qs) : (tensor<64x32xbf16>, !rows) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (i32, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = (i32, i1) -> (), sym_name = "k"} : () -> ()

// -----

// In a branch both factors are read into registers, for the warp-wide instruction; what comes from outside is converted,
// and so is what the branch yields. What is stored has the layout of the value.
// CHECK:       "tt.func"
// CHECK:         "ttg.warp_specialize"
// CHECK:           %[[S:[^ ]+]] = "ttng.warp_group_dot_wait"({{.*}} -> tensor<64x16xf32, [[SCORES:#ttg.nvidia_mma<.versionMajor = 3.*]]>
// CHECK:           %[[R:[^ ]+]] = scf.if {{.*}} -> (tensor<64x16xf32, [[SCORES]]>)
// CHECK-NEXT:        scf.yield %[[S]]
// CHECK-NEXT:      } else {
// CHECK-DAG:         "ttg.local_load"({{.*}} -> tensor<64x32xbf16, #ttg.dot_op<{opIdx = 0, parent = #ttg.nvidia_mma<{versionMajor = 2,
// CHECK-DAG:         "ttg.local_load"({{.*}} -> tensor<32x16xbf16, #ttg.dot_op<{opIdx = 1, parent = #ttg.nvidia_mma<{versionMajor = 2,
// CHECK-DAG:         "ttg.convert_layout"(%[[S]]) : {{.*}} -> tensor<64x16xf32, #ttg.nvidia_mma<{versionMajor = 2,
// CHECK:             "tt.dot"
// CHECK:             %[[BACK:[^ ]+]] = "ttg.convert_layout"({{.*}} -> tensor<64x16xf32, [[SCORES]]>
// CHECK:             scf.yield %[[BACK]]
// CHECK:           "tt.splat"({{.*}} -> tensor<64x16x!tt.ptr<f32>, [[SCORES]]>
// CHECK:           "tt.store"(%{{[^ ]+}}, %[[R]])
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%n: i32, %yes: i1, %to: !tt.ptr<f32>):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%n, %qs, %ks) ({
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %zero = arith.constant dense<0.0> : tensor<64x32xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %low = arith.constant dense<0.0> : tensor<64x16xf32>
    %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %again = scf.if %yes -> (tensor<64x16xf32>) {
      scf.yield %s : tensor<64x16xf32>
    } else {
      %q2 = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
      %k2 = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
      %kt2 = "tt.trans"(%k2) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
      %twice = "tt.dot"(%q2, %kt2, %s) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
      scf.yield %twice : tensor<64x16xf32>
    }
    %places = "tt.splat"(%to) : (!tt.ptr<f32>) -> tensor<64x16x!tt.ptr<f32>>
    "tt.store"(%places, %again) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32} : (tensor<64x16x!tt.ptr<f32>>, tensor<64x16xf32>) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%np: i32, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (i32, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = (i32, i1) -> (), sym_name = "k"} : () -> ()

// -----

// Triton gives layouts to kernels without products.
// CHECK:       "tt.func"
// CHECK:         "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32>
// CHECK:         sym_name = "lists", tt_host.without_layouts
"tt.func"() ({
^bb0(%to: tensor<16x!tt.ptr<i32>>):
  %n = "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32>
  "tt.store"(%to, %n) : (tensor<16x!tt.ptr<i32>>, tensor<16xi32>) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "lists"} : () -> ()

// -----

// What is read for each key is read once, an element by a thread, and spread over the columns of the scores.
// CHECK:       "tt.func"
// CHECK:         "ttg.warp_specialize"
// CHECK:           "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32, [[EACH:#ttg.blocked<.*order = .0.}>]]>
// CHECK:           %[[READ:[^ ]+]] = "tt.load"({{.*}} -> tensor<16xf32, [[EACH]]>
// CHECK:           %[[KEYS:[^ ]+]] = "ttg.convert_layout"(%[[READ]]) : (tensor<16xf32, [[EACH]]>) -> tensor<16xf32, #ttg.slice<{dim = 0, parent = #ttg.nvidia_mma<{versionMajor = 3
// CHECK:           "tt.expand_dims"(%[[KEYS]])
!rows = !ttg.memdesc<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
!keys = !ttg.memdesc<16x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>, #ttg.shared_memory, mutable>
"tt.func"() ({
^bb0(%from: !tt.ptr<f32>, %to: !tt.ptr<f32>):
  %qs = "ttg.local_alloc"() : () -> !rows
  %ks = "ttg.local_alloc"() : () -> !keys
  "ttg.warp_specialize"(%from, %to, %qs, %ks) ({
    %none = arith.constant dense<0.0> : tensor<64x16xf32>
    %q = "ttg.local_load"(%qs) : (!rows) -> tensor<64x32xbf16>
    %k = "ttg.local_load"(%ks) : (!keys) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) {inputPrecision = 0 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    %j = "tt.make_range"() {end = 16 : i32, start = 0 : i32} : () -> tensor<16xi32>
    %base = "tt.splat"(%from) : (!tt.ptr<f32>) -> tensor<16x!tt.ptr<f32>>
    %at = "tt.addptr"(%base, %j) : (tensor<16x!tt.ptr<f32>>, tensor<16xi32>) -> tensor<16x!tt.ptr<f32>>
    %bias = "tt.load"(%at) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32, isVolatile = false, operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<16x!tt.ptr<f32>>) -> tensor<16xf32>
    %row = "tt.expand_dims"(%bias) {axis = 0 : i32} : (tensor<16xf32>) -> tensor<1x16xf32>
    %all = "tt.broadcast"(%row) : (tensor<1x16xf32>) -> tensor<64x16xf32>
    %sum = arith.addf %s, %all : tensor<64x16xf32>
    %places = "tt.splat"(%to) : (!tt.ptr<f32>) -> tensor<64x16x!tt.ptr<f32>>
    "tt.store"(%places, %sum) {boundaryCheck = array<i32>, cache = 1 : i32, evict = 1 : i32} : (tensor<64x16x!tt.ptr<f32>>, tensor<64x16xf32>) -> ()
    "ttg.warp_yield"() : () -> ()
  }, {
    "ttg.warp_specialize.partitions"() ({
    ^bb0(%fp: !tt.ptr<f32>, %tp: !tt.ptr<f32>, %qp: !rows, %kp: !keys):
      "test.copies"(%qp, %kp) : (!rows, !keys) -> ()
      "ttg.warp_return"() : () -> ()
    }) : () -> ()
  }) {partitionNumWarps = array<i32: 1>, requestedRegisters = array<i32: 24>} : (!tt.ptr<f32>, !tt.ptr<f32>, !rows, !keys) -> ()
  "tt.return"() : () -> ()
}) {function_type = () -> (), sym_name = "k"} : () -> ()
