// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --ttg-specialize-warps=stages=3 | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect '--ttg-specialize-warps=stages=2 programs=132 row-buffers=1' | FileCheck %s --check-prefix=FEW
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect '--ttg-specialize-warps=stages=2 programs=132' | FileCheck %s --check-prefix=TWO

// Two groups of warps with 64 of 128 rows each. The kernel has buffers for both halves of q, which the result goes
// through as well, a ring of three tiles of keys, and barriers: one copy completes a phase of `full`, two groups one of
// `empty`. Descriptors of rows copy 64 of them, and all know the layout in shared memory.
// CHECK-LABEL: func.func @host
// CHECK-SAME:    %[[N:[^:]+]]: index
// CHECK:         "tt_host.launch"(%[[N]], %[[N]], %[[N]], %[[N]], %{{[^ ]+}}, %{{[^ ]+}}) {
// CHECK:       "tt.func"
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: i32, %{{[^:]+}}: !tt.tensordesc<tensor<64x32xbf16, #ttg.nvmma_shared<{swizzlingByteWidth = 64, transposed = false, elementBitWidth = 16}>>>, %{{[^:]+}}: !tt.tensordesc<tensor<16x32xbf16, #ttg.nvmma_shared<{{.*}}>>>, %{{[^:]+}}: !tt.tensordesc<tensor<64x32xbf16, #ttg.nvmma_shared<{{.*}}>>>):
// CHECK-NEXT:    %[[QS:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<2x64x32xbf16,
// CHECK-NEXT:    %[[QFULL:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<2x1xi64,
// CHECK-NEXT:    %[[KS:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<3x16x32xbf16,
// CHECK-NEXT:    %[[KFULL:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<3x1xi64,
// CHECK-NEXT:    %[[EMPTY:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<3x1xi64,
// CHECK-NOT:     "ttg.local_alloc"
// CHECK-COUNT-5: "ttng.init_barrier"(%{{[^ ]+}}) {count = 1 : i32}
// CHECK-COUNT-3: "ttng.init_barrier"(%{{[^ ]+}}) {count = 2 : i32}
// CHECK-NEXT:    "ttng.fence_async_shared"()
// The first group is the default region. It waits for its half of q, and in each turn for the tile of the slot, whose
// number and parity follow from a count of all steps; when it has multiplied it, it says so.
// CHECK-NEXT:    "ttg.warp_specialize"(%{{.+}}, %[[QS]], %[[QFULL]], %[[KS]], %[[KFULL]], %[[EMPTY]]) ({
// CHECK:           %[[OWN:[^ ]+]] = "ttg.memdesc_index"(%[[QFULL]], %[[GROUP:[^ )]+]])
// CHECK:           "ttng.wait_barrier"(%[[OWN]],
// CHECK:           %[[QB:[^ ]+]] = "ttg.memdesc_index"(%[[QS]], %[[GROUP]])
// CHECK:           %[[Q:[^ ]+]] = "ttg.local_load"(%[[QB]]) : {{.*}} -> tensor<64x32xbf16>
// CHECK:           %[[ACC:[^ :]+]]:2 = scf.for {{.*}} iter_args(%{{[^ ]+}} = %{{[^ ]+}}, %[[STEP:[^ ]+]] = %{{[^ ]+}}) -> (tensor<64x32xf32>, i32)
// CHECK:             %[[SLOT:[^ ]+]] = arith.remui %[[STEP]], %[[STAGES:[^ ]+]] : i32
// CHECK:             %[[TURN:[^ ]+]] = arith.divui %[[STEP]], %[[STAGES]] : i32
// CHECK:             %[[PARITY:[^ ]+]] = arith.andi %[[TURN]], %{{[^ ]+}} : i32
// CHECK:             %[[FULL:[^ ]+]] = "ttg.memdesc_index"(%[[KFULL]], %[[SLOT]])
// CHECK:             "ttng.wait_barrier"(%[[FULL]], %[[PARITY]],
// CHECK:             %[[KB:[^ ]+]] = "ttg.memdesc_index"(%[[KS]], %[[SLOT]])
// CHECK:             %[[K:[^ ]+]] = "ttg.local_load"(%[[KB]])
// CHECK:             %[[KT:[^ ]+]] = "tt.trans"(%[[K]])
// CHECK:             "tt.dot"(%[[Q]], %[[KT]], %{{[^ ]+}}) : (tensor<64x32xbf16>, tensor<32x16xbf16>, tensor<64x16xf32>)
// CHECK:             "tt.dot"(%{{[^ ]+}}, %[[K]], %{{[^ ]+}}) : (tensor<64x16xbf16>, tensor<16x32xbf16>, tensor<64x32xf32>)
// CHECK:             %[[E:[^ ]+]] = "ttg.memdesc_index"(%[[EMPTY]], %[[SLOT]])
// CHECK:             "ttng.arrive_barrier"(%[[E]],
// CHECK:             arith.addi %[[STEP]], %{{[^ ]+}} : i32
// CHECK:           %[[R:[^ ]+]] = arith.truncf %[[ACC]]#0
// CHECK:           "ttg.local_store"(%[[R]], %{{[^ ]+}})
// CHECK:           "ttng.fence_async_shared"()
// CHECK:           "ttng.async_tma_copy_local_to_global"
// CHECK:           "ttng.async_tma_store_wait"
// CHECK:           "ttg.warp_yield"
// The second group does the same with rows 64 and on.
// CHECK:           "ttg.warp_specialize.partitions"() ({
// CHECK:             "ttg.local_load"
// CHECK:             "tt.dot"
// CHECK:             "tt.dot"
// CHECK:             "ttng.arrive_barrier"
// CHECK:             "ttng.fence_async_shared"
// CHECK-NEXT:        %[[LOW:[^ ]+]] = arith.addi %{{[^ ]+}}, %{{[^ ]+}} : i32
// CHECK-NEXT:        "ttng.async_tma_copy_local_to_global"(%{{[^ ]+}}, %[[LOW]],
// CHECK:             "ttg.warp_return"
// The producer copies both halves of q, and the tiles of keys into slots that are empty. It computes nothing else.
// CHECK:           ^bb0(%[[TILES:[^:]+]]: i32, {{.*}}, %[[QSP:[^:]+]]: !ttg.memdesc<2x64x32xbf16{{[^%]*}}, %{{[^:]+}}: !ttg.memdesc<2x1xi64{{[^%]*}}, %[[KSP:[^:]+]]: !ttg.memdesc<3x16x32xbf16{{[^%]*}}, %[[KFULLP:[^:]+]]: !ttg.memdesc<3x1xi64{{[^%]*}}, %[[EMPTYP:[^:]+]]: !ttg.memdesc<3x1xi64
// CHECK-NOT:         "tt.dot"
// CHECK-COUNT-2:     "ttng.barrier_expect"(%{{[^ ]+}}, %{{[^ ]+}}) {size = 4096 : i32}
// CHECK:             scf.for {{.*}} to %[[TILES]] {{.*}} -> (i32)
// CHECK:               %[[BEFORE:[^ ]+]] = arith.xori
// CHECK:               %[[E:[^ ]+]] = "ttg.memdesc_index"(%[[EMPTYP]], %[[SLOT:[^ )]+]])
// CHECK:               "ttng.wait_barrier"(%[[E]], %[[BEFORE]],
// CHECK:               %[[FULL:[^ ]+]] = "ttg.memdesc_index"(%[[KFULLP]], %[[SLOT]])
// CHECK:               %[[BUFFER:[^ ]+]] = "ttg.memdesc_index"(%[[KSP]], %[[SLOT]])
// CHECK:               "ttng.barrier_expect"(%[[FULL]], %{{[^ ]+}}) {size = 1024 : i32}
// CHECK:               "ttng.async_tma_copy_global_to_local"(%{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}, %[[FULL]], %[[BUFFER]],
// CHECK-NOT:         "tt.dot"
// CHECK:             "ttg.warp_return"
// CHECK:         {partitionNumWarps = array<i32: 4, 1>, requestedRegisters = array<i32: 240, 24>}

// No more than 132 programs, each with a loop over the tiles of rows that it computes: the kernel gets their number
// as a parameter after those of the launch. Barriers say as well when the rows of q may be overwritten.
// FEW-LABEL: func.func @host
// FEW-SAME:    %[[N:[^:]+]]: index
// FEW:         %[[MOST:[^ ]+]] = arith.constant 132 : index
// FEW:         %[[FEW:[^ ]+]] = arith.minui %[[N]], %[[MOST]] : index
// FEW:         "tt_host.launch"(%[[FEW]], %[[N]], %[[N]], %[[N]], %{{[^ ]+}}, %{{[^ ]+}}, %[[N]]) {
// FEW:       "tt.func"
// FEW-NEXT:  ^bb0(%{{[^:]+}}: i32, %[[ALL:[^:]+]]: i32, %{{[^:]+}}: !tt.tensordesc
// FEW:         "ttg.local_alloc"() : () -> !ttg.memdesc<2x64x32xbf16,
// FEW:         "ttg.local_alloc"() : () -> !ttg.memdesc<2x1xi64,
// FEW:         %[[FREE:[^ ]+]] = "ttg.local_alloc"() : () -> !ttg.memdesc<2x1xi64,
// FEW:         "ttg.warp_specialize"(%{{.+}}, %[[ALL]]) ({
// FEW:           "tt.get_num_programs"
// FEW:           scf.for %[[TILE:[^ ]+]] = {{.*}} iter_args(%{{[^ ]+}} = %{{[^ ]+}}) -> (i32)
// FEW:             scf.for
// FEW:             "ttng.async_tma_store_wait"
// FEW:             %[[OWN:[^ ]+]] = "ttg.memdesc_index"(%[[FREE]],
// FEW:             "ttng.arrive_barrier"(%[[OWN]],
// FEW:           "ttg.warp_yield"
// FEW:       {arg_attrs = [{}, {}, {}, {}, {}],

// With room for it, each group has two buffers for rows, of which tiles take turns, and barriers for both.
// TWO:       "tt.func"
// TWO:         "ttg.local_alloc"() : () -> !ttg.memdesc<4x64x32xbf16,
// TWO-NEXT:    "ttg.local_alloc"() : () -> !ttg.memdesc<4x1xi64,
// TWO-NEXT:    "ttg.local_alloc"() : () -> !ttg.memdesc<4x1xi64,
// TWO-NEXT:    "ttg.local_alloc"() : () -> !ttg.memdesc<2x16x32xbf16,
// TWO:         "ttg.warp_specialize"
// TWO:           scf.for %[[TILE:[^ ]+]] = {{.*}} iter_args(%{{[^ ]+}} = %{{[^ ]+}}) -> (i32)
// TWO-DAG:         %[[TURN:[^ ]+]] = arith.shrui %[[TILE]], %{{[^ ]+}} : i32
// TWO-DAG:         %[[PLACE:[^ ]+]] = arith.andi %[[TILE]], %{{[^ ]+}} : i32
// TWO:             %[[PLACE2:[^ ]+]] = arith.andi %[[TILE]], %{{[^ ]+}} : i32
// TWO:             %[[SECOND:[^ ]+]] = arith.muli %[[PLACE2]], %{{[^ ]+}} : i32
// TWO:             %[[OWN:[^ ]+]] = arith.addi %[[SECOND]], %{{[^ ]+}} : i32
// TWO:             %[[PARITY:[^ ]+]] = arith.andi %{{[^ ]+}}, %{{[^ ]+}} : i32
// TWO:             %[[FULL:[^ ]+]] = "ttg.memdesc_index"(%{{[^ ]+}}, %[[OWN]])
// TWO:             "ttng.wait_barrier"(%[[FULL]], %[[PARITY]],
func.func @host(%n: index, %x: tensor<128x32xbf16>, %o: tensor<128x32xbf16>) -> tensor<128x32xbf16> {
  %r = "tt_host.launch"(%n, %n, %n, %n, %x, %o) {kernel = @k, outputs = array<i64: 2>, descriptors = array<i64: 1, 2>} : (index, index, index, index, tensor<128x32xbf16>, tensor<128x32xbf16>) -> tensor<128x32xbf16>
  return %r : tensor<128x32xbf16>
}
"tt.func"() ({
^bb0(%tiles: i32, %dq: !tt.tensordesc<tensor<128x32xbf16>>, %dk: !tt.tensordesc<tensor<16x32xbf16>>, %do: !tt.tensordesc<tensor<128x32xbf16>>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c16 = arith.constant 16 : i32
  %c128 = arith.constant 128 : i32
  %none = arith.constant dense<0.0> : tensor<128x16xf32>
  %zero = arith.constant dense<0.0> : tensor<128x32xf32>
  %id = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %row = arith.muli %id, %c128 : i32
  %q = "tt.descriptor_load"(%dq, %row, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, i32, i32) -> tensor<128x32xbf16>
  %acc = scf.for %n = %c0 to %tiles step %c1 iter_args(%a = %zero) -> (tensor<128x32xf32>) : i32 {
    %key = arith.muli %n, %c16 : i32
    %k = "tt.descriptor_load"(%dk, %key, %c0) : (!tt.tensordesc<tensor<16x32xbf16>>, i32, i32) -> tensor<16x32xbf16>
    %kt = "tt.trans"(%k) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
    %s = "tt.dot"(%q, %kt, %none) : (tensor<128x32xbf16>, tensor<32x16xbf16>, tensor<128x16xf32>) -> tensor<128x16xf32>
    %w = arith.truncf %s : tensor<128x16xf32> to tensor<128x16xbf16>
    %o = "tt.dot"(%w, %k, %a) : (tensor<128x16xbf16>, tensor<16x32xbf16>, tensor<128x32xf32>) -> tensor<128x32xf32>
    scf.yield %o : tensor<128x32xf32>
  }
  %r = arith.truncf %acc : tensor<128x32xf32> to tensor<128x32xbf16>
  "tt.descriptor_store"(%do, %r, %row, %c0) : (!tt.tensordesc<tensor<128x32xbf16>>, tensor<128x32xbf16>, i32, i32) -> ()
  "tt.return"() : () -> ()
}) {arg_attrs = [{}, {}, {}, {}], function_type = (i32, !tt.tensordesc<tensor<128x32xbf16>>, !tt.tensordesc<tensor<16x32xbf16>>, !tt.tensordesc<tensor<128x32xbf16>>) -> (), sym_name = "k"} : () -> ()
