// RUN: aec-opt %s --split-input-file --verify-diagnostics --attn-derive-online=max-passes=1
// RUN: not aec-opt %s --attn-derive-online=max-passes=0 2>&1 | FileCheck %s --check-prefix=PASSES
// RUN: not aec-opt %s --attn-derive-online=lazy-rescale=12 2>&1 | FileCheck %s --check-prefix=LAZY

// PASSES: aec-opt: error: pass 'attn-derive-online': expects max-passes to be at least 1, got 0
// LAZY: aec-opt: error: pass 'attn-derive-online': expects lazy-rescale to be 0 to 11, got 12

// More passes than are allowed, on the first reduction that is left
func.func @deviation(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %a = math.absf %c : f32
    // expected-error @below {{'attn.row_reduce' op expects a normaliser of at most 1 pass over the keys; reduction 2 does not separate: s - r1 / r0 needs |a b| = |a| |b| of one product}}
    %x = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %a, %x : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// On the op, where it is the weight that does not separate
func.func @above_mean(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  // expected-error @below {{'attn.attention' op expects a normaliser of at most 1 pass over the keys; the weight does not separate: max(s - r1 / r0, 0) needs max(a + r, b + r) = max(a, b) + r or the same of a factor}}
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %p = arith.maximumf %c, %zero : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// A condition of both
func.func @where_above(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  // expected-error @below {{the weight does not separate: r0 * s > 1 needs a condition of s alone or of r alone}}
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %zero = arith.constant 0.0 : f32
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %half = arith.mulf %m, %s : f32
    %keep = arith.cmpf ogt, %half, %one : f32
    %p = arith.select %keep, %s, %zero : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}
