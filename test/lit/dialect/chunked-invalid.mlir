// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.chunked_recurrence and attn.position_yield.

// No chunk
func.func @no_chunk(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'chunk', the positions of a chunk, got none}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A chunk without positions
func.func @empty_chunk(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'chunk' to be an i64 of 1 to 1024, got 0 : i64}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 0 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A chunk that is too long
func.func @long_chunk(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'chunk' to be an i64 of 1 to 1024, got 1025 : i64}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 1025 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// The type of the chunk
func.func @type_of_chunk(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'chunk' to be an i64 of 1 to 1024, got 64 : i32}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i32, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// No word on which state is read
func.func @no_reads(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'reads' to be "after" or "before", got none}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A state that there is not
func.func @other_reads(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'reads' to be "after" or "before", got "during"}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "during", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// No word on exponents
func.func @no_exponents(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'exponents' to be "nonpositive" or "any", got none}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A proof that is no text
func.func @proof(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'attn.proof' to be an array of strings}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any", attn.proof = [1]} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Arguments of the region: there is no state
func.func @arguments(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects region 'position' to have arguments (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, index, index, index), got (tensor<8x16xf32>, tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, index, index, index)}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// An operation that is no mathematics of a position
func.func @operation(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %c: i1) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'scf.if' op expects to stand outside region 'position' of 'attn.chunked_recurrence', which holds arith, math, structured linalg and tensor operations}}
    scf.if %c { }
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// The terminator of a step
func.func @terminator(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects region 'position' to end with 'attn.position_yield', got 'attn.step_yield'}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%s0, %vt) : (tensor<2x4x8x16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Nothing says which operands there are
func.func @no_segments(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects attribute 'operandSegmentSizes', which operands there are, got none}}
    "attn.position_yield"(%qt, %kt, %vt) : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Sizes of the groups of operands
func.func @segments(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects operandSegmentSizes to be 10 numbers 0 or 1, got [1, 1, 1]}}
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A group of two operands
func.func @segment_of_two(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects operandSegmentSizes to be 10 numbers 0 or 1, got [1, 2, 0, 0, 0, 0, 0, 0, 0, 0]}}
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 2, 0, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A required part is absent
func.func @no_value(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects value, got none}}
    "attn.position_yield"(%qt, %kt) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// More operands than the groups have
func.func @operand_count(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects 3 operands by operandSegmentSizes, got 4}}
    "attn.position_yield"(%qt, %kt, %vt, %x) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Type of the key
func.func @type_of_key(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects key to be tensor<8xf32>, got tensor<16xf32>}}
    "attn.position_yield"(%qt, %vt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A decay per value feature
func.func @type_of_log_decay(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects log_decay to be f32 or tensor<8xf32>, got tensor<16xf32>}}
    "attn.position_yield"(%qt, %kt, %vt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// The sign of one number, the decay of all features
func.func @type_of_sign(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects sign to be tensor<8xf32>, got f32}}
    "attn.position_yield"(%qt, %kt, %vt, %kt, %x) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, tensor<8xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A sign without a decay
func.func @sign_alone(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects sign only with log_decay}}
    "attn.position_yield"(%qt, %kt, %vt, %x) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// The scale of an erase that is not there
func.func @erase_scale_alone(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects erase_scale only with erase}}
    "attn.position_yield"(%qt, %kt, %vt, %x) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 1, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, f32) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A scale per feature
func.func @type_of_scale(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.position_yield' op expects key_scale to be f32, got tensor<8xf32>}}
    "attn.position_yield"(%qt, %kt, %vt, %kt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 1, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, tensor<8xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// An erase, and no word on what it reads
func.func @no_erase_reads(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'erase_reads' to be "decayed" or "state", got none}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt, %kt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 1, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, tensor<8xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// What an erase reads that is not there
func.func @erase_reads_alone(%q: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: f32) {
  // expected-error @below {{'attn.chunked_recurrence' op expects attribute 'erase_reads' only with an erase}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %v, %s0) ({
  ^position(%qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.position_yield"(%qt, %kt, %vt) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) -> ()
  }) {chunk = 64 : i64, reads = "after", exponents = "any", erase_reads = "state"} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// The rules of operands and results are those of attn.recurrence
func.func @operands(%q: tensor<2x4x?x8xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.chunked_recurrence' op expects initial to have v's feature size 8 as its fourth size, got 16}}
  %0:2 = "attn.chunked_recurrence"(%q, %q, %q, %s0) ({}) : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x8xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A yield elsewhere
func.func @place(%k: tensor<8xf32>) {
  // expected-error @below {{'attn.position_yield' op expects parent op 'attn.chunked_recurrence'}}
  "attn.position_yield"(%k, %k, %k) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>} : (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> ()
}
