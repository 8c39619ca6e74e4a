// RUN: aec-opt %s --split-input-file -o %t.before
// RUN: aec-opt %s --split-input-file --attn-verify-online -o %t.after
// RUN: diff %t.before %t.after
// RUN: aec-opt %s --split-input-file --explain attn-verify-online | FileCheck %s

// The textbook form of softmax, written by hand: nothing but the regions is looked at.
// CHECK:      attn.online_attention 0: all laws hold
// CHECK-NEXT:   state 0: x0 becomes max(x0, max_j s)
// CHECK-NEXT:   state 1: x1 becomes x1 * exp(x0 - {{.*}}) + sum_j exp(s - {{.*}})
func.func @textbook(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 0.0 : f32
    %minus0 = arith.constant 0xFF800000 : f32
    "attn.yield"(%minus0, %zero0) : (f32, f32) -> ()
  }, {
  ^update(%m: f32, %l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %new = arith.maximumf %m, %tile : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %m, %ref : f32
    %rescale = math.exp %old : f32
    %d = arith.subf %s, %ref : f32
    %w = math.exp %d : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %l, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%ma: f32, %la: f32, %mb: f32, %lb: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %ma, %mb : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %ma, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %mb, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %la, %ra : f32
    %pb = arith.mulf %lb, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%m: f32, %l: f32, %b: index, %h: index, %i: index):
    %one = arith.constant 1.0 : f32
    %empty = arith.cmpf oeq, %l, %zero : f32
    %safe = arith.select %empty, %one, %l : f32
    %c = arith.divf %one, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A reference that follows the maximum at a distance may be anything.
// CHECK:      attn.online_attention 0: all laws hold
// CHECK-NEXT:   state 0: {{.*}}, a reference
func.func @lagging(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 0.0 : f32
    %minus0 = arith.constant 0xFF800000 : f32
    "attn.yield"(%minus0, %zero0) : (f32, f32) -> ()
  }, {
  ^update(%m: f32, %l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %lag = arith.constant 6.0 : f32
    %limit = arith.addf %m, %lag : f32
    %lags = arith.cmpf ugt, %tile, %limit : f32
    %most = arith.maximumf %m, %tile : f32
    %new = arith.select %lags, %most, %m : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %m, %ref : f32
    %rescale = math.exp %old : f32
    %d = arith.subf %s, %ref : f32
    %w = math.exp %d : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %l, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%ma: f32, %la: f32, %mb: f32, %lb: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %ma, %mb : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %ma, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %mb, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %la, %ra : f32
    %pb = arith.mulf %lb, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%m: f32, %l: f32, %b: index, %h: index, %i: index):
    %one = arith.constant 1.0 : f32
    %empty = arith.cmpf oeq, %l, %zero : f32
    %safe = arith.select %empty, %one, %l : f32
    %c = arith.divf %one, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// An empty row told by the maximum; weights and sums as products of powers.
// CHECK:      attn.online_attention 0: all laws hold
func.func @products(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 0.0 : f32
    %minus0 = arith.constant 0xFF800000 : f32
    "attn.yield"(%minus0, %zero0) : (f32, f32) -> ()
  }, {
  ^update(%m: f32, %l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %new = arith.maximumf %m, %tile : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %m, %ref : f32
    %rescale = math.exp %old : f32
    %half = arith.constant 0.5 : f32
    %d = arith.subf %s, %ref : f32
    %hd = arith.mulf %d, %half : f32
    %root = math.exp %hd : f32
    %w = arith.mulf %root, %root : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %l, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%ma: f32, %la: f32, %mb: f32, %lb: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %ma, %mb : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %ma, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %mb, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %la, %ra : f32
    %pb = arith.mulf %lb, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%m: f32, %l: f32, %b: index, %h: index, %i: index):
    %one = arith.constant 1.0 : f32
    %empty = arith.cmpf oeq, %m, %inf : f32
    %inverse = arith.divf %one, %l : f32
    %c = arith.select %empty, %zero, %inverse : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// Statistics: a sum, a count, and a sum of squares around 1.
// CHECK:      attn.online_reduce 0: all laws hold
func.func @statistics(%q: tensor<1x2x?x64xf64>, %k: tensor<1x2x?x64xf64>, %true: i1) -> tensor<1x2x?xf64> {
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %r = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f64, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero, %zero) : (f64, f64) -> ()
  }, {
  ^update(%n: f64, %x: f64, %s: f64, %b: index, %h: index, %i: index, %j: index):
    %dn = "attn.row_reduce"(%one) {kind = "sum"} : (f64) -> f64
    %d = arith.subf %s, %one : f64
    %dd = arith.mulf %d, %d : f64
    %dx = "attn.row_reduce"(%dd) {kind = "sum"} : (f64) -> f64
    %n1 = arith.addf %n, %dn : f64
    %x1 = arith.addf %dx, %x : f64
    "attn.yield"(%n1, %x1) : (f64, f64) -> ()
  }, {
  ^merge(%na: f64, %xa: f64, %nb: f64, %xb: f64, %b: index, %h: index, %i: index):
    %n = arith.addf %na, %nb : f64
    %x = arith.addf %xb, %xa : f64
    "attn.yield"(%n, %x) : (f64, f64) -> ()
  }, {
  ^finalize(%n: f64, %x: f64, %b: index, %h: index, %i: index):
    %m = arith.divf %x, %n : f64
    "attn.yield"(%m) : (f64) -> ()
  }) : (tensor<1x2x?x64xf64>, tensor<1x2x?x64xf64>) -> tensor<1x2x?xf64>
  return %r : tensor<1x2x?xf64>
}

// -----

// A variance from sums of powers about an anchor: here the largest score of the first tile, which depends on how the keys
// are cut. The sums move with it, and the result is the same for any anchor.
// CHECK:      attn.online_reduce 0: all laws hold
// CHECK-NEXT:   state 0: x0 becomes x0 + sum_j 1
// CHECK-NEXT:   state 1: {{.*}}, a reference
// CHECK-NEXT:   state 2: x2 becomes
// CHECK-NOT:    a reference
func.func @first_largest(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %r = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %h0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%h0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero, %zero, %zero, %zero) : (f32, f32, f32, f32) -> ()
  }, {
  ^update(%n: f32, %a: f32, %u1: f32, %u2: f32, %s: f32, %h0: index, %h: index, %i: index, %j: index):
    %dn = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %n1 = arith.addf %n, %dn : f32
    %largest = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %first = arith.cmpf oeq, %n, %zero : f32
    %some = arith.cmpf ogt, %n1, %zero : f32
    %start = arith.select %some, %largest, %zero : f32
    %a1 = arith.select %first, %start, %a : f32
    %d = arith.subf %a, %a1 : f32
    %x = arith.subf %s, %a1 : f32
    %dx = "attn.row_reduce"(%x) {kind = "sum"} : (f32) -> f32
    %nd = arith.mulf %n, %d : f32
    %kept1 = arith.addf %u1, %nd : f32
    %v1 = arith.addf %kept1, %dx : f32
    %xx = arith.mulf %x, %x : f32
    %dxx = "attn.row_reduce"(%xx) {kind = "sum"} : (f32) -> f32
    %twice = arith.addf %u1, %kept1 : f32
    %moved = arith.mulf %d, %twice : f32
    %kept2 = arith.addf %u2, %moved : f32
    %v2 = arith.addf %kept2, %dxx : f32
    "attn.yield"(%n1, %a1, %v1, %v2) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%na: f32, %a: f32, %ua: f32, %wa: f32, %nb: f32, %b: f32, %ub: f32, %wb: f32, %h0: index, %h: index, %i: index):
    %n = arith.addf %na, %nb : f32
    %none = arith.cmpf oeq, %na, %zero : f32
    %a1 = arith.select %none, %b, %a : f32
    %da = arith.subf %a, %a1 : f32
    %nda = arith.mulf %na, %da : f32
    %a1u = arith.addf %ua, %nda : f32
    %twicea = arith.addf %ua, %a1u : f32
    %moveda = arith.mulf %da, %twicea : f32
    %a2u = arith.addf %wa, %moveda : f32
    %db = arith.subf %b, %a1 : f32
    %ndb = arith.mulf %nb, %db : f32
    %b1u = arith.addf %ub, %ndb : f32
    %twiceb = arith.addf %ub, %b1u : f32
    %movedb = arith.mulf %db, %twiceb : f32
    %b2u = arith.addf %wb, %movedb : f32
    %u1 = arith.addf %a1u, %b1u : f32
    %u2 = arith.addf %a2u, %b2u : f32
    "attn.yield"(%n, %a1, %u1, %u2) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%n: f32, %a: f32, %u1: f32, %u2: f32, %h0: index, %h: index, %i: index):
    %mean = arith.divf %u1, %n : f32
    %uu = arith.mulf %u1, %mean : f32
    %squares = arith.subf %u2, %uu : f32
    %variance = arith.divf %squares, %n : f32
    "attn.yield"(%variance) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?xf32>
  return %r : tensor<1x2x?xf32>
}

// -----

// A reference of scores times 1.25: the largest of them is 1.25 times the largest score.
// CHECK:      attn.online_reduce 0: all laws hold
// CHECK-NEXT:   state 0: {{.*}}, a reference
// CHECK:        identity: x0 = -inf, x1 = 0 of nothing
// CHECK-NEXT:   reference: the laws hold whatever x0 is
// CHECK-NEXT:   union: x1 of A and B is exp(-x0_AB) * sum_A(exp(1.25 * s)) + exp(-x0_AB) * sum_B(exp(1.25 * s))
// CHECK-NEXT:   union: it is that of one tile, of two tiles and of a merge
// CHECK-NEXT:   neutral: an empty tile, and a merge with the initial state, change nothing
// CHECK-NEXT:   reference: no result depends on x0
// CHECK-NEXT:   range: exponents are at most 80: x0 - x0', s * 1.25 - x0', a0 - x0', b0 - x0'
func.func @lagging_temperature(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%inf, %zero) : (f32, f32) -> ()
  }, {
  ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %c0 = arith.constant 1.25 : f32
    %sc0 = arith.mulf %s, %c0 : f32
    %tile0 = "attn.row_reduce"(%sc0) {kind = "max"} : (f32) -> f32
    %lag0 = arith.constant 6.0 : f32
    %limit0 = arith.addf %x0, %lag0 : f32
    %lags0 = arith.cmpf ugt, %tile0, %limit0 : f32
    %most0 = arith.maximumf %x0, %tile0 : f32
    %new0 = arith.select %lags0, %most0, %x0 : f32
    %none0 = arith.cmpf oeq, %new0, %inf : f32
    %ref0 = arith.select %none0, %zero, %new0 : f32
    %old0 = arith.subf %x0, %ref0 : f32
    %rs0 = math.exp %old0 : f32
    %d0 = arith.subf %sc0, %ref0 : f32
    %w0 = math.exp %d0 : f32
    %sum0 = "attn.row_reduce"(%w0) {kind = "sum"} : (f32) -> f32
    %kept0 = arith.mulf %x1, %rs0 : f32
    %l0 = arith.addf %kept0, %sum0 : f32
    "attn.yield"(%new0, %l0) : (f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both0 = arith.maximumf %a0, %b0 : f32
    %none0 = arith.cmpf oeq, %both0, %inf : f32
    %ref0 = arith.select %none0, %zero, %both0 : f32
    %da0 = arith.subf %a0, %ref0 : f32
    %ra0 = math.exp %da0 : f32
    %db0 = arith.subf %b0, %ref0 : f32
    %rb0 = math.exp %db0 : f32
    %pa0 = arith.mulf %a1, %ra0 : f32
    %pb0 = arith.mulf %b1, %rb0 : f32
    %l0 = arith.addf %pa0, %pb0 : f32
    "attn.yield"(%both0, %l0) : (f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    %c = arith.addf %x1, %zero : f32
    "attn.yield"(%zero) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?xf32>
  return %o : tensor<1x2x?xf32>
}
