// RUN: aec-opt %s --attn-derive-chunked | FileCheck %s
// RUN: aec-opt %s --explain attn-derive-chunked --attn-derive-chunked | FileCheck %s --check-prefix=EXPLAIN
// RUN: aec-opt %s --attn-derive-chunked --attn-verify-chunked | FileCheck %s

// Steps with a rank-one term, in the WY form.

// EXPLAIN-LABEL: attn.recurrence {{.+}} in @diagonal_and_rank_one
// EXPLAIN-NEXT:    step: S' = exp(c{{.+}}[b, h, t, i]) * S[i, j] + c{{.+}}[b, h, t] * k[i] * u[j], u[j] = v[j] - sum_m k[m] * exp(c{{.+}}[b, h, t, m]) * S[m, j]
// EXPLAIN:         structure: the transition is diagonal over the key feature and a rank-one term
// EXPLAIN:         composition: decays after s, up to t, multiply to exp(c_t - c_s), c_t = sum_(r <= t) log_decay_r, log_decay = c{{.+}}[b, h, t, i], and rank-one terms by the WY form
// EXPLAIN:         WY form: the erase reads the decayed state; {{.*}}N_ts = sum_m erase_t[m] key_s[m] exp(c_t[m] - c_s[m]) key_scale_s

// The delta rule: beta k is one scale of the key.
// CHECK-LABEL: func.func @rank_one
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[BETA:.+]] = tensor.extract
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[BETA]], %[[K]]) {{.*}}array<i32: 1, 1, 1, 0, 0, 0, 1, 1, 0, 0>
// CHECK-NEXT:    }) {{.*}}erase_reads = "decayed", exponents = "nonpositive", reads = "after"
func.func @rank_one(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %beta: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %beta_t = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
    %zerod = arith.constant dense<0.0> : tensor<16xf32>
    %seen = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zerod : tensor<16xf32>) -> tensor<16xf32>
    %error = arith.subf %vt, %seen : tensor<16xf32>
    %rate = tensor.splat %beta_t : tensor<8xf32>
    %scaled = arith.mulf %rate, %kt : tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%scaled : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %S, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// The gated delta rule: the erase reads the decayed state, since the decay is a factor of it.
// CHECK-LABEL: func.func @gated_rank_one
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %{{.+}}, %{{.+}}, %[[K]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 1, 1, 0, 0>
// CHECK-NEXT:    }) {{.*}}erase_reads = "decayed"
func.func @gated_rank_one(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>, %beta: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %a = math.exp %g : f32
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %beta_t = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
    %zerod = arith.constant dense<0.0> : tensor<16xf32>
    %seen = linalg.vecmat ins(%kt, %kept : tensor<8xf32>, tensor<8x16xf32>) outs(%zerod : tensor<16xf32>) -> tensor<16xf32>
    %error = arith.subf %vt, %seen : tensor<16xf32>
    %rate = tensor.splat %beta_t : tensor<8xf32>
    %scaled = arith.mulf %rate, %kt : tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%scaled : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// What is erased is read before the decay.
// CHECK-LABEL: func.func @erase_before_decay
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %{{.+}}, %{{.+}}, %[[K]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 1, 1, 0, 0>
// CHECK-NEXT:    }) {{.*}}erase_reads = "state"
func.func @erase_before_decay(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>, %beta: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %a = math.exp %g : f32
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %beta_t = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
    %zerod = arith.constant dense<0.0> : tensor<16xf32>
    %seen = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zerod : tensor<16xf32>) -> tensor<16xf32>
    %error = arith.subf %vt, %seen : tensor<16xf32>
    %rate = tensor.splat %beta_t : tensor<8xf32>
    %scaled = arith.mulf %rate, %kt : tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%scaled : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// KDA: a decay per key feature and a rank-one term.
// CHECK-LABEL: func.func @diagonal_and_rank_one
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[LOG:.+]] = arith.maximumf %{{.+}} : tensor<8xf32>
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[LOG]], %{{.+}}, %[[K]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 1, 1, 0, 0>
// CHECK-NEXT:    }) {{.*}}erase_reads = "decayed"
func.func @diagonal_and_rank_one(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gates: tensor<?x4x?x8xf32>, %beta: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, 8] [1, 1, 1, 1] : tensor<?x4x?x8xf32> to tensor<8xf32>
    %a = math.exp %g : tensor<8xf32>
    %ed = tensor.empty() : tensor<8x16xf32>
    %wide = linalg.broadcast ins(%a : tensor<8xf32>) outs(%ed : tensor<8x16xf32>) dimensions = [1]
    %kept = arith.mulf %wide, %S : tensor<8x16xf32>
    %beta_t = tensor.extract %beta[%b, %h, %t] : tensor<?x4x?xf32>
    %zerod = arith.constant dense<0.0> : tensor<16xf32>
    %seen = linalg.vecmat ins(%kt, %kept : tensor<8xf32>, tensor<8x16xf32>) outs(%zerod : tensor<16xf32>) -> tensor<16xf32>
    %error = arith.subf %vt, %seen : tensor<16xf32>
    %rate = tensor.splat %beta_t : tensor<8xf32>
    %scaled = arith.mulf %rate, %kt : tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%scaled : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}
