// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.row_reduce, and the parent of attn.yield.

// Operand count
func.func @operand_count(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects 1 operand (value), got 2}}
    %m = "attn.row_reduce"(%s, %s) {kind = "max"} : (f32, f32) -> f32
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Result count
func.func @result_count(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects 1 result, got 0}}
    "attn.row_reduce"(%s) {kind = "max"} : (f32) -> ()
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// No kind
func.func @no_kind(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects attribute 'kind' to be one of "max", "min", "sum", "prod", got none}}
    %m = "attn.row_reduce"(%s) : (f32) -> f32
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Kind that is no text
func.func @kind_that_is_no_text(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects attribute 'kind' to be one of "max", "min", "sum", "prod", got "\FF"}}
    %m = "attn.row_reduce"(%s) {kind = "\FF"} : (f32) -> f32
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Unknown kind
func.func @unknown_kind(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects attribute 'kind' to be one of "max", "min", "sum", "prod", got "mean"}}
    %m = "attn.row_reduce"(%s) {kind = "mean"} : (f32) -> f32
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Kind that is no string
func.func @kind_that_is_no_string(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects attribute 'kind' to be one of "max", "min", "sum", "prod", got 1 : i64}}
    %m = "attn.row_reduce"(%s) {kind = 1 : i64} : (f32) -> f32
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Outside of an attention op
func.func @outside(%x: f32) {
  // expected-error @below {{'attn.row_reduce' op expects to stand directly in the normalize region of 'attn.attention' or the update region of a streaming form}}
  %m = "attn.row_reduce"(%x) {kind = "max"} : (f32) -> f32
  return
}

// -----

// In the score
func.func @in_the_score(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects to stand directly in the normalize region of 'attn.attention' or the update region of a streaming form}}
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    "attn.yield"(%m) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Type of the operand
func.func @type_of_the_operand(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = arith.truncf %s : f32 to f16
    // expected-error @below {{'attn.row_reduce' op expects its value to be of the accumulator type f32, got f16}}
    %m = "attn.row_reduce"(%x) {kind = "max"} : (f16) -> f16
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Type of the result
func.func @type_of_the_result(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects its result to be of the accumulator type f32, got f64}}
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f64
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// A yield elsewhere
func.func @yield_elsewhere(%x: f32) {
  // expected-error @below {{'attn.yield' op expects its parent op to be one of 'attn.attention', 'attn.online_attention', 'attn.online_reduce'}}
  "attn.yield"(%x) : (f32) -> ()
}
