// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-fold-exponents | FileCheck %s

// A step of softmax: the maximum is taken of the product, and multiplied for each row; the exponent of a score is one
// product and difference, with scale * log2 e and the row's maximum * log2 e. Differences of rows are multiplied.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[Q:[^:]+]]: tensor<64x64xf32>, %[[OLD:[^:]+]]: tensor<64xf32>)
// CHECK-DAG:     %[[LOG2E:[^ ]+]] = arith.constant 1.44269502 : f32
// CHECK-DAG:     %[[BOTH:[^ ]+]] = arith.constant 0.180336878 : f32
// CHECK-DAG:     %[[SCALE:[^ ]+]] = arith.constant 1.250000e-01 : f32
// CHECK:         %[[Y:[^ ]+]] = "tt.dot"(%[[Q]]
// CHECK-NEXT:    %[[ROWMAX:[^ ]+]] = "tt.reduce"(%[[Y]])
// CHECK:           arith.maximumf
// CHECK:         %[[SCALES:[^ ]+]] = "tt.splat"(%[[SCALE]]) : (f32) -> tensor<64xf32>
// CHECK:         %[[SCALED:[^ ]+]] = arith.mulf %[[ROWMAX]], %[[SCALES]] : tensor<64xf32>
// CHECK:         %[[M:[^ ]+]] = arith.maximumf %[[OLD]], %[[SCALED]] : tensor<64xf32>
// CHECK:         %[[FACTORS:[^ ]+]] = "tt.splat"(%[[BOTH]]) : (f32) -> tensor<64x64xf32>
// CHECK:         %[[S:[^ ]+]] = arith.mulf %[[Y]], %[[FACTORS]] : tensor<64x64xf32>
// CHECK:         %[[T:[^ ]+]] = arith.mulf %[[M]], %{{[^ ]+}} : tensor<64xf32>
// CHECK:         %[[COLUMN:[^ ]+]] = "tt.expand_dims"(%[[T]])
// CHECK:         %[[SPREAD:[^ ]+]] = "tt.broadcast"(%[[COLUMN]])
// CHECK:         %[[D:[^ ]+]] = arith.subf %[[S]], %[[SPREAD]] : tensor<64x64xf32>
// CHECK:         %[[P:[^ ]+]] = math.exp2 %[[D]] : tensor<64x64xf32>
// CHECK:         %[[STEP:[^ ]+]] = arith.subf %[[OLD]], %[[M]] : tensor<64xf32>
// CHECK:         %[[LOG2ES:[^ ]+]] = "tt.splat"(%[[LOG2E]]) : (f32) -> tensor<64xf32>
// CHECK:         %[[TIMES:[^ ]+]] = arith.mulf %[[STEP]], %[[LOG2ES]] : tensor<64xf32>
// CHECK:         %[[RESCALE:[^ ]+]] = math.exp2 %[[TIMES]] : tensor<64xf32>
// CHECK-NOT:     arith.
// CHECK:         "test.use"(%[[P]], %[[RESCALE]], %[[M]])
"tt.func"() ({
^bb0(%q: tensor<64x64xf32>, %old: tensor<64xf32>):
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %c = arith.constant 0.125 : f32
  %y = "tt.dot"(%q, %q, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %scale = "tt.splat"(%c) : (f32) -> tensor<64x64xf32>
  %s = arith.mulf %y, %scale : tensor<64x64xf32>
  %r = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  %m = arith.maximumf %old, %r : tensor<64xf32>
  %column = "tt.expand_dims"(%m) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x64xf32>
  %d = arith.subf %s, %spread : tensor<64x64xf32>
  %p = math.exp %d : tensor<64x64xf32>
  %step = arith.subf %old, %m : tensor<64xf32>
  %rescale = math.exp %step : tensor<64xf32>
  "test.use"(%p, %rescale, %m) : (tensor<64x64xf32>, tensor<64xf32>, tensor<64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "softmax"} : () -> ()

// -----

// With a mask: the choice is of the product. What else needs the masked score gets it times the constant.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[MASK:[^:]+]]: tensor<64x64xi1>, %[[Q:[^:]+]]: tensor<64x64xf32>
// CHECK:         %[[Y:[^ ]+]] = "tt.dot"
// CHECK:         %[[CHOSEN:[^ ]+]] = arith.select %[[MASK]], %[[Y]], %{{[^ ]+}} : tensor<64x64xi1>, tensor<64x64xf32>
// CHECK:         %[[S:[^ ]+]] = arith.mulf %[[CHOSEN]], %{{[^ ]+}} : tensor<64x64xf32>
// CHECK:         "tt.reduce"(%[[CHOSEN]])
// CHECK:         "test.use"(%[[S]])
"tt.func"() ({
^bb0(%mask: tensor<64x64xi1>, %q: tensor<64x64xf32>):
  %zero = arith.constant dense<0.0> : tensor<64x64xf32>
  %lowest = arith.constant dense<0xFF800000> : tensor<64x64xf32>
  %scale = arith.constant dense<0.125> : tensor<64x64xf32>
  %y = "tt.dot"(%q, %q, %zero) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %s = arith.mulf %scale, %y : tensor<64x64xf32>
  %chosen = arith.select %mask, %s, %lowest : tensor<64x64xi1>, tensor<64x64xf32>
  %r = "tt.reduce"(%chosen) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  "test.use"(%chosen) : (tensor<64x64xf32>) -> ()
  "test.use"(%r) : (tensor<64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "masked"} : () -> ()

// -----

// A negative factor and one of a choice beside a number that it would change stay where they are; so does the factor of a
// sum. That of a minimum moves.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[MASK:[^:]+]]: tensor<64x64xi1>, %[[X:[^:]+]]: tensor<64x64xf32>
// CHECK:         %[[NEGATIVE:[^ ]+]] = arith.mulf %[[X]]
// CHECK:         "tt.reduce"(%[[NEGATIVE]])
// CHECK:         %[[POSITIVE:[^ ]+]] = arith.divf %[[X]]
// CHECK:         arith.select %[[MASK]], %[[POSITIVE]]
// CHECK:         "tt.reduce"(%[[POSITIVE]])
// CHECK:           arith.addf
// CHECK:         %[[LEAST:[^ ]+]] = "tt.reduce"(%[[X]])
// CHECK:           arith.minnumf
// CHECK:         arith.divf %[[LEAST]], %{{[^ ]+}} : tensor<64xf32>
"tt.func"() ({
^bb0(%mask: tensor<64x64xi1>, %x: tensor<64x64xf32>):
  %minus = arith.constant dense<-2.0> : tensor<64x64xf32>
  %three = arith.constant dense<3.0> : tensor<64x64xf32>
  %one = arith.constant dense<1.0> : tensor<64x64xf32>
  %n = arith.mulf %x, %minus : tensor<64x64xf32>
  %r = "tt.reduce"(%n) ({
  ^bb0(%a: f32, %b: f32):
    %m = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%m) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  %third = arith.divf %x, %three : tensor<64x64xf32>
  %chosen = arith.select %mask, %third, %one : tensor<64x64xi1>, tensor<64x64xf32>
  %sum = "tt.reduce"(%third) ({
  ^bb0(%a: f32, %b: f32):
    %m = arith.addf %a, %b : f32
    "tt.reduce.return"(%m) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  %least = "tt.reduce"(%third) ({
  ^bb0(%a: f32, %b: f32):
    %m = arith.minnumf %b, %a : f32
    "tt.reduce.return"(%m) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
  "test.use"(%r, %sum, %least, %chosen) : (tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "kept"} : () -> ()

// -----

// A score with a bias may be the lowest number, and so may its row: rows of 2^27 and more get the factor 1.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[S:[^:]+]]: tensor<64x64xf32>, %[[M:[^:]+]]: tensor<64xf32>)
// CHECK-DAG:     %[[LOG2E:[^ ]+]] = arith.constant 1.44269502 : f32
// CHECK-DAG:     %[[ONE:[^ ]+]] = arith.constant 1.000000e+00 : f32
// CHECK-DAG:     %[[COARSE:[^ ]+]] = arith.constant 0x4D000000 : f32
// CHECK:         %[[SIZE:[^ ]+]] = math.absf %[[M]]
// CHECK:         %[[FITS:[^ ]+]] = arith.cmpf olt, %[[SIZE]]
// CHECK:         %[[FACTORS:[^ ]+]] = arith.select %[[FITS]]
// CHECK-DAG:     %[[T:[^ ]+]] = arith.mulf %[[M]], %[[FACTORS]] : tensor<64xf32>
// CHECK-DAG:     "tt.expand_dims"(%[[T]])
// CHECK-DAG:     "tt.expand_dims"(%[[FACTORS]])
// CHECK:         %[[PRODUCT:[^ ]+]] = arith.mulf %[[S]]
// CHECK:         %[[D:[^ ]+]] = arith.subf %[[PRODUCT]]
// CHECK:         math.exp2 %[[D]]
"tt.func"() ({
^bb0(%s: tensor<64x64xf32>, %m: tensor<64xf32>):
  %column = "tt.expand_dims"(%m) {axis = 1 : i32} : (tensor<64xf32>) -> tensor<64x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<64x1xf32>) -> tensor<64x64xf32>
  %d = arith.subf %s, %spread : tensor<64x64xf32>
  %p = math.exp %d : tensor<64x64xf32>
  "test.use"(%p) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "biased"} : () -> ()

// -----

// Of sigmoid: -(x / 2 - 3) is one product and sum, x * (-log2 e / 2) - -3 log2 e.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[X:[^:]+]]: tensor<64x64xf32>)
// CHECK-DAG:     %[[FACTOR:[^ ]+]] = arith.constant -0.72134751 : f32
// CHECK-DAG:     %[[BIAS:[^ ]+]] = arith.constant -4.32808495 : f32
// CHECK-DAG:     %[[FACTORS:[^ ]+]] = "tt.splat"(%[[FACTOR]])
// CHECK-DAG:     %[[BIASES:[^ ]+]] = "tt.splat"(%[[BIAS]])
// CHECK-DAG:     %[[PRODUCT:[^ ]+]] = arith.mulf %[[X]], %[[FACTORS]]
// CHECK:         %[[SUM:[^ ]+]] = arith.subf %[[PRODUCT]], %[[BIASES]]
// CHECK-NEXT:    math.exp2 %[[SUM]]
"tt.func"() ({
^bb0(%x: tensor<64x64xf32>):
  %two = arith.constant dense<2.0> : tensor<64x64xf32>
  %three = arith.constant dense<3.0> : tensor<64x64xf32>
  %none = arith.constant dense<-0.0> : tensor<64x64xf32>
  %half = arith.divf %x, %two : tensor<64x64xf32>
  %s = arith.subf %half, %three : tensor<64x64xf32>
  %n = arith.subf %none, %s : tensor<64x64xf32>
  %e = math.exp %n : tensor<64x64xf32>
  "test.use"(%e) : (tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "sigmoid"} : () -> ()

// -----

// Choices and extremes are multiplied inside, if that needs no further product; a factor of the call is multiplied as a
// scalar. exp(x * ln 2) needs no product at all.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[MASK:[^:]+]]: tensor<64x64xi1>, %[[X:[^:]+]]: tensor<64x64xf32>, %[[F:[^:]+]]: f32)
// CHECK:         %[[LEAST:[^ ]+]] = arith.minimumf %{{[^,]+}}, %{{[^ ]+}} : tensor<64x64xf32>
// CHECK:         %[[CHOSEN:[^ ]+]] = arith.select %[[MASK]], %[[LEAST]]
// CHECK-NEXT:    math.exp2 %[[CHOSEN]]
// CHECK:         %[[FACTOR:[^ ]+]] = arith.mulf %[[F]], %{{[^ ]+}} : f32
// CHECK:         "tt.splat"(%[[FACTOR]])
// CHECK-NEXT:    %[[PRODUCT:[^ ]+]] = arith.mulf %{{[^ ]+}}, %[[X]] : tensor<64x64xf32>
// CHECK-NEXT:    math.exp2 %[[PRODUCT]]
// CHECK-NEXT:    math.exp2 %[[X]]
"tt.func"() ({
^bb0(%mask: tensor<64x64xi1>, %x: tensor<64x64xf32>, %f: f32):
  %two = arith.constant dense<2.0> : tensor<64x64xf32>
  %three = arith.constant dense<3.0> : tensor<64x64xf32>
  %ln2 = arith.constant dense<0.693147182> : tensor<64x64xf32>
  %double = arith.mulf %x, %two : tensor<64x64xf32>
  %least = arith.minimumf %double, %three : tensor<64x64xf32>
  %chosen = arith.select %mask, %least, %two : tensor<64x64xi1>, tensor<64x64xf32>
  %e = math.exp %chosen : tensor<64x64xf32>
  %factor = "tt.splat"(%f) : (f32) -> tensor<64x64xf32>
  %product = arith.mulf %factor, %x : tensor<64x64xf32>
  %g = math.exp %product : tensor<64x64xf32>
  %small = arith.mulf %x, %ln2 : tensor<64x64xf32>
  %h = math.exp %small : tensor<64x64xf32>
  "test.use"(%e, %g, %h) : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "inside"} : () -> ()

// -----

// What is needed elsewhere, or comes from outside of a loop, is multiplied as it is: nothing is computed twice.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[S:[^ ]+]] = arith.addf
// CHECK:         %[[OUTSIDE:[^ ]+]] = arith.addf
// CHECK:         %[[PRODUCT:[^ ]+]] = arith.mulf %[[S]]
// CHECK:         math.exp2 %[[PRODUCT]]
// CHECK:         scf.for
// CHECK-NEXT:      tt.splat
// CHECK-NEXT:      %[[INSIDE:[^ ]+]] = arith.mulf %[[OUTSIDE]]
// CHECK-NEXT:      math.exp2 %[[INSIDE]]
"tt.func"() ({
^bb0(%x: tensor<64x64xf32>, %n: i32):
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %two = arith.constant dense<2.0> : tensor<64x64xf32>
  %s = arith.addf %x, %two : tensor<64x64xf32>
  %outside = arith.addf %x, %x : tensor<64x64xf32>
  %e = math.exp %s : tensor<64x64xf32>
  "test.use"(%e, %s) : (tensor<64x64xf32>, tensor<64x64xf32>) -> ()
  scf.for %i = %zero to %n step %one : i32 {
    %g = math.exp %outside : tensor<64x64xf32>
    "test.use"(%g) : (tensor<64x64xf32>) -> ()
  }
  "tt.return"() : () -> ()
}) {sym_name = "needed"} : () -> ()

// -----

// Constants whose product f32 does not hold with all bits stay.
// CHECK-LABEL: "tt.func"
// CHECK-DAG:     %[[LARGE:[^ ]+]] = arith.constant dense<3.000000e+38>
// CHECK-DAG:     %[[TINY:[^ ]+]] = arith.constant dense<1.000000e-39>
// CHECK:         %[[A:[^ ]+]] = arith.mulf %{{[^ ]+}}, %[[LARGE]]
// CHECK:         %[[B:[^ ]+]] = arith.mulf %[[A]]
// CHECK:         math.exp2 %[[B]]
// CHECK:         %[[C:[^ ]+]] = arith.mulf %{{[^ ]+}}, %[[TINY]]
// CHECK:         %[[D:[^ ]+]] = arith.mulf %[[C]]
// CHECK:         math.exp2 %[[D]]
"tt.func"() ({
^bb0(%x: tensor<64x64xf32>):
  %large = arith.constant dense<3.0e38> : tensor<64x64xf32>
  %tiny = arith.constant dense<1.0e-39> : tensor<64x64xf32>
  %a = arith.mulf %x, %large : tensor<64x64xf32>
  %e = math.exp %a : tensor<64x64xf32>
  %c = arith.mulf %x, %tiny : tensor<64x64xf32>
  %g = math.exp %c : tensor<64x64xf32>
  "test.use"(%e, %g) : (tensor<64x64xf32>, tensor<64x64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "limits"} : () -> ()
