// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of the operands and results of attn.recurrence; recurrence-step-invalid.mlir has the others.

// Operand count
func.func @operand_count(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects 4 or 5 operands (q, k, v, initial, offsets), got 3}}
  %0:2 = "attn.recurrence"(%q, %k, %v) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Result count
func.func @result_count(%q: tensor<1x1x?x8xf32>, %s0: tensor<1x1x8x8xf32>) {
  // expected-error @below {{'attn.recurrence' op expects 2 results (o, final), got 1}}
  %0 = "attn.recurrence"(%q, %q, %q, %s0) ({}) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x1x?x8xf32>
  return
}

// -----

// Region count
func.func @region_count(%q: tensor<1x1x?x8xf32>, %s0: tensor<1x1x8x8xf32>) {
  // expected-error @below {{'attn.recurrence' op expects 1 region (step), got 0}}
  %0:2 = "attn.recurrence"(%q, %q, %q, %s0) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x8x8xf32>) -> (tensor<1x1x?x8xf32>, tensor<1x1x8x8xf32>)
  return
}

// -----

// Unranked q
func.func @unranked_q(%q: tensor<*xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q to be a ranked tensor, got tensor<*xf32>}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<*xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Element type of q
func.func @element_type_of_q(%q: tensor<2x4x?x8xi8>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q to have element type f16, bf16, f32 or f64, got i8}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xi8>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Element types that differ
func.func @element_types_that_differ(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xbf16>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects k to have q's element type f32, got bf16}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xbf16>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Element type of initial
func.func @element_type_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xbf16>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have element type f32, got bf16}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xbf16>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xbf16>)
  return
}

// -----

// Rank of k
func.func @rank_of_k(%q: tensor<2x4x?x8xf32>, %k: tensor<2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects k to have rank 4 (batch, head, sequence, feature), got rank 3}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Rank of initial
func.func @rank_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have rank 4 (batch, head, key feature, value feature), got rank 2}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<8x16xf32>)
  return
}

// -----

// Dynamic feature size
func.func @dynamic_feature_size(%q: tensor<2x4x?x?xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q to have a static feature size, got 2x4x?x?}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x?xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Dynamic feature size of initial
func.func @dynamic_feature_size_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x?xf32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have static feature sizes, got 2x4x8x?}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x?xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x?xf32>)
  return
}

// -----

// Feature sizes of q and k
func.func @feature_sizes_of_q_and_k(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x4xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q and k to have equal feature sizes, got 8 and 4}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x4xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Key feature of initial
func.func @key_feature_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x9x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have k's feature size 8 as its third size, got 9}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x9x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x9x16xf32>)
  return
}

// -----

// Value feature of initial
func.func @value_feature_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x17xf32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have v's feature size 16 as its fourth size, got 17}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x17xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x17xf32>)
  return
}

// -----

// Batch sizes
func.func @batch_sizes(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<3x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q and initial to have equal batch sizes, got 2 and 3}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<3x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<3x4x8x16xf32>)
  return
}

// -----

// Sequence lengths
func.func @sequence_lengths(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x6x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects q and v to have equal sequence lengths, got 5 and 6}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x5x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x6x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Head count that does not divide
func.func @head_count_that_does_not_divide(%q: tensor<2x4x?x8xf32>, %k: tensor<2x3x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects k's head count to divide the largest head count 4, got 3}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Dynamic head count among static ones
func.func @dynamic_head_count_among_static_ones(%q: tensor<2x4x?x8xf32>, %k: tensor<2x?x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects head counts that are all static or all dynamic, got a dynamic one for k}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x?x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Head count of initial
func.func @head_count_of_initial(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x2x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have the largest head count 4, got 2}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x2x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x2x8x16xf32>)
  return
}

// -----

// Batch size with offsets
func.func @batch_size_with_offsets(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>, %offsets: tensor<?xi32>) {
  // expected-error @below {{'attn.recurrence' op expects q to have batch size 1 with offsets, got 2}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0, %offsets) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>, tensor<?xi32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Type of offsets
func.func @type_of_offsets(%q: tensor<1x4x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x4x?x16xf32>, %s0: tensor<?x4x8x16xf32>, %offsets: tensor<?xi64>) {
  // expected-error @below {{'attn.recurrence' op expects offsets to be a tensor<?xi32>, got tensor<?xi64>}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0, %offsets) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<1x4x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x4x?x16xf32>, tensor<?x4x8x16xf32>, tensor<?xi64>) -> (tensor<1x4x?x16xf32>, tensor<?x4x8x16xf32>)
  return
}

// -----

// Empty offsets
func.func @empty_offsets(%q: tensor<1x4x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x4x?x16xf32>, %s0: tensor<?x4x8x16xf32>, %offsets: tensor<0xi32>) {
  // expected-error @below {{'attn.recurrence' op expects offsets to have at least 1 element, got 0}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0, %offsets) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<1x4x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x4x?x16xf32>, tensor<?x4x8x16xf32>, tensor<0xi32>) -> (tensor<1x4x?x16xf32>, tensor<?x4x8x16xf32>)
  return
}

// -----

// States per sequence
func.func @states_per_sequence(%q: tensor<1x4x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x4x?x16xf32>, %s0: tensor<4x4x8x16xf32>, %offsets: tensor<4xi32>) {
  // expected-error @below {{'attn.recurrence' op expects initial to have one state for each of 3 sequences, got 4}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0, %offsets) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<1x4x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x4x?x16xf32>, tensor<4x4x8x16xf32>, tensor<4xi32>) -> (tensor<1x4x?x16xf32>, tensor<4x4x8x16xf32>)
  return
}

// -----

// Shape of o
func.func @shape_of_o(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects o to have shape 2x4x?x16, got 2x2x?x16}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x2x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Element type of o
func.func @element_type_of_o(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects o to have element type f32, got f16}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf16>, tensor<2x4x8x16xf32>)
  return
}

// -----

// Type of final
func.func @type_of_final(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects final to have initial's type tensor<2x4x8x16xf32>, got tensor<?x4x8x16xf32>}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<?x4x8x16xf32>)
  return
}

// -----

// Offsets that are no ranked tensor
func.func @offsets_that_are_no_ranked_tensor(%q: tensor<1x4x?x8xf32>, %s0: tensor<?x4x8x8xf32>, %offsets: tensor<*xi32>) {
  // expected-error @below {{'attn.recurrence' op expects offsets to be a ranked tensor, got tensor<*xi32>}}
  %0:2 = "attn.recurrence"(%q, %q, %q, %s0, %offsets) ({}) : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<?x4x8x8xf32>, tensor<*xi32>) -> (tensor<1x4x?x8xf32>, tensor<?x4x8x8xf32>)
  return
}

// -----

// Encoding of o
func.func @encoding_of_o(%q: tensor<1x4x?x8xf32>, %s0: tensor<1x4x8x8xf32>) {
  // expected-error @below {{'attn.recurrence' op expects o to have no encoding, got tensor<1x4x?x8xf32, "dense">}}
  %0:2 = "attn.recurrence"(%q, %q, %q, %s0) ({}) : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x8x8xf32>) -> (tensor<1x4x?x8xf32, "dense">, tensor<1x4x8x8xf32>)
  return
}

// -----

// Sizes of the groups of operands
func.func @sizes_of_the_groups_of_operands(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %v: tensor<2x4x?x16xf32>, %s0: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.recurrence' op expects operandSegmentSizes to be [1, 1, 1, 1, 0], got [1, 1, 1, 1, 7]}}
  %0:2 = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):

    "attn.step_yield"(%S, %vt) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 7>} : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>) -> (tensor<2x4x?x16xf32>, tensor<2x4x8x16xf32>)
  return
}
