// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --explain tt-scale-weights --tt-scale-weights | FileCheck %s

// What has the factor is not multiplied or added in f16, where it may be too large.
// CHECK: kernel @f16:
// CHECK-NEXT:   weights 0: as they are, for 'arith.mulf' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %ones = arith.constant dense<1.0> : tensor<32x32xf32>
  %k = arith.constant dense<1024.0> : tensor<32x32xf16>
  %e = math.exp2 %s : tensor<32x32xf32>
  %total = arith.addf %e, %ones : tensor<32x32xf32>
  %p = arith.divf %ones, %total : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %w2 = arith.mulf %w, %k : tensor<32x32xf16>
  %o2 = "tt.dot"(%w2, %v, %o) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o2) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "f16"} : () -> ()

// -----

// However small weights are, neither the factor nor its inverse leaves f32.
// CHECK: kernel @tiny:
// CHECK-NEXT:   weights 0: times 1.84467e+19
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %ones = arith.constant dense<1.0e-38> : tensor<32x32xf32>
  %one = arith.constant dense<1.0> : tensor<32x32xf32>
  %e = math.exp2 %s : tensor<32x32xf32>
  %total = arith.addf %e, %one : tensor<32x32xf32>
  %p = arith.divf %ones, %total : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %question = arith.mulf %o, %zeros : tensor<32x32xf32>
  "test.use"(%o, %question) : (tensor<32x32xf32>, tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "tiny"} : () -> ()

// -----

// The accumulator of one stream is asked, and that of the power is not.
// CHECK: kernel @two:
// CHECK-NEXT:   weights 0: times 128
// CHECK-NEXT:   weights 1: times 128
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %ones = arith.constant dense<1.0> : tensor<32x32xf32>
  %e = math.exp2 %t : tensor<32x32xf32>
  %total = arith.addf %e, %ones : tensor<32x32xf32>
  %p = arith.divf %ones, %total : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %question = arith.mulf %o, %zeros : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p2 = math.exp2 %d : tensor<32x32xf32>
  %w2 = arith.truncf %p2 : tensor<32x32xf32> to tensor<32x32xf16>
  %o2 = "tt.dot"(%w2, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o, %question, %o2) : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "two"} : () -> ()

// -----

// Neither as an accumulator.
// CHECK: kernel @acc16:
// CHECK-NEXT:   weights 0: as they are, for 'arith.addf' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>, %q: tensor<32x32xf16>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %h = arith.constant dense<0.0> : tensor<32x32xf16>
  %p = arith.constant dense<1.0> : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %w1 = arith.addf %w, %w : tensor<32x32xf16>
  %sum = "tt.reduce"(%w) ({
  ^bb0(%a: f16, %b: f16):
    %x = arith.addf %a, %b : f16
    "tt.reduce.return"(%x) : (f16) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf16>) -> tensor<32xf16>
  %o0 = "tt.dot"(%w, %v, %h) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf16>) -> tensor<32x32xf16>
  %o = "tt.dot"(%o0, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "acc16"} : () -> ()

// -----

// Two powers, each of which may exceed 1 by rounding.
// CHECK: kernel @square:
// CHECK-NEXT:   weights 0: times 1
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %v: tensor<32x32xf16>, %r: tensor<32x32xf32>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %pp = arith.mulf %p, %p : tensor<32x32xf32>
  %w = arith.truncf %pp : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "square"} : () -> ()

// -----

// A factor between s and what the maximum is of that is more than rounding.
// CHECK: kernel @same:
// CHECK-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%y: tensor<32x32xf32>, %v: tensor<32x32xf16>):
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %c1 = arith.constant dense<1.00000072> : tensor<32x32xf32>
  %s = arith.mulf %y, %c1 : tensor<32x32xf32>
  %row = "tt.reduce"(%y) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
  %o = "tt.dot"(%w, %v, %zeros) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
  "test.use"(%o) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "same"} : () -> ()
