// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of attn.attention and attn.yield.

// Operand count
func.func @operand_count(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects 3 operands (q, k, v), got 2}}
  %0 = "attn.attention"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Result count
func.func @result_count(%q: tensor<2x4x8x16xf32>) {
  // expected-error @below {{'attn.attention' op expects at least 1 result (o, extras...), got 0}}
  "attn.attention"(%q, %q, %q) ({}, {}, {}) : (tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) -> ()
  return
}

// -----

// Region count
func.func @region_count(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects 3 regions (score, mask, normalize), got 2}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Unranked q
func.func @unranked_q(%q: tensor<*xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q to be a ranked tensor, got tensor<*xf32>}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<*xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Operand that is no tensor
func.func @operand_that_is_no_tensor(%q: tensor<2x4x8x16xf32>, %k: f32, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects k to be a ranked tensor, got f32}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, f32, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Encoding
func.func @encoding(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32, "x">, %true: i1) {
  // expected-error @below {{'attn.attention' op expects v to have no encoding, got tensor<2x2x6x32xf32, "x">}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32, "x">) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Rank of q
func.func @rank_of_q(%q: tensor<4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q to have rank 4 (batch, head, sequence, feature), got rank 3}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Rank of v
func.func @rank_of_v(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<1x2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects v to have rank 4 (batch, head, sequence, feature), got rank 5}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<1x2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Element type of q
func.func @element_type_of_q(%q: tensor<2x4x8x16xi32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q to have element type f16, bf16, f32 or f64, got i32}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xi32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Element types that differ
func.func @element_types_that_differ(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf16>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects v to have q's element type f32, got f16}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf16>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Dynamic feature size
func.func @dynamic_feature_size(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x?xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects v to have a static feature size, got 2x2x6x?}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x?xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Feature sizes of q and k
func.func @feature_sizes_of_q_and_k(%q: tensor<2x4x8x64xf32>, %k: tensor<2x2x6x128xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q and k to have equal feature sizes, got 64 and 128}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x64xf32>, tensor<2x2x6x128xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Batch sizes
func.func @batch_sizes(%q: tensor<2x4x8x16xf32>, %k: tensor<?x2x6x16xf32>, %v: tensor<3x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q and v to have equal batch sizes, got 2 and 3}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<?x2x6x16xf32>, tensor<3x2x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Head counts of k and v
func.func @head_counts_of_k_and_v(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x4x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects k and v to have equal head counts, got 2 and 4}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x4x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Static and dynamic head counts of k and v
func.func @static_and_dynamic_head_counts_of_k_and_v(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x?x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects the head counts of k and v to be both static or both dynamic, got 2 and ?}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x?x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Lengths of k and v
func.func @lengths_of_k_and_v(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x7x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects k and v to have equal sequence lengths, got 6 and 7}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x7x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Head group that is not static
func.func @head_group_that_is_not_static(%q: tensor<2x?x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects the head counts of q and k to be both static or both dynamic, got ? and 2}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x?x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x?x8x32xf32>
  return
}

// -----

// Head group that is not whole
func.func @head_group_that_is_not_whole(%q: tensor<2x3x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q's head count to be a multiple of the kv head count, got 3 and 2}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x3x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x3x8x32xf32>
  return
}

// -----

// Query heads without kv heads
func.func @query_heads_without_kv_heads(%q: tensor<2x4x8x16xf32>, %k: tensor<2x0x6x16xf32>, %v: tensor<2x0x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects q's head count to be a multiple of the kv head count, got 4 and 0}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x0x6x16xf32>, tensor<2x0x6x32xf32>) -> tensor<2x4x8x32xf32>
  return
}

// -----

// Shape of o
func.func @shape_of_o(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects o to have shape 2x4x8x32, got 2x4x8x16}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x8x16xf32>
  return
}

// -----

// Dynamic size of o where q's is static
func.func @dynamic_size_of_o_where_q_s_is_static(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects o to have shape 2x4x8x32, got 2x4x?x32}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> tensor<2x4x?x32xf32>
  return
}

// -----

// Element type of o
func.func @element_type_of_o(%q: tensor<2x4x8x16xbf16>, %k: tensor<2x2x6x16xbf16>, %v: tensor<2x2x6x32xbf16>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects o to have element type bf16 or f32, got f16}}
  %0 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x4x8x16xbf16>, tensor<2x2x6x16xbf16>, tensor<2x2x6x32xbf16>) -> tensor<2x4x8x32xf16>
  return
}

// -----

// Shape of an extra
func.func @shape_of_an_extra(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x6x16xf32>, %v: tensor<2x2x6x32xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects extra 0 to be tensor<2x4x8xf32>, got tensor<2x4xf32>}}
  %0:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %l = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    "attn.yield"(%s, %l) : (f32, f32) -> ()
  }) : (tensor<2x4x8x16xf32>, tensor<2x2x6x16xf32>, tensor<2x2x6x32xf32>) -> (tensor<2x4x8x32xf32>, tensor<2x4xf32>)
  return
}

// -----

// Type of an extra
func.func @type_of_an_extra(%q: tensor<2x4x8x16xf64>, %k: tensor<2x2x6x16xf64>, %v: tensor<2x2x6x32xf64>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects extra 0 to be tensor<2x4x8xf64>, got tensor<2x4x8xf32>}}
  %0:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %l = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    "attn.yield"(%s, %l) : (f32, f32) -> ()
  }) : (tensor<2x4x8x16xf64>, tensor<2x2x6x16xf64>, tensor<2x2x6x32xf64>) -> (tensor<2x4x8x32xf64>, tensor<2x4x8xf32>)
  return
}

// -----

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
    // expected-error @below {{'attn.row_reduce' op expects to stand directly in the normalize region of 'attn.attention'}}
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
