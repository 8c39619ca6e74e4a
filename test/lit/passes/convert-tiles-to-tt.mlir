// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(convert-tiles-to-tt,canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(convert-tiles-to-tt{precision=ieee library=ocml section=4},canonicalize,cse)' | FileCheck %s --check-prefix=OPTIONS

// A tile of 16 rows of 24 features, scaled. The host counts programs; the kernel has sizes, then pointers and strides,
// then scalars.
// CHECK-LABEL: func.func @scaled
// CHECK-SAME:    %[[X:[^:]+]]: tensor<?x6x?x24xf32>, %[[S:[^:]+]]: f32, %[[N:[^:]+]]: index
// CHECK-DAG:     %[[C6:[^ ]+]] = arith.constant 6 : index
// CHECK-DAG:     %[[C1:[^ ]+]] = arith.constant 1 : index
// CHECK:         %[[BATCH:[^ ]+]] = tensor.dim %[[X]]
// CHECK:         %[[ROWS:[^ ]+]] = tensor.dim %[[X]]
// CHECK:         %[[TILES:[^ ]+]] = arith.ceildivui %[[ROWS]]
// CHECK:         %[[NEW:[^ ]+]] = tensor.empty(%[[BATCH]], %[[ROWS]])
// CHECK:         %[[HEADS:[^ ]+]] = arith.muli %[[BATCH]], %[[C6]]
// CHECK:         %[[COUNT:[^ ]+]] = arith.muli %[[HEADS]], %[[TILES]]
// CHECK:         %[[O:[^ ]+]] = "tt_host.launch"(%[[COUNT]], %[[C1]], %[[C1]], %[[BATCH]], %[[ROWS]], %[[NEW]], %[[X]], %[[N]], %[[S]])
// CHECK-SAME:      {kernel = @scaled_0, outputs = array<i64: 2>}
// CHECK-SAME:      : (index, index, index, index, index, tensor<?x6x?x24xf32>, tensor<?x6x?x24xf32>, index, f32) -> tensor<?x6x?x24xf32>
// CHECK:         return %[[O]]
// CHECK:       "tt.func"() ({
// CHECK-NEXT:  ^bb0(%[[BATCH:[^:]+]]: i32, %[[ROWS:[^:]+]]: i32,
// CHECK-SAME:      %[[NEW:[^:]+]]: !tt.ptr<f32>, %[[NEW0:[^:]+]]: i64, %[[NEW1:[^:]+]]: i64, %[[NEW2:[^:]+]]: i64,
// CHECK-SAME:      %[[X:[^:]+]]: !tt.ptr<f32>, %[[X0:[^:]+]]: i64, %[[X1:[^:]+]]: i64, %[[X2:[^:]+]]: i64,
// CHECK-SAME:      %[[N:[^:]+]]: i32, %[[S:[^:]+]]: f32):
// CHECK-DAG:     %[[ZEROS:[^ ]+]] = arith.constant dense<0.000000e+00> : tensor<16x32xf32>
// CHECK-DAG:     %[[C24:[^ ]+]] = arith.constant 24 : i32
// CHECK-DAG:     %[[C16:[^ ]+]] = arith.constant 16 : i32
// Tiles of 16 rows are counted by a shift.
// CHECK:         arith.shrsi %[[ROWS]], %{{[^ ]+}} : i32
// All tiles have as much to do: those of a head come one after the other. No program is beyond the last batch.
// CHECK:         %[[PROGRAM:[^ ]+]] = "tt.get_program_id"() {axis = 0 : i32}
// CHECK-NOT:     arith.minsi
// CHECK:         %[[NUMBER:[^ ]+]] = arith.divsi %[[PROGRAM]]
// CHECK-NEXT:    arith.remsi %[[PROGRAM]]
// CHECK-NEXT:    arith.remsi %[[NUMBER]], %{{[^ ]+}} : i32
// CHECK-NEXT:    arith.divsi %[[NUMBER]], %{{[^ ]+}} : i32
// CHECK-NOT:     arith.remsi
// The row where the tile begins has 32 bits, offsets in memory have 64.
// CHECK:         %[[FIRST:[^ ]+]] = arith.muli %{{[^ ]+}}, %[[C16]] : i32
// CHECK:         %[[LEFT:[^ ]+]] = arith.subi %[[ROWS]], %[[FIRST]] : i32
// CHECK:         %[[SIZE:[^ ]+]] = arith.minsi %[[LEFT]], %[[C16]] : i32
// CHECK-DAG:     %[[ROW:[^ ]+]] = "tt.make_range"() {end = 16 : i32, start = 0 : i32}
// CHECK-DAG:     %[[COLUMN:[^ ]+]] = "tt.make_range"() {end = 32 : i32, start = 0 : i32}
// CHECK-DAG:     arith.muli %{{[^ ]+}}, %[[X0]] : i64
// CHECK-DAG:     arith.muli %{{[^ ]+}}, %[[X1]] : i64
// CHECK-DAG:     arith.muli %{{[^ ]+}}, %[[X2]] : i64
// CHECK:         %[[BASE:[^ ]+]] = "tt.addptr"(%[[X]], %{{[^ ]+}}) : (!tt.ptr<f32>, i64) -> !tt.ptr<f32>
// CHECK:         "tt.splat"(%[[BASE]]) : (!tt.ptr<f32>) -> tensor<32x!tt.ptr<f32>>
// Rows beyond the tensor are not read, nor are the columns that round 24 up to 32.
// CHECK:         %[[SIZES:[^ ]+]] = "tt.splat"(%[[SIZE]])
// CHECK:         arith.cmpi slt, %[[ROW]], %[[SIZES]] : tensor<16xi32>
// CHECK:         %[[WIDTH:[^ ]+]] = "tt.splat"(%[[C24]])
// CHECK:         arith.cmpi slt, %[[COLUMN]], %[[WIDTH]] : tensor<32xi32>
// CHECK:         %[[MASK:[^ ]+]] = arith.andi %{{.+}} : tensor<16x32xi1>
// CHECK:         %[[TILE:[^ ]+]] = "tt.load"(%{{[^ ]+}}, %[[MASK]], %[[ZEROS]]) {{.*}}operandSegmentSizes = array<i32: 1, 1, 1>
// A condition on rows is computed once for each, and spread where it meets the tile.
// CHECK:         %[[IS:[^ ]+]] = arith.cmpi slt, %{{.+}} : tensor<16xi32>
// CHECK:         %[[SCALE:[^ ]+]] = "tt.splat"(%[[S]]) : (f32) -> tensor<16x32xf32>
// CHECK:         arith.mulf %[[TILE]], %[[SCALE]] : tensor<16x32xf32>
// CHECK:         "tt.expand_dims"(%[[IS]]) {axis = 1 : i32}
// CHECK:         %[[R:[^ ]+]] = arith.select {{.*}} : tensor<16x32xi1>, tensor<16x32xf32>
// CHECK:         "tt.addptr"(%[[NEW]]
// CHECK:         %[[INTO:[^ ]+]] = arith.andi %{{.+}} : tensor<16x32xi1>
// CHECK:         "tt.store"(%{{[^ ]+}}, %[[R]], %[[INTO]])
// CHECK:         "tt.return"()
// CHECK:       arg_attrs = [{}, {}, {tt.divisibility = 16 : i32}, {tt.divisibility = 4 : i32}, {tt.divisibility = 4 : i32}, {tt.divisibility = 4 : i32}, {tt.divisibility = 16 : i32}, {tt.divisibility = 4 : i32}, {tt.divisibility = 4 : i32}, {tt.divisibility = 4 : i32}, {}, {}]
// CHECK-SAME:  sym_name = "scaled_0", sym_visibility = "public"

// OPTIONS-LABEL: func.func @scaled
// OPTIONS:         "tt.return"
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @scaled(%x: tensor<?x6x?x24xf32>, %s: f32, %n: index) -> tensor<?x6x?x24xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %x, %c0 : tensor<?x6x?x24xf32>
  %rows = tensor.dim %x, %c2 : tensor<?x6x?x24xf32>
  %tiles = arith.ceildivui %rows, %c16 : index
  %empty = tensor.empty(%batch, %rows) : tensor<?x6x?x24xf32>
  %o = scf.forall (%b, %h, %t) in (%batch, 6, %tiles) shared_outs(%out = %empty) -> (tensor<?x6x?x24xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %rows, %first : index
    %size = arith.minsi %left, %c16 : index
    %missing = arith.subi %c16, %size : index
    %part = tensor.extract_slice %x[%b, %h, %first, 0] [1, 1, %size, 24] [1, 1, 1, 1] : tensor<?x6x?x24xf32> to tensor<?x24xf32>
    %tile = tensor.pad %part low[0, 0] high[%missing, 0] {
    ^bb0(%i: index, %j: index):
      tensor.yield %zero : f32
    } : tensor<?x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16x24xf32>
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%tile : tensor<16x24xf32>) outs(%new : tensor<16x24xf32>) {
    ^bb0(%a: f32, %c: f32):
      %i = linalg.index 0 : index
      %is = arith.cmpi slt, %i, %n : index
      %m = arith.mulf %a, %s : f32
      %e = arith.select %is, %m, %a : f32
      linalg.yield %e : f32
    } -> tensor<16x24xf32>
    %done = tensor.extract_slice %r[0, 0] [%size, 24] [1, 1] : tensor<16x24xf32> to tensor<?x24xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %done into %out[%b, %h, %first, 0] [1, 1, %size, 24] [1, 1, 1, 1] : tensor<?x24xf32> into tensor<?x6x?x24xf32>
    }
  }
  return %o : tensor<?x6x?x24xf32>
}

// -----

// A loop turns as often as the number of the tile says: the tiles of eight heads, or of `section`, are started before those
// of the next.
// CHECK-LABEL: func.func @uneven
// CHECK:         %[[C8:[^ ]+]] = arith.constant 8 : i32
// CHECK:         "tt.get_program_id"() {axis = 0 : i32}
// CHECK:         arith.minsi %{{[^ ]+}}, %[[C8]] : i32
// CHECK:         scf.for
// OPTIONS-LABEL: func.func @uneven
// OPTIONS:         %[[C4:[^ ]+]] = arith.constant 4 : i32
// OPTIONS:         "tt.get_program_id"()
// OPTIONS:         arith.minsi %{{[^ ]+}}, %[[C4]] : i32
// OPTIONS:         scf.for
#map = affine_map<(d0, d1) -> (d0, d1)>
func.func @uneven(%x: tensor<16x32xf32>, %heads: index, %tiles: index) -> tensor<?x?x16x32xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %empty = tensor.empty(%heads, %tiles) : tensor<?x?x16x32xf32>
  %o = scf.forall (%h, %t) in (%heads, %tiles) shared_outs(%out = %empty) -> (tensor<?x?x16x32xf32>) {
    %sum = scf.for %n = %c0 to %t step %c1 iter_args(%a = %x) -> (tensor<16x32xf32>) {
      %new = tensor.empty() : tensor<16x32xf32>
      %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<16x32xf32>) outs(%new : tensor<16x32xf32>) {
      ^bb0(%e: f32, %u: f32):
        %m = arith.addf %e, %e : f32
        linalg.yield %m : f32
      } -> tensor<16x32xf32>
      scf.yield %r : tensor<16x32xf32>
    }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %sum into %out[%h, %t, 0, 0] [1, 1, 16, 32] [1, 1, 1, 1] : tensor<16x32xf32> into tensor<?x?x16x32xf32>
    }
  }
  return %o : tensor<?x?x16x32xf32>
}

// -----

// Reductions: 24 columns stand in 32, whose last 8 are the identity of what is reduced. The identity as start is left
// out, another start is combined. Two results are two pointers, also where `cse` has made one of equal `tensor.empty`.
// CHECK-LABEL: func.func @reduced
// CHECK:         %[[A:[^ ]+]] = tensor.empty() : tensor<16xf32>
// CHECK:         "tt_host.launch"(%{{[^ ]+}}, %{{[^ ]+}}, %{{[^ ]+}}, %[[A]], %[[A]], %{{[^ ]+}}) {kernel = @reduced_0, outputs = array<i64: 0, 1>}
// CHECK:       "tt.func"()
// CHECK-NEXT:  ^bb0(%[[P0:[^:]+]]: !tt.ptr<f32>, %[[P1:[^:]+]]: !tt.ptr<f32>, %{{[^:]+}}: !tt.ptr<f32>, %{{[^:]+}}: i64):
// CHECK-DAG:     %[[ZERO:[^ ]+]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG:     %[[LOWEST:[^ ]+]] = arith.constant 0xFF800000 : f32
// CHECK-DAG:     %[[ONE:[^ ]+]] = arith.constant 1.000000e+00 : f32
// CHECK:         %[[X:[^ ]+]] = "tt.load"
// CHECK:         %[[LOW:[^ ]+]] = "tt.splat"(%[[LOWEST]]) : (f32) -> tensor<16x32xf32>
// CHECK:         %[[ONES:[^ ]+]] = arith.select %{{[^ ]+}}, %[[X]], %[[LOW]]
// CHECK:         %[[MOST:[^ ]+]] = "tt.reduce"(%[[ONES]]) ({
// CHECK-NEXT:    ^bb0(%[[P:[^:]+]]: f32, %[[Q:[^:]+]]: f32):
// CHECK-NEXT:      %[[R:[^ ]+]] = arith.maximumf %[[P]], %[[Q]]
// CHECK-NEXT:      "tt.reduce.return"(%[[R]])
// CHECK-NEXT:    }) {axis = 1 : i32} : (tensor<16x32xf32>) -> tensor<16xf32>
// CHECK:         %[[NONE:[^ ]+]] = "tt.splat"(%[[ZERO]]) : (f32) -> tensor<16x32xf32>
// CHECK:         %[[TERMS:[^ ]+]] = arith.select %{{[^ ]+}}, %[[X]], %[[NONE]]
// CHECK:         %[[SUM:[^ ]+]] = "tt.reduce"(%[[TERMS]])
// CHECK:           arith.addf
// CHECK:         %[[START:[^ ]+]] = "tt.splat"(%[[ONE]]) : (f32) -> tensor<16xf32>
// CHECK:         %[[TOTAL:[^ ]+]] = arith.addf %{{.*}}%[[SUM]]
// CHECK:         "tt.splat"(%[[P0]])
// CHECK:         "tt.store"(%{{[^ ]+}}, %[[MOST]])
// CHECK:         "tt.splat"(%[[P1]])
// CHECK:         "tt.store"(%{{[^ ]+}}, %[[TOTAL]])
#map = affine_map<(d0, d1) -> (d0, d1)>
#rows = affine_map<(d0, d1) -> (d0)>
func.func @reduced(%x: tensor<16x24xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %lowest = arith.constant 0xFF800000 : f32
  %one = arith.constant 1.0 : f32
  %empty = tensor.empty() : tensor<16xf32>
  %o:2 = scf.forall (%t) in (1) shared_outs(%a = %empty, %b = %empty) -> (tensor<16xf32>, tensor<16xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16xf32>
    %low = linalg.fill ins(%lowest : f32) outs(%new : tensor<16xf32>) -> tensor<16xf32>
    %ones = linalg.fill ins(%one : f32) outs(%new : tensor<16xf32>) -> tensor<16xf32>
    %r:2 = linalg.generic {indexing_maps = [#map, #rows, #rows], iterator_types = ["parallel", "reduction"]} ins(%tile : tensor<16x24xf32>) outs(%low, %ones : tensor<16xf32>, tensor<16xf32>) {
    ^bb0(%e: f32, %m: f32, %s: f32):
      %most = arith.maximumf %m, %e : f32
      %sum = arith.addf %s, %e : f32
      linalg.yield %most, %sum : f32, f32
    } -> (tensor<16xf32>, tensor<16xf32>)
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r#0 into %a[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
      tensor.parallel_insert_slice %r#1 into %b[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o#0, %o#1 : tensor<16xf32>, tensor<16xf32>
}

// -----

// Products: the wider factor is rounded to the type of the narrower; f32 is computed as the option says. What was read
// is 0 beyond 24 terms, so that the sum needs no mask.
// CHECK-LABEL: func.func @products
// CHECK:         %[[W:[^ ]+]] = "tt.load"(%{{.+}} -> tensor<16x32xf32>
// CHECK:         %[[V:[^ ]+]] = "tt.load"(%{{.+}} -> tensor<16x32xbf16>
// CHECK:         %[[U:[^ ]+]] = "tt.load"(%{{.+}} -> tensor<16x32xf32>
// CHECK:         %[[VT:[^ ]+]] = "tt.trans"(%[[V]]) {order = array<i32: 1, 0>} : (tensor<16x32xbf16>) -> tensor<32x16xbf16>
// CHECK:         %[[N:[^ ]+]] = arith.truncf %[[W]] : tensor<16x32xf32> to tensor<16x32xbf16>
// CHECK:         %[[A:[^ ]+]] = "tt.dot"(%[[N]], %[[VT]], %{{[^ ]+}}) {{.*}} : (tensor<16x32xbf16>, tensor<32x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
// CHECK:         %[[UT:[^ ]+]] = "tt.trans"(%[[U]])
// CHECK:         "tt.dot"(%[[W]], %[[UT]], %[[A]]) {inputPrecision = 1 : i32
// OPTIONS-LABEL: func.func @products
// OPTIONS:         "tt.dot"
// OPTIONS:         "tt.dot"({{.*}}) {inputPrecision = 2 : i32
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d1, d2)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
func.func @products(%w: tensor<16x24xf32>, %v: tensor<16x24xbf16>, %u: tensor<16x24xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<16x16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x16xf32>) {
    %p = tensor.extract_slice %w[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %q = tensor.extract_slice %v[0, 0] [16, 24] [1, 1] : tensor<16x24xbf16> to tensor<16x24xbf16>
    %s = tensor.extract_slice %u[0, 0] [16, 24] [1, 1] : tensor<16x24xf32> to tensor<16x24xf32>
    %new = tensor.empty() : tensor<16x16xf32>
    %start = linalg.fill ins(%zero : f32) outs(%new : tensor<16x16xf32>) -> tensor<16x16xf32>
    %d = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%p, %q : tensor<16x24xf32>, tensor<16x24xbf16>) outs(%start : tensor<16x16xf32>) {
    ^bb0(%x: f32, %y: bf16, %z: f32):
      %wide = arith.extf %y : bf16 to f32
      %m = arith.mulf %x, %wide : f32
      %r = arith.addf %z, %m : f32
      linalg.yield %r : f32
    } -> tensor<16x16xf32>
    %e = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%p, %s : tensor<16x24xf32>, tensor<16x24xf32>) outs(%d : tensor<16x16xf32>) {
    ^bb0(%x: f32, %y: f32, %z: f32):
      %m = arith.mulf %x, %y : f32
      %r = arith.addf %z, %m : f32
      linalg.yield %r : f32
    } -> tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %e into %out[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %o : tensor<16x16xf32>
}

// -----

// Elements of captured tensors: bits are bytes in memory. A place that was loaded has 64 bits, one that is known to be
// small has 32; of the last dimension no stride is asked for.
// CHECK-LABEL: func.func @gathered
// CHECK:       "tt.func"()
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: !tt.ptr<f32>, %[[TABLE:[^:]+]]: !tt.ptr<i64>, %[[BITS:[^:]+]]: !tt.ptr<i8>, %[[STRIDE:[^:]+]]: i64):
// CHECK:         %[[PLACES:[^ ]+]] = "tt.addptr"(%{{[^ ]+}}, %[[I:[^ ]+]]) : (tensor<16x!tt.ptr<i64>>, tensor<16xi32>)
// CHECK:         %[[ROW:[^ ]+]] = "tt.load"(%[[PLACES]]) {{.*}}operandSegmentSizes = array<i32: 1, 0, 0>{{.*}} -> tensor<16xi64>
// CHECK:         %[[STRIDES:[^ ]+]] = "tt.splat"(%[[STRIDE]])
// CHECK:         arith.muli %[[ROW]], %[[STRIDES]] : tensor<16xi64>
// CHECK:         %[[BYTE:[^ ]+]] = "tt.load"(%{{.+}} -> tensor<16xi8>
// CHECK:         arith.cmpi ne, %[[BYTE]], %{{[^ ]+}} : tensor<16xi8>
#id = affine_map<(d0) -> (d0)>
func.func @gathered(%table: tensor<16xi64>, %bits: tensor<?x?xi1>) -> tensor<16xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %empty = tensor.empty() : tensor<16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %new = tensor.empty() : tensor<16xf32>
    %r = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%new : tensor<16xf32>) {
    ^bb0(%e: f32):
      %i = linalg.index 0 : index
      %place = tensor.extract %table[%i] : tensor<16xi64>
      %row = arith.index_cast %place : i64 to index
      %bit = tensor.extract %bits[%row, %i] : tensor<?x?xi1>
      %f = arith.select %bit, %one, %zero : f32
      linalg.yield %f : f32
    } -> tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// Scalars: bits come as bytes, small floats as their bits. What is computed from them outside is computed again inside,
// where its range is known: the square of a number of the call needs 64 bits, which a parameter has not.
// CHECK-LABEL: func.func @scalars
// CHECK-SAME:    %[[BIT:[^:]+]]: i1, %[[H:[^:]+]]: bf16, %[[N:[^:]+]]: index, %[[D:[^:]+]]: f64
// CHECK:         "tt_host.launch"({{.*}}, %[[N]], %[[BIT]], %[[H]], %[[D]]) {{.*}}index, i1, bf16, f64) -> tensor<16xf32>
// CHECK:       "tt.func"()
// CHECK-NEXT:  ^bb0(%{{[^:]+}}: !tt.ptr<f32>, %[[N:[^:]+]]: i32, %[[BIT:[^:]+]]: i8, %[[H:[^:]+]]: i16, %[[D:[^:]+]]: f64):
// CHECK-DAG:     arith.cmpi ne, %[[BIT]], %{{[^ ]+}} : i8
// CHECK-DAG:     arith.bitcast %[[H]] : i16 to bf16
// CHECK-DAG:     %[[WIDE:[^ ]+]] = arith.extsi %[[N]] : i32 to i64
// CHECK-DAG:     %[[SQUARE:[^ ]+]] = arith.muli %[[WIDE]], %[[WIDE]] : i64
// CHECK:         %[[SQUARES:[^ ]+]] = "tt.splat"(%[[SQUARE]]) : (i64) -> tensor<16xi64>
// CHECK:         arith.cmpi slt, %{{[^ ]+}}, %[[SQUARES]] : tensor<16xi64>
// tanh of the device's library, in f32.
// CHECK:         "tt.extern_elementwise"(%{{[^ ]+}}) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanhf"}
// CHECK:         "tt.extern_elementwise"(%[[D]]) {libname = "libdevice", libpath = "", pure = true, symbol = "__nv_tanh"} : (f64) -> f64
// OPTIONS-LABEL: func.func @scalars
// OPTIONS:         "tt.extern_elementwise"(%{{[^ ]+}}) {libname = "ocml", libpath = "", pure = true, symbol = "__ocml_tanh_f32"}
// OPTIONS:         "tt.extern_elementwise"(%{{[^ ]+}}) {libname = "ocml", libpath = "", pure = true, symbol = "__ocml_tanh_f64"}
#id = affine_map<(d0) -> (d0)>
func.func @scalars(%bit: i1, %h: bf16, %n: index, %d: f64) -> tensor<16xf32> {
  %zero = arith.constant 0.0 : f32
  %square = arith.muli %n, %n : index
  %empty = tensor.empty() : tensor<16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %new = tensor.empty() : tensor<16xf32>
    %r = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%new : tensor<16xf32>) {
    ^bb0(%e: f32):
      %i = linalg.index 0 : index
      %less = arith.cmpi slt, %i, %square : index
      %both = arith.andi %less, %bit : i1
      %w = arith.extf %h : bf16 to f32
      %tanh = math.tanh %w : f32
      %dt = math.tanh %d : f64
      %ds = arith.truncf %dt : f64 to f32
      %sum = arith.addf %tanh, %ds : f32
      %f = arith.select %both, %sum, %zero : f32
      linalg.yield %f : f32
    } -> tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// Parts of a tile are gathered in registers: the halves of 64 features are taken, and put together in the other order.
// CHECK-LABEL: func.func @swapped
// CHECK:         %[[X:[^ ]+]] = "tt.load"(%{{.+}} -> tensor<16x64xf32>
// CHECK:         %[[LEFT:[^ ]+]] = "tt.gather"(%[[X]], %{{[^ ]+}}) {axis = 1 : i32} : (tensor<16x64xf32>, tensor<16x32xi32>) -> tensor<16x32xf32>
// CHECK:         %[[RIGHT:[^ ]+]] = "tt.gather"(%[[X]], %{{[^ ]+}}) {axis = 1 : i32} : (tensor<16x64xf32>, tensor<16x32xi32>) -> tensor<16x32xf32>
// Elements beyond the part are not taken.
// CHECK:         %[[WIDE:[^ ]+]] = "tt.gather"(%[[RIGHT]], %{{[^ ]+}}) {axis = 1 : i32} : (tensor<16x32xf32>, tensor<16x64xi32>) -> tensor<16x64xf32>
// CHECK:         %[[FIRST:[^ ]+]] = arith.select %{{[^ ]+}}, %[[WIDE]], %{{[^ ]+}} : tensor<16x64xi1>, tensor<16x64xf32>
// CHECK:         %[[THEN:[^ ]+]] = "tt.gather"(%[[LEFT]], %{{[^ ]+}}) {axis = 1 : i32} : (tensor<16x32xf32>, tensor<16x64xi32>) -> tensor<16x64xf32>
// CHECK:         %[[BOTH:[^ ]+]] = arith.select %{{[^ ]+}}, %[[THEN]], %[[FIRST]]
// CHECK:         "tt.store"(%{{[^ ]+}}, %[[BOTH]])
func.func @swapped(%x: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %zeros = arith.constant dense<0.0> : tensor<16x64xf32>
  %empty = tensor.empty() : tensor<16x64xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x64xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 64] [1, 1] : tensor<16x64xf32> to tensor<16x64xf32>
    %left = tensor.extract_slice %tile[0, 0] [16, 32] [1, 1] : tensor<16x64xf32> to tensor<16x32xf32>
    %right = tensor.extract_slice %tile[0, 32] [16, 32] [1, 1] : tensor<16x64xf32> to tensor<16x32xf32>
    %first = tensor.insert_slice %right into %zeros[0, 0] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<16x64xf32>
    %both = tensor.insert_slice %left into %first[0, 32] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<16x64xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %both into %out[0, 0] [16, 64] [1, 1] : tensor<16x64xf32> into tensor<16x64xf32>
    }
  }
  return %o : tensor<16x64xf32>
}

// -----

// A bound and a position that were hidden from simplification are what they were: the loop has one turn.
// CHECK-LABEL: func.func @one_turn
// CHECK-NOT:     tt_host.hidden
// CHECK:         "tt_host.launch"(
// CHECK:         "tt.func"
// CHECK-NOT:     {{tt_host.hidden|scf.for}}
// CHECK:         arith.addf
// CHECK-NOT:     tt_host.hidden
// CHECK:         "tt.store"
func.func @one_turn(%x: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %empty = tensor.empty() : tensor<16x64xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x64xf32>) {
    %first = "tt_host.hidden"(%t) : (index) -> index
    %n = "tt_host.hidden"(%c1) : (index) -> index
    %tile = tensor.extract_slice %x[%first, 0] [16, 64] [1, 1] : tensor<16x64xf32> to tensor<16x64xf32>
    %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %tile) -> (tensor<16x64xf32>) {
      %more = linalg.add ins(%s, %tile : tensor<16x64xf32>, tensor<16x64xf32>) outs(%empty : tensor<16x64xf32>) -> tensor<16x64xf32>
      scf.yield %more : tensor<16x64xf32>
    }
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %sum into %out[%first, 0] [16, 64] [1, 1] : tensor<16x64xf32> into tensor<16x64xf32>
    }
  }
  return %o : tensor<16x64xf32>
}

// -----

// A tensor that exists before is an argument which the kernel reads and writes. Its store comes where the tile is known.
// CHECK-LABEL: func.func @updated
// CHECK-SAME:    %[[X:[^ ]+]]: tensor<16xf32>
// CHECK:         "tt_host.launch"(%{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, %[[X]]) {kernel = @updated_0, outputs = array<i64: 0, 1>}
// CHECK:         "tt.func"
// CHECK:         ^{{.+}}(%[[O:[^ ]+]]: !tt.ptr<f32>, %[[STATE:[^ ]+]]: !tt.ptr<f32>):
// CHECK:         "tt.load"
// CHECK:         %[[NEW:[^ ]+]] = arith.negf
// CHECK:         "tt.store"(%{{.+}}, %[[NEW]])
// CHECK:         "tt.reduce"
// CHECK:         "tt.store"(%[[O]], %{{.+}})
func.func @updated(%x: tensor<16xf32>) -> (tensor<f32>, tensor<16xf32>) {
  %empty = tensor.empty() : tensor<f32>
  %0:2 = scf.forall (%t) in (1) shared_outs(%o = %empty, %state = %x) -> (tensor<f32>, tensor<16xf32>) {
    %tile = tensor.extract_slice %state[0] [16] [1] : tensor<16xf32> to tensor<16xf32>
    %new = linalg.generic {indexing_maps = [affine_map<(d) -> (d)>, affine_map<(d) -> (d)>], iterator_types = ["parallel"]} ins(%tile : tensor<16xf32>) outs(%tile : tensor<16xf32>) {
    ^bb0(%a: f32, %b: f32):
      %n = arith.negf %a : f32
      linalg.yield %n : f32
    } -> tensor<16xf32>
    %zero = arith.constant dense<0.0> : tensor<f32>
    %sum = linalg.reduce {arith.addf} ins(%new : tensor<16xf32>) outs(%zero : tensor<f32>) dimensions = [0]
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %sum into %o[] [] [] : tensor<f32> into tensor<f32>
      tensor.parallel_insert_slice %new into %state[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %0#0, %0#1 : tensor<f32>, tensor<16xf32>
}
