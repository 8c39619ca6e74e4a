// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --convert-tt-to-vector --cse | FileCheck %s

// Pointers become memrefs with an offset that all have in common and one for each; what the host does stays.
// CHECK-LABEL: func.func @host
// CHECK:         "tt_host.launch"{{.*}}kernel = @copy_0
// CHECK:       gpu.module @kernels
// CHECK:         gpu.func @copy_0(
// CHECK-SAME:      %[[N:[^ ]+]]: i32, %[[IN:[^ ]+]]: memref<?xf16>, %[[STRIDE:[^ ]+]]: i64, %[[OUT:[^ ]+]]: memref<?xf16>) kernel
// CHECK-SAME:      amd.divisibility = array<i64: 1, 16, 8, 1>
// CHECK-SAME:      tt_host.num_warps = 4 : i32
// CHECK-SAME:      tt_host.sizes = array<i64: 0>
// CHECK:         %[[OTHER:[^ ]+]] = arith.constant dense<2.000000e+00> : vector<32x16xf16>
// CHECK:         %[[BLOCK:[^ ]+]] = gpu.block_id x
// CHECK-NEXT:    %[[ID:[^ ]+]] = arith.index_cast %[[BLOCK]] : index to i32
// CHECK:         %[[WIDE:[^ ]+]] = arith.extsi %[[ID]] : i32 to i64
// CHECK:         %[[START:[^ ]+]] = arith.muli %[[WIDE]], %[[STRIDE]] : i64
// CHECK:         %[[STEPS:[^ ]+]] = vector.step : vector<16xindex>
// CHECK-NEXT:    %[[COLUMNS:[^ ]+]] = arith.index_cast %[[STEPS]] : vector<16xindex> to vector<16xi32>
// CHECK:         %[[ROW:[^ ]+]] = vector.shape_cast %[[COLUMNS]] : vector<16xi32> to vector<1x16xi32>
// CHECK:         %[[SPREAD:[^ ]+]] = vector.broadcast %[[ROW]] : vector<1x16xi32> to vector<32x16xi32>
// CHECK:         %[[SPREAD_WIDE:[^ ]+]] = arith.extsi %[[SPREAD]] : vector<32x16xi32> to vector<32x16xi64>
// CHECK:         %[[OFFSETS:[^ ]+]] = arith.addi %[[SPREAD_WIDE]], %{{.*}} : vector<32x16xi64>
// CHECK:         %[[MASK:[^ ]+]] = vector.broadcast %{{.*}} : vector<32x1xi1> to vector<32x16xi1>
// CHECK:         %[[BASE:[^ ]+]] = arith.index_cast %[[START]] : i64 to index
// CHECK:         %[[TILE:[^ ]+]] = vector.gather %[[IN]][%[[BASE]]] [%[[OFFSETS]]], %[[MASK]], %[[OTHER]] :
// CHECK-SAME:      memref<?xf16>, vector<32x16xi64>, vector<32x16xi1>, vector<32x16xf16> into vector<32x16xf16>
// CHECK-DAG:     %[[ALL:[^ ]+]] = arith.constant dense<true> : vector<32x16xi1>
// CHECK-DAG:     %[[ZERO:[^ ]+]] = arith.constant 0 : index
// CHECK:         vector.scatter %[[OUT]][%[[ZERO]]] [%[[SPREAD]]], %[[ALL]], %[[TILE]] :
// CHECK-SAME:      memref<?xf16>, vector<32x16xi32>, vector<32x16xi1>, vector<32x16xf16>
// CHECK:         gpu.return
// CHECK-NOT:   "tt.
func.func @host(%a: tensor<?x16xf16>, %n: index, %o: tensor<?x16xf16>) -> tensor<?x16xf16> {
  %c1 = arith.constant 1 : index
  %r = "tt_host.launch"(%n, %c1, %c1, %n, %a, %o) {kernel = @copy_0, outputs = array<i64: 2>} : (index, index, index, index, tensor<?x16xf16>, tensor<?x16xf16>) -> tensor<?x16xf16>
  return %r : tensor<?x16xf16>
}
"tt.func"() ({
^bb0(%n: i32, %in: !tt.ptr<f16>, %stride: i64, %out: !tt.ptr<f16>):
  %other = arith.constant dense<2.0> : tensor<32x16xf16>
  %id = "tt.get_program_id"() {axis = 0 : i32} : () -> i32
  %wide = arith.extsi %id : i32 to i64
  %start = arith.muli %wide, %stride : i64
  %p = "tt.addptr"(%in, %start) : (!tt.ptr<f16>, i64) -> !tt.ptr<f16>
  %columns = "tt.make_range"() {start = 0 : i32, end = 16 : i32} : () -> tensor<16xi32>
  %along = "tt.splat"(%p) : (!tt.ptr<f16>) -> tensor<16x!tt.ptr<f16>>
  %row = "tt.addptr"(%along, %columns) : (tensor<16x!tt.ptr<f16>>, tensor<16xi32>) -> tensor<16x!tt.ptr<f16>>
  %row2 = "tt.expand_dims"(%row) {axis = 0 : i32} : (tensor<16x!tt.ptr<f16>>) -> tensor<1x16x!tt.ptr<f16>>
  %spread = "tt.broadcast"(%row2) : (tensor<1x16x!tt.ptr<f16>>) -> tensor<32x16x!tt.ptr<f16>>
  %rows = "tt.make_range"() {start = 0 : i32, end = 32 : i32} : () -> tensor<32xi32>
  %rows64 = arith.extsi %rows : tensor<32xi32> to tensor<32xi64>
  %strides = "tt.splat"(%stride) : (i64) -> tensor<32xi64>
  %down = arith.muli %rows64, %strides : tensor<32xi64>
  %down2 = "tt.expand_dims"(%down) {axis = 1 : i32} : (tensor<32xi64>) -> tensor<32x1xi64>
  %downs = "tt.broadcast"(%down2) : (tensor<32x1xi64>) -> tensor<32x16xi64>
  %pointers = "tt.addptr"(%spread, %downs) : (tensor<32x16x!tt.ptr<f16>>, tensor<32x16xi64>) -> tensor<32x16x!tt.ptr<f16>>
  %limit = "tt.splat"(%n) : (i32) -> tensor<32xi32>
  %inside = arith.cmpi slt, %rows, %limit : tensor<32xi32>
  %inside2 = "tt.expand_dims"(%inside) {axis = 1 : i32} : (tensor<32xi1>) -> tensor<32x1xi1>
  %mask = "tt.broadcast"(%inside2) : (tensor<32x1xi1>) -> tensor<32x16xi1>
  %tile = "tt.load"(%pointers, %mask, %other) {operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<32x16x!tt.ptr<f16>>, tensor<32x16xi1>, tensor<32x16xf16>) -> tensor<32x16xf16>
  %to = "tt.splat"(%out) : (!tt.ptr<f16>) -> tensor<32x16x!tt.ptr<f16>>
  %columns2 = "tt.expand_dims"(%columns) {axis = 0 : i32} : (tensor<16xi32>) -> tensor<1x16xi32>
  %places = "tt.broadcast"(%columns2) : (tensor<1x16xi32>) -> tensor<32x16xi32>
  %all = "tt.addptr"(%to, %places) : (tensor<32x16x!tt.ptr<f16>>, tensor<32x16xi32>) -> tensor<32x16x!tt.ptr<f16>>
  "tt.store"(%all, %tile) : (tensor<32x16x!tt.ptr<f16>>, tensor<32x16xf16>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "copy_0", function_type = (i32, !tt.ptr<f16>, i64, !tt.ptr<f16>) -> (), arg_attrs = [{}, {tt.divisibility = 16 : i32}, {tt.divisibility = 8 : i32}, {}], tt_host.num_warps = 4 : i32, tt_host.sizes = array<i64: 0>} : () -> ()

// -----

// Numbers in memory; what all elements are moved by is added to what they have in common.
// CHECK-LABEL: gpu.func @numbers(
// CHECK-SAME:      %[[P:[^ ]+]]: memref<?xi8>, %[[Q:[^ ]+]]: memref<?xf32>, %[[I:[^ ]+]]: i32, %[[HERE:[^ ]+]]: i1) kernel
// CHECK-SAME:      amd.divisibility = array<i64: 1, 1, 1, 1>
// CHECK:         %[[WIDE:[^ ]+]] = arith.extsi %[[I]] : i32 to i64
// CHECK:         %[[PLACE:[^ ]+]] = arith.index_cast %[[WIDE]] : i64 to index
// CHECK:         %[[BYTE:[^ ]+]] = memref.load %[[P]][%[[PLACE]]] : memref<?xi8>
// CHECK:         %[[OTHER:[^ ]+]] = scf.if %[[HERE]] -> (i8) {
// CHECK-NEXT:      memref.load %[[P]][%[[PLACE]]]
// CHECK:           scf.yield
// CHECK:         scf.if %[[HERE]] {
// CHECK-NEXT:      memref.store %{{.*}}, %[[P]][%[[PLACE]]]
// CHECK:         memref.store %[[BYTE]], %[[P]]
// CHECK:         %[[TWICE:[^ ]+]] = arith.addi %[[WIDE]], %[[WIDE]] : i64
// CHECK:         %[[FROM:[^ ]+]] = arith.index_cast %[[TWICE]] : i64 to index
// CHECK:         vector.gather %[[Q]][%[[FROM]]]
// CHECK-SAME:      vector<16xi32>
"tt.func"() ({
^bb0(%p: !tt.ptr<i8>, %q: !tt.ptr<f32>, %i: i32, %here: i1):
  %c0 = arith.constant 0 : i8
  %at = "tt.addptr"(%p, %i) : (!tt.ptr<i8>, i32) -> !tt.ptr<i8>
  %byte = "tt.load"(%at) {operandSegmentSizes = array<i32: 1, 0, 0>} : (!tt.ptr<i8>) -> i8
  %other = "tt.load"(%at, %here, %c0) {operandSegmentSizes = array<i32: 1, 1, 1>} : (!tt.ptr<i8>, i1, i8) -> i8
  %sum = arith.addi %byte, %other : i8
  "tt.store"(%at, %sum, %here) : (!tt.ptr<i8>, i8, i1) -> ()
  "tt.store"(%p, %byte) : (!tt.ptr<i8>, i8) -> ()
  %from = "tt.addptr"(%q, %i) : (!tt.ptr<f32>, i32) -> !tt.ptr<f32>
  %all = "tt.splat"(%from) : (!tt.ptr<f32>) -> tensor<16x!tt.ptr<f32>>
  %same = "tt.splat"(%i) : (i32) -> tensor<16xi32>
  %further = "tt.addptr"(%all, %same) : (tensor<16x!tt.ptr<f32>>, tensor<16xi32>) -> tensor<16x!tt.ptr<f32>>
  %steps = "tt.make_range"() {start = 16 : i32, end = 32 : i32} : () -> tensor<16xi32>
  %each = "tt.addptr"(%further, %steps) : (tensor<16x!tt.ptr<f32>>, tensor<16xi32>) -> tensor<16x!tt.ptr<f32>>
  %read = "tt.load"(%each) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<16x!tt.ptr<f32>>) -> tensor<16xf32>
  %to = "tt.splat"(%q) : (!tt.ptr<f32>) -> tensor<16x!tt.ptr<f32>>
  "tt.store"(%to, %read) : (tensor<16x!tt.ptr<f32>>, tensor<16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "numbers"} : () -> ()

// -----

// Products, reductions to vectors and numbers, functions of the library; loops and branches keep their attributes.
// CHECK-LABEL: gpu.func @arithmetic(
// CHECK-DAG:     %[[NEGATIVE:[^ ]+]] = arith.constant dense<0xFF800000> : vector<16xf32>
// CHECK-DAG:     %[[START:[^ ]+]] = arith.constant dense<0.000000e+00> : vector<16x16xf32>
// CHECK-DAG:     arith.constant dense<[1, 2]> : vector<2xi32>
// CHECK:         %[[SUM:[^ ]+]]:2 = scf.for {{.*}} iter_args(%[[C:[^ ]+]] = %[[START]], %[[M:[^ ]+]] = %[[NEGATIVE]]) -> (vector<16x16xf32>, vector<16xf32>)
// CHECK:           %[[A:[^ ]+]] = vector.gather
// CHECK:           %[[T:[^ ]+]] = vector.transpose %[[A]], [1, 0] : vector<16x32xf16> to vector<32x16xf16>
// CHECK:           %[[P:[^ ]+]] = vector.contract
// CHECK-SAME:        iterator_types = ["parallel", "parallel", "reduction"], kind = #vector.kind<add>} %[[A]], %[[T]], %[[C]]
// CHECK-SAME:        amd.precision = "tf32x3"
// CHECK-SAME:        vector<16x32xf16>, vector<32x16xf16> into vector<16x16xf32>
// CHECK:           %[[ROWS:[^ ]+]] = vector.multi_reduction <maximumf>, %[[P]], %[[NEGATIVE]] [1] : vector<16x16xf32> to vector<16xf32>
// CHECK:           %[[KEPT:[^ ]+]] = scf.if %{{[^ ]+}} -> (vector<16xf32>) {
// CHECK:             math.tanh %[[ROWS]] : vector<16xf32>
// CHECK:           } else {
// CHECK:           } {attn.retry}
// CHECK:           scf.yield %[[P]], %[[KEPT]]
// CHECK:         } {attn.chunks = 2 : i64}
// CHECK:         %[[ZERO:[^ ]+]] = arith.constant -0.000000e+00 : f32
// CHECK-NEXT:    %[[TOTAL:[^ ]+]] = vector.multi_reduction <add>, %[[SUM]]#1, %[[ZERO]] [0] : vector<16xf32> to f32
// CHECK:         math.powf %[[TOTAL]], %[[TOTAL]] : f32
"tt.func"() ({
^bb0(%p: !tt.ptr<f16>, %n: i32, %q: !tt.ptr<f32>, %r: !tt.ptr<i32>):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<16x16xf32>
  %lowest = arith.constant dense<0xFF800000> : tensor<16xf32>
  %pair = arith.constant dense<[1, 2]> : tensor<2xi32>
  %pairs = "tt.splat"(%r) : (!tt.ptr<i32>) -> tensor<2x!tt.ptr<i32>>
  "tt.store"(%pairs, %pair) : (tensor<2x!tt.ptr<i32>>, tensor<2xi32>) -> ()
  %s:2 = scf.for %i = %c0 to %n step %c1 iter_args(%c = %zeros, %m = %lowest) -> (tensor<16x16xf32>, tensor<16xf32>) : i32 {
    %at = "tt.splat"(%p) : (!tt.ptr<f16>) -> tensor<16x32x!tt.ptr<f16>>
    %a = "tt.load"(%at) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<16x32x!tt.ptr<f16>>) -> tensor<16x32xf16>
    %t = "tt.trans"(%a) {order = array<i32: 1, 0>} : (tensor<16x32xf16>) -> tensor<32x16xf16>
    %d = "tt.dot"(%a, %t, %c) {inputPrecision = 1 : i32, maxNumImpreciseAcc = 0 : i32} : (tensor<16x32xf16>, tensor<32x16xf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
    %rows = "tt.reduce"(%d) ({
    ^bb0(%x: f32, %y: f32):
      %z = arith.maximumf %x, %y : f32
      "tt.reduce.return"(%z) : (f32) -> ()
    }) {axis = 1 : i32} : (tensor<16x16xf32>) -> tensor<16xf32>
    %first = arith.cmpi eq, %i, %c0 : i32
    %kept = scf.if %first -> (tensor<16xf32>) {
      %e = "tt.extern_elementwise"(%rows) {libname = "ocml", libpath = "", pure = true, symbol = "__ocml_tanh_f32"} : (tensor<16xf32>) -> tensor<16xf32>
      scf.yield %e : tensor<16xf32>
    } else {
      scf.yield %m : tensor<16xf32>
    } {attn.retry}
    scf.yield %d, %kept : tensor<16x16xf32>, tensor<16xf32>
  } {attn.chunks = 2 : i64}
  %total = "tt.reduce"(%s#1) ({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.reduce.return"(%z) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<16xf32>) -> f32
  %power = "tt.extern_elementwise"(%total, %total) {libname = "ocml", libpath = "", pure = true, symbol = "__ocml_pow_f32"} : (f32, f32) -> f32
  "tt.store"(%q, %power) : (!tt.ptr<f32>, f32) -> ()
  %all = "tt.splat"(%q) : (!tt.ptr<f32>) -> tensor<16x16x!tt.ptr<f32>>
  "tt.store"(%all, %s#0) : (tensor<16x16x!tt.ptr<f32>>, tensor<16x16xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "arithmetic"} : () -> ()

// -----

// A scan in reverse is one of the reversed vector. Elements at known places are shuffled, those at others selected.
// CHECK-LABEL: gpu.func @moves(
// CHECK:         %[[V:[^ ]+]] = vector.gather {{.*}} into vector<4xf32>
// CHECK:         %[[UP:[^ ]+]], %{{[^ ]+}} = vector.scan <add>, %[[V]], %{{[^ ]+}} {inclusive = true, reduction_dim = 0 : i64} : vector<4xf32>, vector<f32>
// CHECK:         %[[BACK:[^ ]+]] = vector.shuffle %[[UP]], %{{[^ ]+}} [3, 2, 1, 0]
// CHECK:         %[[DOWN:[^ ]+]], %{{[^ ]+}} = vector.scan <add>, %[[BACK]]
// CHECK:         %[[RIGHT:[^ ]+]] = vector.shuffle %[[DOWN]], %{{[^ ]+}} [3, 2, 1, 0]
// CHECK:         %[[NEXT:[^ ]+]] = vector.shuffle %[[RIGHT]], %{{[^ ]+}} [1, 2, 3, 3]
// CHECK:         %[[M:[^ ]+]] = vector.gather {{.*}} into vector<2x4xf32>
// CHECK:         %[[T:[^ ]+]] = vector.transpose %[[M]], [1, 0]
// CHECK:         %[[S:[^ ]+]] = vector.shuffle %[[T]], %{{[^ ]+}} [1, 2, 3, 3] : vector<4x2xf32>
// CHECK:         %[[MOVED:[^ ]+]] = vector.transpose %[[S]], [1, 0] : vector<4x2xf32> to vector<2x4xf32>
// CHECK:         vector.scatter {{.*}}, %[[MOVED]]
// CHECK:         %[[HERE:[^ ]+]] = arith.cmpi eq, %{{.*}} : vector<4x4xi32>
// CHECK:         %[[CHOSEN:[^ ]+]] = arith.select %[[HERE]], %{{.*}} : vector<4x4xi1>, vector<4x4xf32>
// CHECK:         %[[TAKEN:[^ ]+]] = vector.multi_reduction <add>, %[[CHOSEN]], %{{[^ ]+}} [1] : vector<4x4xf32> to vector<4xf32>
// CHECK:         vector.scatter {{.*}}, %[[TAKEN]]
"tt.func"() ({
^bb0(%p: !tt.ptr<f32>, %r: !tt.ptr<i32>):
  %steps = "tt.make_range"() {start = 0 : i32, end = 4 : i32} : () -> tensor<4xi32>
  %ps = "tt.splat"(%p) : (!tt.ptr<f32>) -> tensor<4x!tt.ptr<f32>>
  %each = "tt.addptr"(%ps, %steps) : (tensor<4x!tt.ptr<f32>>, tensor<4xi32>) -> tensor<4x!tt.ptr<f32>>
  %v = "tt.load"(%each) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x!tt.ptr<f32>>) -> tensor<4xf32>
  %up = "tt.scan"(%v) ({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.scan.return"(%z) : (f32) -> ()
  }) {axis = 0 : i32, reverse = false} : (tensor<4xf32>) -> tensor<4xf32>
  %down = "tt.scan"(%up) ({
  ^bb0(%x: f32, %y: f32):
    %z = arith.addf %x, %y : f32
    "tt.scan.return"(%z) : (f32) -> ()
  }) {axis = 0 : i32, reverse = true} : (tensor<4xf32>) -> tensor<4xf32>
  %c1 = arith.constant dense<1> : tensor<4xi32>
  %c3 = arith.constant 3 : i32
  %last = "tt.splat"(%c3) : (i32) -> tensor<4xi32>
  %after = arith.addi %steps, %c1 : tensor<4xi32>
  %next = arith.minsi %after, %last : tensor<4xi32>
  %shifted = "tt.gather"(%down, %next) {axis = 0 : i32} : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xf32>
  "tt.store"(%each, %shifted) : (tensor<4x!tt.ptr<f32>>, tensor<4xf32>) -> ()
  %next2 = "tt.expand_dims"(%next) {axis = 0 : i32} : (tensor<4xi32>) -> tensor<1x4xi32>
  %nexts = "tt.broadcast"(%next2) : (tensor<1x4xi32>) -> tensor<2x4xi32>
  %ms = "tt.splat"(%p) : (!tt.ptr<f32>) -> tensor<2x4x!tt.ptr<f32>>
  %m = "tt.load"(%ms) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<2x4x!tt.ptr<f32>>) -> tensor<2x4xf32>
  %moved = "tt.gather"(%m, %nexts) {axis = 1 : i32} : (tensor<2x4xf32>, tensor<2x4xi32>) -> tensor<2x4xf32>
  "tt.store"(%ms, %moved) : (tensor<2x4x!tt.ptr<f32>>, tensor<2x4xf32>) -> ()
  %rs = "tt.splat"(%r) : (!tt.ptr<i32>) -> tensor<4x!tt.ptr<i32>>
  %places = "tt.load"(%rs) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x!tt.ptr<i32>>) -> tensor<4xi32>
  %taken = "tt.gather"(%v, %places) {axis = 0 : i32} : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xf32>
  "tt.store"(%each, %taken) : (tensor<4x!tt.ptr<f32>>, tensor<4xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "moves"} : () -> ()
