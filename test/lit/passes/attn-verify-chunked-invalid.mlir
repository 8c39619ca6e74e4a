// RUN: aec-opt %s --split-input-file --verify-diagnostics --attn-verify-chunked

// One case for each law, and what is not proved.

// A logarithm that may be -inf: sums of it would be, and their differences NaN
func.func @infinite(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; bounded below: c0[b, h, t] is not proved to be at least -199, so that sums of it may be -inf}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    "attn.position_yield"(%qt, %kt, %vt, %g) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// A limit from the wrong side
func.func @wrong_side(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; bounded below: min(c0[b, h, t], -110) is not proved to be at least -199, so that sums of it may be -inf}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.minimumf %g, %least : f32
    "attn.position_yield"(%qt, %kt, %vt, %log) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// A constant that is no number: differences of its sums are NaN
func.func @infinite_constant(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; finite: inf is infinite, so that differences of sums of it are no numbers}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.constant 0x7F800000 : f32
    "attn.position_yield"(%qt, %kt, %vt, %log) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// An attribute that claims what is not so
func.func @range(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; range: max(c0[b, h, t], -110) is not proved to be at most 0, as 'exponents' says}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.maximumf %g, %least : f32
    "attn.position_yield"(%qt, %kt, %vt, %log) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "nonpositive"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// A growth by a constant
func.func @growth(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects log_decay to obey the laws of a chunked form; range: 1 is not proved to be at most 0, as 'exponents' says}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    "attn.position_yield"(%qt, %kt, %vt, %one) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "nonpositive"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// A sign that is none
func.func @sign(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects sign to obey the laws of a chunked form; sign: c0[b, h, t] is not proved to be 1 or -1}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.maximumf %g, %least : f32
    "attn.position_yield"(%qt, %kt, %vt, %log, %g) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}

// -----

// A sign that may be 0
func.func @zero(%q: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>, %gate: tensor<?x4x?xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects sign to obey the laws of a chunked form; sign: select(c0[b, h, t] < 0, -1, 0) is not proved to be 1 or -1}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %least = arith.constant -110.0 : f32
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %minus = arith.constant -1.0 : f32
    %log = arith.maximumf %g, %least : f32
    %p = arith.cmpf olt, %g, %zero : f32
    %sign = arith.select %p, %minus, %zero : f32
    "attn.position_yield"(%qt, %kt, %vt, %log, %sign) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>}
      : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"}
    : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return
}
