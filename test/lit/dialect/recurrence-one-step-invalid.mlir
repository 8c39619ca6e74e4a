// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.recurrence_step that attn.recurrence has not.

// Slots are i32
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi64>) {
  // expected-error @below {{'attn.recurrence_step' op expects slots to be a tensor<?xi32>, got tensor<?xi64>}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi64>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// Slots have rank 1
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?x1xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects slots to be a tensor<?xi32>, got tensor<?x1xi32>}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?x1xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// A slot for each request
func.func @f(%q: tensor<3x2x1x8xf32>, %v: tensor<3x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<4xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects q and slots to have equal sizes of a batch, got 3 and 4}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<3x2x1x8xf32>, tensor<3x2x1x8xf32>, tensor<3x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<4xi32>) -> (tensor<3x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// One position
func.func @f(%q: tensor<?x2x2x8xf32>, %v: tensor<?x4x2x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects q to have one position, got 2}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x2x8xf32>, tensor<?x2x2x8xf32>, tensor<?x4x2x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x2x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// One position, that the type says
func.func @f(%q: tensor<?x2x?x8xf32>, %v: tensor<?x4x?x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects q to have one position, got ?}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// States of the accumulator's type
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf64>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects pool to have element type f32, got f64}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf64>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf64>)
  return
}

// -----

// States of the features
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x5xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects pool to have v's feature size 6 as its fourth size, got 5}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x5xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x5xf32>)
  return
}

// -----

// A pool of rank 4
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects pool to have rank 4 (slot, head, key feature, value feature), got rank 3}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8xf32>)
  return
}

// -----

// The heads of the pool are the most
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x2x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects pool to have the largest head count 4, got 2}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x2x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x2x8x6xf32>)
  return
}

// -----

// One element type
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf64>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects v to have q's element type f32, got f64}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf64>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// The pool is updated
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects updated to have pool's type tensor<?x4x8x6xf32>, got tensor<5x4x8x6xf32>}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<5x4x8x6xf32>)
  return
}

// -----

// o has one position
func.func @f(%q: tensor<?x2x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence_step' op expects o to have shape ?x4x1x6, got ?x4x2x6}}
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xf32>, tensor<?x2x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x2x6xf32>, tensor<?x4x8x6xf32>)
  return
}

// -----

// The state is not multiplied by itself
func.func @f(%q: tensor<?x4x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>) {
  %0:2 = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.mulf' op expects the step to be affine in the state, got a term that is not}}
    %S1 = arith.mulf %S, %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return
}
