// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of the step of attn.recurrence, and of attn.step_yield.

// No block
func.func @no_block(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects region 'step' to have exactly one block, got 0}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Arguments
func.func @arguments(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects region 'step' to have arguments (tensor<8x16xf32>, tensor<8xf32>, tensor<8xf32>, tensor<16xf32>, index, index, index), got (tensor<8x16xf32>, index)}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %t: index):
    %vt = tensor.empty() : tensor<16xf32>
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Another terminator
func.func @another_terminator(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects region 'step' to end with 'attn.step_yield', got 'func.return'}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    func.return
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Number of yielded values
func.func @number_of_yielded_values(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.step_yield' op expects 2 operands (state, out), got 1}}
    "attn.step_yield"(%S) : (tensor<8x16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Type of the new state
func.func @type_of_the_new_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.step_yield' op expects operand 0 in region 'step' to be tensor<8x16xf32>, got tensor<16xf32>}}
    "attn.step_yield"(%vt, %vt) : (tensor<16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Type of the output
func.func @type_of_the_output(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'attn.step_yield' op expects operand 1 in region 'step' to be tensor<16xf32>, got tensor<8xf32>}}
    "attn.step_yield"(%S, %qt) : (tensor<8x16xf32>, tensor<8xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Operation that is not allowed
func.func @operation_that_is_not_allowed(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %c: i1) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'scf.if' op expects to stand outside region 'step' of 'attn.recurrence', which holds arith, math, structured linalg and tensor operations}}
    %S1 = scf.if %c -> tensor<8x16xf32> {
      scf.yield %S : tensor<8x16xf32>
    } else {
      scf.yield %S : tensor<8x16xf32>
    }
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Dynamic shape in the step
func.func @dynamic_shape_in_the_step(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %g: tensor<?xf32>, %n: index) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'tensor.extract_slice' op expects static shapes in region 'step', got tensor<?xf32>}}
    %x = tensor.extract_slice %g[0] [%n] [1] : tensor<?xf32> to tensor<?xf32>
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Function of the state
func.func @function_of_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'math.tanh' op expects the step to be affine in the state, got a term that is not}}
    %S1 = math.tanh %S : tensor<8x16xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Square of the state
func.func @square_of_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.mulf' op expects the step to be affine in the state, got a term that is not}}
    %S1 = arith.mulf %S, %S : tensor<8x16xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Division by the state
func.func @division_by_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %x: tensor<8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.divf' op expects the step to be affine in the state, got a term that is not}}
    %S1 = arith.divf %x, %S : tensor<8x16xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Choice that depends on the state
func.func @choice_that_depends_on_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.cmpf' op expects the step to be affine in the state, got a term that is not}}
    %c = arith.cmpf ogt, %S, %S : tensor<8x16xf32>
    %S1 = arith.select %c, %S, %S : tensor<8x16xi1>, tensor<8x16xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Product of two values read from the state
func.func @product_of_two_values_read_from_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %c0 = arith.constant 0 : index
    %x = tensor.extract %S[%c0, %c0] : tensor<8x16xf32>
    %y = tensor.splat %x : tensor<8x16xf32>
    // expected-error @below {{'arith.mulf' op expects the step to be affine in the state, got a term that is not}}
    %S1 = arith.mulf %y, %S : tensor<8x16xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Matrix product of the state with itself
func.func @matrix_product_of_the_state_with_itself(%q: tensor<1x1x?x8xf32>, %k: tensor<1x1x?x8xf32>, %v: tensor<1x1x?x8xf32>, %s0: tensor<1x1x8x8xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'linalg.matmul' op expects the step to be affine in the state, got a term that is not}}
    %S1 = linalg.matmul ins(%S, %S : tensor<8x8xf32>, tensor<8x8xf32>) outs(%S : tensor<8x8xf32>) -> tensor<8x8xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x8x8xf32>) -> (tensor<1x1x?x8xf32>, tensor<1x1x8x8xf32>)
  return
}

// -----

// Maximum over the state
func.func @maximum_over_the_state(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %init: tensor<16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %out = linalg.reduce ins(%S : tensor<8x16xf32>) outs(%init : tensor<16xf32>) dimensions = [0]
      (%x: f32, %y: f32) {
        // expected-error @below {{'arith.maximumf' op expects the step to be affine in the state, got a term that is not}}
        %m = arith.maximumf %x, %y : f32
        linalg.yield %m : f32
      }
    "attn.step_yield"(%S, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// A yield elsewhere
func.func @yield_elsewhere(%x: tensor<1xf32>) {
  // expected-error @below {{'attn.step_yield' op expects parent op 'attn.recurrence'}}
  "attn.step_yield"(%x, %x) : (tensor<1xf32>, tensor<1xf32>) -> ()
}

// -----

// Vector in the step
func.func @vector_in_the_step(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.constant' op expects tensors and scalars of index, integers of up to 64 bits, f16, bf16, f32 and f64 in region 'step', got vector<4xf32>}}
    %c = arith.constant dense<1.0> : vector<4xf32>
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Structured operation without a body
func.func @structured_operation_without_a_body(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %w: tensor<8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'linalg.softmax' op expects to stand outside region 'step' of 'attn.recurrence', which holds arith, math, structured linalg and tensor operations}}
    %N = linalg.softmax dimension(1) ins(%w : tensor<8x16xf32>) outs(%w : tensor<8x16xf32>) -> tensor<8x16xf32>
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Insertion that fits nowhere
func.func @insertion_that_fits_nowhere(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.extract_slice %S[0, 0] [5, 2] [1, 1] : tensor<8x16xf32> to tensor<5x2xf32>
    // expected-error @below {{'tensor.insert_slice' op expects 5 elements by 2 to fit a dimension of size 8}}
    %N = tensor.insert_slice %e into %S[%t, 0] [5, 2] [2, 1] : tensor<5x2xf32> into tensor<8x16xf32>
    "attn.step_yield"(%N, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Insertion by a stride that is not static
func.func @insertion_by_a_stride_that_is_not_static(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.extract_slice %S[0, 0] [2, 2] [1, 1] : tensor<8x16xf32> to tensor<2x2xf32>
    // expected-error @below {{'tensor.insert_slice' op expects static sizes and strides in region 'step'}}
    %N = tensor.insert_slice %e into %S[0, 0] [2, 2] [%t, 1] : tensor<2x2xf32> into tensor<8x16xf32>
    "attn.step_yield"(%N, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Tensor inside a body
func.func @tensor_inside_a_body(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<16xf32>
    %out = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%e : tensor<16xf32>) {
    ^bb0(%y: f32):
      // expected-error @below {{'tensor.extract_slice' op expects scalar results in the body of 'linalg.generic', got tensor<2xf32>}}
      %two = tensor.extract_slice %qt[0] [2] [1] : tensor<8xf32> to tensor<2xf32>
      %x = tensor.extract %two[%b] : tensor<2xf32>
      linalg.yield %x : f32
    } -> tensor<16xf32>
    "attn.step_yield"(%S, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Product of elements of the state without a loop of its own
func.func @product_in_parallel_loops(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %init: tensor<16xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %out = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], iterator_types = ["parallel", "parallel"]}
        ins(%S : tensor<8x16xf32>) outs(%init : tensor<16xf32>) {
    ^bb0(%x: f32, %y: f32):
      // expected-error @below {{'arith.mulf' op expects the step to be affine in the state, got a term that is not}}
      %m = arith.mulf %x, %y : f32
      linalg.yield %m : f32
    } -> tensor<16xf32>
    "attn.step_yield"(%S, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Index that wraps around
func.func @index_that_wraps_around(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %c: tensor<1xf32>) {
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'linalg.generic' op expects indices that grow with the loops, got d0 mod 3}}
    %out = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0 mod 3)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%c : tensor<1xf32>) outs(%vt : tensor<16xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<16xf32>
    "attn.step_yield"(%S, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}
