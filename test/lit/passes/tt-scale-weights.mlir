// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-scale-weights | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --explain tt-scale-weights --tt-scale-weights=exponent=12 | FileCheck %s --check-prefix=WHY

// Softmax in a loop: weights are at most 1, and the accumulator is multiplied back behind the loop. The question whether
// it is finite needs no other multiple; the sum of the weights is as it was.
// CHECK-LABEL: "tt.func"
// CHECK-DAG:     %[[SMALL:[^ ]+]] = arith.constant 3.05175781E-5 : f32
// CHECK-DAG:     %[[LARGE:[^ ]+]] = arith.constant 3.276800e+04 : f32
// CHECK:         %[[LOOP:[^:]+]]:3 = scf.for
// CHECK-SAME:        iter_args(%{{[^ ]+}} = %{{[^ ]+}}, %{{[^ ]+}} = %{{[^ ]+}}, %[[ACC:[^ ]+]] = %{{[^ ]+}})
// CHECK:           %[[P:[^ ]+]] = math.exp2
// CHECK:           "tt.reduce"(%[[P]])
// CHECK:           %[[OLD:[^ ]+]] = arith.mulf %[[ACC]]
// CHECK:           %[[FACTORS:[^ ]+]] = "tt.splat"(%[[LARGE]])
// CHECK:           %[[SCALED:[^ ]+]] = arith.mulf %[[P]], %[[FACTORS]] : tensor<32x32xf32>
// CHECK:           %[[W:[^ ]+]] = arith.truncf %[[SCALED]]
// CHECK:           %[[NEW:[^ ]+]] = "tt.dot"(%[[W]], %{{[^ ]+}}, %[[OLD]])
// CHECK:           scf.yield %{{[^ ]+}}, %{{[^ ]+}}, %[[NEW]]
// CHECK:         %[[BACKS:[^ ]+]] = "tt.splat"(%[[SMALL]])
// CHECK:         %[[BACK:[^ ]+]] = arith.mulf %[[LOOP]]#2, %[[BACKS]]
// CHECK:         %[[ZEROS:[^ ]+]] = arith.mulf %[[LOOP]]#2
// CHECK:         "test.use"(%[[LOOP]]#1, %[[BACK]], %[[ZEROS]])
// WHY:      kernel @softmax:
// WHY-NEXT:   weights 0: times 4096
"tt.func"() ({
^bb0(%q: tensor<32x32xf16>, %k: tensor<32x32xf16>, %v: tensor<32x32xf16>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %scale = arith.constant dense<0.25> : tensor<32xf32>
  %both = arith.constant dense<0.360673755> : tensor<32x32xf32>
  %log2e = arith.constant dense<1.44269502> : tensor<32xf32>
  %low = arith.constant dense<0xFF800000> : tensor<32xf32>
  %none = arith.constant dense<0.0> : tensor<32xf32>
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %r:3 = scf.for %t = %c0 to %n step %c1 iter_args(%m = %low, %l = %none, %acc = %zeros) -> (tensor<32xf32>, tensor<32xf32>, tensor<32x32xf32>) : i32 {
    %y = "tt.dot"(%q, %k, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    %row = "tt.reduce"(%y) ({
    ^bb0(%a: f32, %b: f32):
      %x = arith.maximumf %a, %b : f32
      "tt.reduce.return"(%x) : (f32) -> ()
    }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
    %scaled = arith.mulf %row, %scale : tensor<32xf32>
    %new = arith.maximumf %m, %scaled : tensor<32xf32>
    %empty = arith.cmpf oeq, %new, %low : tensor<32xf32>
    %finite = arith.select %empty, %none, %new : tensor<32xi1>, tensor<32xf32>
    %s = arith.mulf %y, %both : tensor<32x32xf32>
    %ms = arith.mulf %finite, %log2e : tensor<32xf32>
    %column = "tt.expand_dims"(%ms) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
    %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
    %d = arith.subf %s, %spread : tensor<32x32xf32>
    %p = math.exp2 %d : tensor<32x32xf32>
    %sum = "tt.reduce"(%p) ({
    ^bb0(%a: f32, %b: f32):
      %x = arith.addf %a, %b : f32
      "tt.reduce.return"(%x) : (f32) -> ()
    }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
    %step = arith.subf %m, %finite : tensor<32xf32>
    %alpha = math.exp %step : tensor<32xf32>
    %l0 = arith.mulf %alpha, %l : tensor<32xf32>
    %l1 = arith.addf %l0, %sum : tensor<32xf32>
    %alphas1 = "tt.expand_dims"(%alpha) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
    %alphas = "tt.broadcast"(%alphas1) : (tensor<32x1xf32>) -> tensor<32x32xf32>
    %old = arith.mulf %acc, %alphas : tensor<32x32xf32>
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %acc1 = "tt.dot"(%w, %v, %old) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new, %l1, %acc1 : tensor<32xf32>, tensor<32xf32>, tensor<32x32xf32>
  }
  %question = arith.mulf %r#2, %zeros : tensor<32x32xf32>
  "test.use"(%r#1, %r#2, %question) : (tensor<32xf32>, tensor<32x32xf32>, tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "softmax"} : () -> ()

// -----

// Two loops share an accumulator, which a branch within a loop gives back as it was: there is one multiple, behind both.
// Nobody asks whether it is finite, so that room is left for the rounding of s and m.
// CHECK-LABEL: "tt.func"
// CHECK-DAG:     %[[SMALL:[^ ]+]] = arith.constant 7.812500e-03 : f32
// CHECK-DAG:     arith.constant 1.280000e+02 : f32
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             arith.mulf %[[P:[^ ]+]], %{{[^ ]+}} : tensor<32x32xf32>
// CHECK-NEXT:        arith.truncf
// CHECK:         %[[LOOP:[^ ]+]] = scf.for
// CHECK:             arith.truncf
// CHECK:         %[[BACKS:[^ ]+]] = "tt.splat"(%[[SMALL]])
// CHECK:         %[[BACK:[^ ]+]] = arith.mulf %[[LOOP]], %[[BACKS]]
// CHECK:         "test.use"(%[[BACK]])
// WHY:      kernel @two_loops:
// WHY-NEXT:   weights 0: times 16
// WHY-NEXT:   weights 1: times 16
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>, %n: i32, %bit: i1):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maxnumf %b, %a : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %first = scf.for %t = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %next = scf.if %bit -> (tensor<32x32xf32>) {
      %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
      %acc1 = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
      scf.yield %acc1 : tensor<32x32xf32>
    } else {
      scf.yield %acc : tensor<32x32xf32>
    }
    scf.yield %next : tensor<32x32xf32>
  }
  %second = scf.for %t = %c0 to %n step %c1 iter_args(%acc = %first) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %product = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    %acc1 = arith.addf %acc, %product : tensor<32x32xf32>
    scf.yield %acc1 : tensor<32x32xf32>
  }
  "test.use"(%second) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "two_loops"} : () -> ()

// -----

// Sigmoid, with a mask, and transposed for the product; there is no loop, and the other way out of the branch is without
// the factor, so that it is multiplied back before.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = arith.select
// CHECK:         %[[SCALED:[^ ]+]] = arith.mulf %[[P]]
// CHECK:         %[[W:[^ ]+]] = arith.truncf %[[SCALED]]
// CHECK:         %[[TURNED:[^ ]+]] = "tt.trans"(%[[W]])
// CHECK:         %[[NEW:[^ ]+]] = "tt.dot"(%{{[^ ]+}}, %[[TURNED]], %{{[^ ]+}})
// CHECK:         %[[BACK:[^ ]+]] = arith.mulf %[[NEW]]
// CHECK:         scf.if
// CHECK-NEXT:      scf.yield %[[BACK]]
// WHY:      kernel @sigmoid:
// WHY-NEXT:   weights 0: times 4096
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>, %mask: tensor<32x32xi1>, %bit: i1, %other: tensor<32x32xf32>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %ones = arith.constant dense<1.0> : tensor<32x32xf32>
  %e = math.exp2 %s : tensor<32x32xf32>
  %total = arith.addf %e, %ones : tensor<32x32xf32>
  %sigmoid = arith.divf %ones, %total : tensor<32x32xf32>
  %p = arith.select %mask, %sigmoid, %zeros : tensor<32x32xi1>, tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %turned = "tt.trans"(%w) {order = array<i32: 1, 0>} : (tensor<32x32xf16>) -> tensor<32x32xf16>
  %o = "tt.dot"(%v, %turned, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %r = scf.if %bit -> (tensor<32x32xf32>) {
    scf.yield %o : tensor<32x32xf32>
  } else {
    scf.yield %other : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "sigmoid"} : () -> ()

// -----

// What is added to each row of s stands in m alone, and the factor of both is one of two numbers for each row. A product
// with 0 starts the accumulator as 0 does.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK:         arith.mulf %[[P]]
// WHY:      kernel @moved:
// WHY-NEXT:   weights 0: times 16
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %addend: tensor<32xf32>, %bits: tensor<32xi1>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %one = arith.constant dense<1.0> : tensor<32xf32>
  %log2e = arith.constant dense<1.44269502> : tensor<32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %moved = arith.addf %addend, %row : tensor<32xf32>
  %m = arith.maximumf %old, %moved : tensor<32xf32>
  %back = arith.subf %m, %addend : tensor<32xf32>
  %chosen = arith.select %bits, %row, %back : tensor<32xi1>, tensor<32xf32>
  %factor = arith.select %bits, %log2e, %one : tensor<32xi1>, tensor<32xf32>
  %ms = arith.mulf %chosen, %factor : tensor<32xf32>
  %column = "tt.expand_dims"(%ms) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %factors1 = "tt.expand_dims"(%factor) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %factors = "tt.broadcast"(%factors1) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %scaled = arith.mulf %s, %factors : tensor<32x32xf32>
  %d = arith.subf %scaled, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %none = arith.constant dense<0.0> : tensor<32xf32>
  %start0 = arith.mulf %none, %factor : tensor<32xf32>
  %start1 = "tt.expand_dims"(%start0) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %start = "tt.broadcast"(%start1) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %o = "tt.dot"(%w, %v, %start) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "moved"} : () -> ()

// -----

// Scores that are the same for all rows, times a number, and the maximum with something else.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK:         arith.mulf %[[P]]
// WHY:      kernel @columns:
// WHY-NEXT:   weights 0: times 16
"tt.func"() ({
^bb0(%s: tensor<32xf32>, %v: tensor<32x32xf16>, %sink: tensor<32xf32>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %log2e = arith.constant dense<1.44269502> : tensor<32xf32>
  %row = "tt.expand_dims"(%s) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %rows = "tt.broadcast"(%row) : (tensor<1x32xf32>) -> tensor<32x32xf32>
  %max = "tt.reduce"(%rows) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %m = arith.maximumf %max, %sink : tensor<32xf32>
  %ms = arith.mulf %m, %log2e : tensor<32xf32>
  %column = "tt.expand_dims"(%ms) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %scaled = arith.mulf %s, %log2e : tensor<32xf32>
  %scaled1 = "tt.expand_dims"(%scaled) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %scaleds = "tt.broadcast"(%scaled1) : (tensor<1x32xf32>) -> tensor<32x32xf32>
  %d = arith.subf %scaleds, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "columns"} : () -> ()

// -----

// Scores of which all in a row are one: the weights are computed once for each row.
// CHECK-LABEL: "tt.func"
// CHECK:         math.exp2
// CHECK:         %[[P:[^ ]+]] = "tt.broadcast"
// CHECK:         arith.mulf %[[P]]
// WHY:      kernel @rows:
// WHY-NEXT:   weights 0: times 16
"tt.func"() ({
^bb0(%s: f32, %v: tensor<32x32xf16>, %sink: tensor<32xf32>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %log2e = arith.constant dense<1.44269502> : tensor<32xf32>
  %all = "tt.splat"(%s) : (f32) -> tensor<32x32xf32>
  %max = "tt.reduce"(%all) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %m = arith.maximumf %max, %sink : tensor<32xf32>
  %each = "tt.splat"(%s) : (f32) -> tensor<32xf32>
  %d = arith.subf %each, %m : tensor<32xf32>
  %scaled = arith.mulf %d, %log2e : tensor<32xf32>
  %p = math.exp2 %scaled : tensor<32xf32>
  %column = "tt.expand_dims"(%p) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %ps = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %w = arith.truncf %ps : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "rows"} : () -> ()
