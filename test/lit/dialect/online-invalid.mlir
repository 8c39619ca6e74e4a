// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.online_attention and attn.online_reduce that attn.attention does not share.

// Operand count
func.func @operand_count(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects 3 operands (q, k, v), got 2}}
  %o:2 = "attn.online_attention"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// Region count
func.func @region_count(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects 6 regions (score, mask, init, update, merge, finalize), got 5}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// No number of accumulators
func.func @no_accumulators(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects attribute 'accumulators', the number of accumulators, got none}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// No accumulator
func.func @zero_accumulators(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects attribute 'accumulators' to be an i64 of at least 1, got 0 : i64}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 0 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// A number of another type
func.func @accumulators_type(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects attribute 'accumulators' to be an i64 of at least 1, got 1 : i32}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i32} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// More than any memory holds types for
func.func @accumulators_number(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects at most 4096 accumulators, got 1000000000}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1000000000 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// Feature sizes
func.func @features(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects q and k to have equal feature sizes, got 16 and 32}}
  %o:2 = "attn.online_attention"(%q, %v, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x32xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// Type of o
func.func @output(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects o to have shape 2x4x?x32, got 2x4x?x16}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// Type of an extra
func.func @extra(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects extra 0 to be tensor<2x4x?xf32>, got tensor<2x4x?x32xf32>}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?x32xf32>)
  return
}

// -----

// init has arguments
func.func @init_arguments(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects region 'init' to have arguments (), got (f32)}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^init(%z: f32):
    "attn.yield"(%z) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// The state of update
func.func @update_arguments(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects region 'update' to have arguments (f32, f32, index, index, index, index), got (f32, index, index, index, index)}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// The states of merge
func.func @merge_arguments(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects region 'merge' to have arguments (f32, f32, index, index, index), got (f32, index, index, index)}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%la, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// The state of finalize
func.func @finalize_arguments(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_attention' op expects region 'finalize' to have arguments (f32, index, index, index), got (index, index, index)}}
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// What update hands over
func.func @update_yield(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    // expected-error @below {{'attn.yield' op expects 3 values in region 'update', got 2}}
    "attn.yield"(%l1, %one) : (f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// What merge hands over
func.func @merge_yield(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    // expected-error @below {{'attn.yield' op expects 3 values in region 'merge', got 1}}
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// What finalize hands over
func.func @finalize_yield(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    // expected-error @below {{'attn.yield' op expects 2 values in region 'finalize', got 1}}
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// A type that is not the accumulator's
func.func @score_type(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects operand 0 in region 'score' to be f32, got i1}}
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true_ = arith.constant true
    "attn.yield"(%true_) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// A state that varies along the row
func.func @state_varies(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    // expected-error @below {{'attn.yield' op expects state value 0 to be uniform over the row, got a value that varies along it}}
    "attn.yield"(%s, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// A rescale that varies along the row
func.func @rescale_varies(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    // expected-error @below {{'attn.yield' op expects rescale 0 to be uniform over the row, got a value that varies along it}}
    "attn.yield"(%l1, %s, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// A reduction outside update
func.func @reduction_in_merge(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    // expected-error @below {{'attn.row_reduce' op expects to stand directly in the normalize region of 'attn.attention' or the update region of a streaming form}}
    %l = "attn.row_reduce"(%la) {kind = "sum"} : (f32) -> f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// -----

// Statistics: operand count
func.func @reduce_operands(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_reduce' op expects 2 operands (q, k), got 3}}
  %o = "attn.online_reduce"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1) : (f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> tensor<2x4x?xf32>
  return
}

// -----

// Statistics: types
func.func @reduce_types(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_reduce' op expects statistic 0 to be tensor<2x4x?xf32>, got tensor<2x4x?x16xf32>}}
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1) : (f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>) -> tensor<2x4x?x16xf32>
  return
}

// -----

// Statistics: update hands over the state only
func.func @reduce_update(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    // expected-error @below {{'attn.yield' op expects 1 value in region 'update', got 3}}
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>) -> tensor<2x4x?xf32>
  return
}

// -----

// Statistics: head counts
func.func @reduce_heads(%q: tensor<2x4x?x16xf32>, %k: tensor<2x3x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  // expected-error @below {{'attn.online_reduce' op expects q's head count to be a multiple of the kv head count, got 4 and 3}}
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1) : (f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x3x?x16xf32>) -> tensor<2x4x?xf32>
  return
}
