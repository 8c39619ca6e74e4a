// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.recurrence and attn.step_yield.

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
