// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of the regions of attn.attention, and of attn.yield.

// Region without a block
func.func @region_without_a_block(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'mask' to have exactly one block, got 0}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Region with two blocks
func.func @region_with_two_blocks(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'score' to have exactly one block, got 2}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    cf.br ^bb1
    ^bb1:
    "attn.yield"(%s) : (f32) -> ()
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

// Number of block arguments
func.func @number_of_block_arguments(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'mask' to have arguments (index, index, index, index), got (index, index)}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Type of a block argument
func.func @type_of_a_block_argument(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'normalize' to have arguments (f32, index, index, index, index), got (f16, index, index, index, index)}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f16, %b: index, %h: index, %i: index, %j: index):
    %c = arith.extf %s : f16 to f32
    "attn.yield"(%c) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Empty block
func.func @empty_block(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'score' to end with 'attn.yield', got an empty block}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
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

// Another terminator
func.func @another_terminator(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'score' to end with 'attn.yield', got 'func.return'}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    func.return
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

// No terminator
func.func @no_terminator(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects region 'score' to end with 'attn.yield', got 'arith.addf'}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = arith.addf %s, %s : f32
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

// Number of values of the score
func.func @number_of_values_of_the_score(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects 1 value in region 'score', got 2}}
    "attn.yield"(%s, %s) : (f32, f32) -> ()
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

// Type of the score
func.func @type_of_the_score(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects operand 0 in region 'score' to be f32, got index}}
    "attn.yield"(%i) : (index) -> ()
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

// Type of the mask
func.func @type_of_the_mask(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects operand 0 in region 'mask' to be i1, got index}}
    "attn.yield"(%i) : (index) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Fewer yielded extras than results
func.func @fewer_yielded_extras_than_results(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects 2 values in region 'normalize', got 1}}
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> (tensor<2x4x8x32xf32>, tensor<2x4x8xf32>)
  return
}

// -----

// Extra that is the score itself
func.func @extra_that_is_the_score_itself(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.yield' op expects extra 0 to be uniform over the row, got a value that varies along it}}
    "attn.yield"(%s, %s) : (f32, f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> (tensor<2x4x8x32xf32>, tensor<2x4x8xf32>)
  return
}

// -----

// Extra computed from the key position
func.func @extra_computed_from_the_key_position(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0:3 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %l = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %int = arith.index_cast %j : index to i32
    %float = arith.sitofp %int : i32 to f32
    %x = arith.mulf %float, %l : f32
    // expected-error @below {{'attn.yield' op expects extra 1 to be uniform over the row, got a value that varies along it}}
    "attn.yield"(%s, %l, %x) : (f32, f32, f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> (tensor<2x4x8x32xf32>, tensor<2x4x8xf32>, tensor<2x4x8xf32>)
  return
}

// -----

// Extra from a capture read at the key position
func.func @extra_from_a_capture_read_at_the_key_position(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %t: tensor<6xf32>) {
  %0:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = tensor.extract %t[%j] : tensor<6xf32>
    // expected-error @below {{'attn.yield' op expects extra 0 to be uniform over the row, got a value that varies along it}}
    "attn.yield"(%s, %x) : (f32, f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> (tensor<2x4x8x32xf32>, tensor<2x4x8xf32>)
  return
}

// -----

// Operation that is not allowed in a region
func.func @operation_that_is_not_allowed_in_a_region(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'scf.if' op expects to stand outside region 'score' of 'attn.attention', which holds scalar arith, math, tensor.extract and tensor.dim operations}}
    %x = scf.if %true -> f32 {
      scf.yield %s : f32
    } else {
      scf.yield %s : f32
    }
    "attn.yield"(%x) : (f32) -> ()
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

// Vector arithmetic in a region
func.func @vector_arithmetic_in_a_region(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %w: vector<4xf32>) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'arith.addf' op expects results of index, integers of up to 64 bits, f16, bf16, f32 and f64 in region 'score', got vector<4xf32>}}
    %x = arith.addf %w, %w : vector<4xf32>
    "attn.yield"(%s) : (f32) -> ()
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

// Reduction in the mask
func.func @reduction_in_the_mask(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %x: f32) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'attn.row_reduce' op expects to stand directly in the normalize region of 'attn.attention' or the update region of a streaming form}}
    %m = "attn.row_reduce"(%x) {kind = "max"} : (f32) -> f32
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Capture that is no ranked tensor
func.func @capture_that_is_no_ranked_tensor(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %t: tensor<*xf32>) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'tensor.dim' op expects captures to be ranked tensors or scalars of index, integers of up to 64 bits, f16, bf16, f32 and f64, got tensor<*xf32>}}
    %d = tensor.dim %t, %j : tensor<*xf32>
    "attn.yield"(%s) : (f32) -> ()
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

// Poison that is no scalar
func.func @poison_that_is_no_scalar(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'ub.poison' op expects results of index, integers of up to 64 bits, f16, bf16, f32 and f64 in region 'score', got tensor<?xf32>}}
    %p = ub.poison : tensor<?xf32>
    "attn.yield"(%s) : (f32) -> ()
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

// Constant tensor of complex numbers
func.func @constant_tensor_of_complex_numbers(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'arith.constant' op expects results of index, integers of up to 64 bits, f16, bf16, f32 and f64 in region 'score', got tensor<1xcomplex<f32>>}}
    %c = arith.constant dense<(1.0, 2.0)> : tensor<1xcomplex<f32>>
    "attn.yield"(%s) : (f32) -> ()
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

// Float that programs do not compute with
func.func @float_that_programs_do_not_compute_with(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'arith.truncf' op expects results of index, integers of up to 64 bits, f16, bf16, f32 and f64 in region 'score', got f8E4M3FN}}
    %c = arith.truncf %s : f32 to f8E4M3FN
    "attn.yield"(%s) : (f32) -> ()
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

// Capture of a wide float
func.func @capture_of_a_wide_float(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %t: tensor<4xf80>) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'tensor.dim' op expects captures to be ranked tensors or scalars of index, integers of up to 64 bits, f16, bf16, f32 and f64, got tensor<4xf80>}}
    %c = tensor.dim %t, %j : tensor<4xf80>
    "attn.yield"(%s) : (f32) -> ()
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

// Capture of wide integers
func.func @capture_of_wide_integers(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1, %t: tensor<4xi128>) {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    // expected-error @below {{'tensor.dim' op expects captures to be ranked tensors or scalars of index, integers of up to 64 bits, f16, bf16, f32 and f64, got tensor<4xi128>}}
    %c = tensor.dim %t, %j : tensor<4xi128>
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}
