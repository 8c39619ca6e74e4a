// RUN: aec-opt %s --split-input-file --verify-diagnostics

// One case for each rule of the operands and results of attn.attention; attention-regions-invalid.mlir has the others.

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

// Sizes of the groups of results
func.func @sizes_of_the_groups_of_results(%q: tensor<1x1x4x8xf32>, %true: i1) {
  // expected-error @below {{'attn.attention' op expects resultSegmentSizes to be [1, 0], got [1, 5]}}
  %0 = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) {resultSegmentSizes = array<i32: 1, 5>} : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return
}

// -----

// O that is no ranked tensor
func.func @o_that_is_no_ranked_tensor(%q: tensor<1x1x4x8xf32>) {
  // expected-error @below {{'attn.attention' op expects o to be a ranked tensor, got tensor<*xf32>}}
  %0 = "attn.attention"(%q, %q, %q) ({}, {}, {}) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<*xf32>
  return
}

// -----

// Encoding of an extra
func.func @encoding_of_an_extra(%q: tensor<1x1x4x8xf32>) {
  // expected-error @below {{'attn.attention' op expects extra 0 to have no encoding, got tensor<1x1x4xf32, "dense">}}
  %0:2 = "attn.attention"(%q, %q, %q) ({}, {}, {}) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x4xf32, "dense">)
  return
}
