// RUN: aec-opt %s --split-input-file --verify-diagnostics --attn-verify-online

// The form of softmax with one thing changed in each case.

// The rescale the wrong way round
func.func @rescale_flipped(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; identity: an empty tile changes nothing}}
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
    %old = arith.subf %ref, %m : f32
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

// An accumulator that is not rescaled
func.func @rescale_forgotten(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects accumulator 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives}}
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
    %one1 = arith.constant 1.0 : f32
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
    "attn.yield"(%new, %l1, %one1, %w) : (f32, f32, f32, f32) -> ()
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

// A sum that is not rescaled
func.func @sum_not_rescaled(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives}}
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
    %l1 = arith.addf %l, %sum : f32
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

// The old reference in the weights
func.func @old_reference(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; identity: no infinity is left once there is an element}}
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
    %d = arith.subf %s, %m : f32
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

// The maximum of the tile as the reference
func.func @tile_reference(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; neutral: an empty tile changes nothing}}
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
    %new = arith.maximumf %tile, %tile : f32
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

// A sum that starts at 1
func.func @sum_identity(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; identity: an empty tile changes nothing}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 1.0 : f32
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

// A maximum that starts at inf
func.func @max_identity(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; identity: an empty tile changes nothing}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 0.0 : f32
    %minus0 = arith.constant 0x7F800000 : f32
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

// A smallest number instead of -inf, and rows told empty by it
func.func @finite_identity(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects coefficient 0 to obey the laws of a streaming form; empty row: 0 times the coefficient is 0}}
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    %zero0 = arith.constant 0.0 : f32
    %minus0 = arith.constant -1.0e30 : f32
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
    %empty = arith.cmpf oeq, %m, %inf : f32
    %inverse = arith.divf %one, %l : f32
    %c = arith.select %empty, %zero, %inverse : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A merge of a maximum with itself
func.func @merge_maximum(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; neutral: merging with the initial state changes nothing}}
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
    %both = arith.maximumf %ma, %ma : f32
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

// Factors of a merge exchanged
func.func @merge_factors(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects accumulator 0 to obey the laws of a streaming form; neutral: merging with the initial state changes nothing}}
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
    "attn.yield"(%both, %l, %rb, %ra) : (f32, f32, f32, f32) -> ()
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

// A part left out of a merge
func.func @merge_sum(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; neutral: merging with the initial state changes nothing}}
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
    %l = arith.addf %pa, %pa : f32
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

// A wrong factor of one part
func.func @merge_product(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; neutral: merging with the initial state changes nothing}}
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
    %pb = arith.mulf %lb, %ra : f32
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

// A minimum for a maximum
func.func @minimum(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; identity: no infinity is left once there is an element}}
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
    %new = arith.minimumf %m, %tile : f32
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
    %both = arith.minimumf %ma, %mb : f32
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

// An empty row that divides by 0
func.func @empty_row(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects coefficient 0 to obey the laws of a streaming form; empty row: 0 times the coefficient is 0}}
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
    %c = arith.divf %one, %l : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A reference that a result depends on: nothing of the coefficient cancels e^x0
func.func @reference_in_result(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, the output: reference: the result does not depend on it}}
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
    %e = math.exp %m : f32
    %c = arith.divf %e, %safe : f32
    "attn.yield"(%c) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}

// -----

// A reference that powers may leave behind
func.func @reference_unbounded(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 0 to obey the laws of a streaming form; identity: no infinity is left once there is an element}}
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
    %lags = arith.cmpf ult, %tile, %limit : f32
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

// A weight that does not separate
func.func @inseparable(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %inf = arith.constant 0xFF800000 : f32
  // expected-error @below {{'attn.online_attention' op expects state 1 to obey the laws of a streaming form; separation: tanh(s - max_j s) needs a law for 'tanh' of a mixed value}}
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
    %w = math.tanh %d : f32
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

// Sums about an anchor that are added up without being moved to the anchor of both
func.func @merge_without_shift(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 3: neutral: merging with the initial state changes nothing}}
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
    %b2u = arith.addf %wb, %zero : f32
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

// A sum that is moved the wrong way
func.func @merge_wrong_way(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 2: neutral: merging with the initial state changes nothing}}
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
    %db = arith.subf %a1, %b : f32
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

// A sum that is moved with the count of the other side
func.func @merge_other_count(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 2: neutral: merging with the initial state changes nothing}}
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
    %ndb = arith.mulf %na, %db : f32
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

// The binomial theorem without its last summand
func.func @update_without_square(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives; if it is a reference, state 3: neutral: an empty tile changes nothing}}
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
    %twice = arith.addf %u1, %u1 : f32
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

// A result that depends on the anchor
func.func @shown_anchor(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %true: i1) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // expected-error @below {{'attn.online_reduce' op expects state 1 to obey the laws of a streaming form; union: two tiles after one another give what their union gives}}
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
    %variance = arith.divf %u2, %n : f32
    "attn.yield"(%variance) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?xf32>
  return %r : tensor<1x2x?xf32>
}
