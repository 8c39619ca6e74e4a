// RUN: aec-opt %s --split-input-file --verify-diagnostics --attn-verify-online

// What the laws of real numbers would cancel: operations that are not defined everywhere, and powers that overflow.

// A captured factor over a sum that an empty row leaves at 0
func.func @coefficient_of_empty_row(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects coefficient 0 to obey the laws of a streaming form; empty row: 0 times the coefficient is 0}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%inf, %zero) : (f32, f32) -> ()
  }, {
  ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %new = arith.maximumf %x0, %tile : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %x0, %ref : f32
    %rescale = math.exp %old : f32
    %d = arith.subf %s, %ref : f32
    %w = math.exp %d : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %x1, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %a0, %b0 : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %a0, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %b0, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %a1, %ra : f32
    %pb = arith.mulf %b1, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    %c = arith.divf %cap, %x1 : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A rescale that divides by the initial state, and multiplies by it again
func.func @rescale_by_initial_state(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects accumulator 0 to obey the laws of a streaming form; identity: the first rescale is a finite number}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%x0: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %e = math.exp %s : f32
    %t = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %x0, %t : f32
    %z = arith.cmpf oeq, %t, %zero : f32
    %r = arith.divf %t, %x0 : f32
    %r1 = arith.mulf %r, %x0 : f32
    %r2 = arith.divf %r1, %t : f32
    %rs = arith.select %z, %one, %r2 : f32
    "attn.yield"(%l1, %rs, %e) : (f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %b0: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %a0, %b0 : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A captured temperature of unknown sign times -inf
func.func @temperature(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; identity: an empty tile changes nothing}}
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
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %new = arith.maximumf %x0, %tile : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %x0, %ref : f32
    %oc = arith.mulf %old, %cap : f32
    %rescale = math.exp %oc : f32
    %d = arith.subf %s, %ref : f32
    %dc = arith.mulf %d, %cap : f32
    %w = math.exp %dc : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %isfirst = arith.cmpf oeq, %x0, %inf : f32
    %kept = arith.mulf %x1, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1) : (f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %a0, %b0 : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %a0, %ref : f32
    %dac = arith.mulf %da, %cap : f32
    %ra = math.exp %dac : f32
    %db = arith.subf %b0, %ref : f32
    %dbc = arith.mulf %db, %cap : f32
    %rb = math.exp %dbc : f32
    %pa = arith.mulf %a1, %ra : f32
    %pb = arith.mulf %b1, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l) : (f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%x1) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?xf32>
  return %o : tensor<1x2x?xf32>
}

// -----

// 0 times a quotient by 0
func.func @zero_times_quotient(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; identity: no infinity is left once there is an element}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%x0: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %e = math.exp %s : f32
    %t = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %r = arith.divf %t, %x0 : f32
    %r1 = arith.addf %one, %r : f32
    %z = arith.cmpf oeq, %t, %zero : f32
    %p = arith.mulf %x0, %r1 : f32
    %l1 = arith.select %z, %x0, %p : f32
    "attn.yield"(%l1, %one, %e) : (f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %b0: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %a0, %b0 : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A power of the logarithm of a sum of any sign
func.func @logarithm_of_sum(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, result 0: reference: the result does not depend on it}}
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%x0: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %n0 = arith.addf %x0, %t : f32
    %n1 = math.log %n0 : f32
    %n = math.exp %n1 : f32
    "attn.yield"(%n) : (f32) -> ()
  }, {
  ^merge(%a0: f32, %b0: f32, %b: index, %h: index, %i: index):
    %n0 = arith.addf %a0, %b0 : f32
    %n = arith.addf %a0, %b0 : f32
    "attn.yield"(%n) : (f32) -> ()
  }, {
  ^finalize(%x0: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%x0) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?xf32>
  return %o : tensor<1x2x?xf32>
}

// -----

// A capture that may be 0, cancelled in a merge
func.func @merge_by_capture(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects accumulator 0 to obey the laws of a streaming form; identity: rescales of nothing are finite}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%x0: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %e = math.exp %s : f32
    %t = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %x0, %t : f32
    "attn.yield"(%l1, %one, %e) : (f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %b0: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %a0, %b0 : f32
    %c = arith.divf %cap, %cap : f32
    "attn.yield"(%l, %c, %c) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A reference that stays what the first tile made it, in powers written as expm1(x) + 1
func.func @never_moves(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 0: range: exp(s - x0') is at most e^80}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%inf, %zero) : (f32, f32) -> ()
  }, {
  ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %base = arith.constant 2.5 : f32
    %first = arith.cmpf oeq, %x0, %inf : f32
    %new = arith.select %first, %tile, %x0 : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %x0, %ref : f32
    %rescalem = math.expm1 %old : f32
    %rescale = arith.addf %rescalem, %one : f32
    %d = arith.subf %s, %ref : f32
    %wm = math.expm1 %d : f32
    %w = arith.addf %wm, %one : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %x1, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %a0, %b0 : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %a0, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %b0, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %a1, %ra : f32
    %pb = arith.mulf %b1, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    %empty = arith.cmpf oeq, %x1, %zero : f32
    %safe = arith.select %empty, %one, %x1 : f32
    %c = arith.divf %one, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// The same, told by -inf < x0
func.func @never_moves_olt(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 0: range: exp(s - x0') is at most e^80}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%inf, %zero) : (f32, f32) -> ()
  }, {
  ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %base = arith.constant 2.5 : f32
    %has = arith.cmpf olt, %inf, %x0 : f32
    %new = arith.select %has, %x0, %tile : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %x0, %ref : f32
    %rescale = math.exp %old : f32
    %d = arith.subf %s, %ref : f32
    %w = math.exp %d : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %x1, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %a0, %b0 : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %a0, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %b0, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %a1, %ra : f32
    %pb = arith.mulf %b1, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    %empty = arith.cmpf oeq, %x1, %zero : f32
    %safe = arith.select %empty, %one, %x1 : f32
    %c = arith.divf %one, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A lag of 75 where weights may be rounded to f16
func.func @lag_beyond_f16(%q: tensor<1x2x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>, %true: i1, %cap: f32) -> tensor<1x2x?x64xf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 0: range: exp(s - x0') is at most e^11.05}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%inf, %zero) : (f32, f32) -> ()
  }, {
  ^update(%x0: f32, %x1: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %tile = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %base = arith.constant 2.5 : f32
    %lag = arith.constant 75.0 : f32
    %limit = arith.addf %x0, %lag : f32
    %lags = arith.cmpf ugt, %tile, %limit : f32
    %most = arith.maximumf %x0, %tile : f32
    %new = arith.select %lags, %most, %x0 : f32
    %none = arith.cmpf oeq, %new, %inf : f32
    %ref = arith.select %none, %zero, %new : f32
    %old = arith.subf %x0, %ref : f32
    %rescale = math.exp %old : f32
    %d = arith.subf %s, %ref : f32
    %w = math.exp %d : f32
    %sum = "attn.row_reduce"(%w) {kind = "sum"} : (f32) -> f32
    %kept = arith.mulf %x1, %rescale : f32
    %l1 = arith.addf %kept, %sum : f32
    "attn.yield"(%new, %l1, %rescale, %w) : (f32, f32, f32, f32) -> ()
  }, {
  ^merge(%a0: f32, %a1: f32, %b0: f32, %b1: f32, %b: index, %h: index, %i: index):
    %both = arith.maximumf %a0, %b0 : f32
    %none = arith.cmpf oeq, %both, %inf : f32
    %ref = arith.select %none, %zero, %both : f32
    %da = arith.subf %a0, %ref : f32
    %ra = math.exp %da : f32
    %db = arith.subf %b0, %ref : f32
    %rb = math.exp %db : f32
    %pa = arith.mulf %a1, %ra : f32
    %pb = arith.mulf %b1, %rb : f32
    %l = arith.addf %pa, %pb : f32
    "attn.yield"(%both, %l, %ra, %rb) : (f32, f32, f32, f32) -> ()
  }, {
  ^finalize(%x0: f32, %x1: f32, %b: index, %h: index, %i: index):
    %empty = arith.cmpf oeq, %x1, %zero : f32
    %safe = arith.select %empty, %one, %x1 : f32
    %c = arith.divf %one, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x2x?x64xf16>
  return %o : tensor<1x2x?x64xf16>
}
