// RUN: aec-opt %s --attn-derive-chunked | FileCheck %s
// RUN: aec-opt %s --attn-derive-chunked=chunk=16 | FileCheck %s --check-prefix=SMALL
// RUN: aec-opt %s --explain attn-derive-chunked --attn-derive-chunked | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN-LABEL: attn.recurrence 0 in @none: chunks of 64
// EXPLAIN-NEXT:    step: S' = S[i, j] + k[i] * u[j], u[j] = v[j]
// EXPLAIN-NEXT:    step: o = sum_m q[m] * S[m, j], from the state after the update
// EXPLAIN-NEXT:    structure: the transition is the identity
// EXPLAIN-NEXT:    composition: transitions of a chunk multiply to the identity
// EXPLAIN-NEXT:    range: there is no exponential
// EXPLAIN-NEXT:    proved: the parts put together give the step's function of S, coefficient by coefficient
// EXPLAIN-LABEL: attn.recurrence 1 in @scalar_constant
// EXPLAIN:         range: log_decay <= 0 by |0.9| <= 1; c_t - c_s <= 0 for s <= t
// EXPLAIN-LABEL: attn.recurrence 2 in @scalar:
// EXPLAIN:         range: the sign of log_decay is not known
// EXPLAIN-LABEL: attn.recurrence {{.+}} in @sigmoid
// EXPLAIN:         range: log_decay <= 0 by |1 / (1 + exp(-c{{.+}}[b, h, t]))| <= 1;

// No decay: the identity. The region holds nothing of the step that saw the state.
// CHECK-LABEL: func.func @none
// CHECK:         "attn.chunked_recurrence"
// CHECK-NEXT:    ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]]) {{.*}}array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>
// CHECK-NEXT:    }) {{.*}}chunk = 64 : i64, exponents = "nonpositive", reads = "after"}
// SMALL:         "attn.chunked_recurrence"
// SMALL:         chunk = 16 : i64
func.func @none(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %S, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A constant decay and a scaled read: the logarithm is a constant, and proved to be below 0.
// CHECK-LABEL: func.func @scalar_constant
// CHECK-NEXT:    %{{.+}}:2 = "attn.chunked_recurrence"
// CHECK-NEXT:    ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-DAG:       %[[LOG:.+]] = arith.constant -0.105360545 : f32
// CHECK-DAG:       %[[HALF:.+]] = arith.constant 5.000000e-01 : f32
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[LOG]], %[[HALF]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 1, 0, 0, 0, 0>
// CHECK-NEXT:    }) {{.*}}exponents = "nonpositive"
func.func @scalar_constant(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %all = arith.constant dense<0.9> : tensor<8x16xf32>
    %kept = arith.mulf %S, %all : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %half = arith.constant dense<0.5> : tensor<8xf32>
    %scaled = arith.mulf %qt, %half : tensor<8xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%scaled, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A captured gate: its sign is not known, and it may be -inf.
// CHECK-LABEL: func.func @scalar
// CHECK-SAME:    %[[GATE:[a-z0-9]+]]: tensor<?x4x?xf32>)
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[G:.+]] = tensor.extract %[[GATE]]
// CHECK-NEXT:      %[[LEAST:.+]] = arith.constant -1.990000e+02 : f32
// CHECK-NEXT:      %[[LOG:.+]] = arith.maximumf %[[G]], %[[LEAST]] : f32
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[LOG]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>
// CHECK-NEXT:    }) {{.*}}exponents = "any"
func.func @scalar(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %a = math.exp %g : f32
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// The same in f64, where exponentials reach further.
// CHECK-LABEL: func.func @f64
// CHECK:           arith.constant -1.460000e+03 : f64
func.func @f64(%q: tensor<?x4x?x8xf64>, %k: tensor<?x4x?x8xf64>, %v: tensor<?x4x?x16xf64>, %s0: tensor<?x4x8x16xf64>,
    %gate: tensor<?x4x?xf64>)
    -> (tensor<?x4x?x16xf64>, tensor<?x4x8x16xf64>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf64>, %qt: tensor<8xf64>, %kt: tensor<8xf64>, %vt: tensor<16xf64>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf64>
    %a = math.exp %g : f64
    %all = tensor.splat %a : tensor<8x16xf64>
    %kept = arith.mulf %all, %S : tensor<8x16xf64>
    %e = tensor.empty() : tensor<8x16xf64>
    %rows = linalg.broadcast ins(%kt : tensor<8xf64>) outs(%e : tensor<8x16xf64>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf64>) outs(%e : tensor<8x16xf64>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf64>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf64>
    %zero = arith.constant dense<0.0> : tensor<16xf64>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf64>, tensor<8x16xf64>) outs(%zero : tensor<16xf64>) -> tensor<16xf64>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf64>, tensor<16xf64>) -> ()
  }) : (tensor<?x4x?x8xf64>, tensor<?x4x?x8xf64>, tensor<?x4x?x16xf64>, tensor<?x4x8x16xf64>)
    -> (tensor<?x4x?x16xf64>, tensor<?x4x8x16xf64>)
  return %o, %final : tensor<?x4x?x16xf64>, tensor<?x4x8x16xf64>
}

// The logarithm of a sigmoid is that of 1 + exp(-x), without an exponent above 0.
// CHECK-LABEL: func.func @sigmoid
// CHECK:           %[[NEG:.+]] = arith.negf %{{.+}} : f32
// CHECK:           arith.maximumf %[[NEG]]
// CHECK:           %[[E:.+]] = math.exp
// CHECK:           math.log1p %[[E]]
// CHECK:         }) {{.*}}exponents = "nonpositive"
func.func @sigmoid(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %n = arith.negf %g : f32
    %x = math.exp %n : f32
    %one = arith.constant 1.0 : f32
    %d = arith.addf %one, %x : f32
    %a = arith.divf %one, %d : f32
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A decay per key feature; written as one linalg.generic, it is the same.
// CHECK-LABEL: func.func @diagonal
// CHECK-SAME:    %[[GATES:[a-z0-9]+]]: tensor<?x4x?x8xf32>)
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[G:.+]] = tensor.extract_slice %[[GATES]]
// CHECK:           %[[LOG:.+]] = arith.maximumf %[[G]], %{{.+}} : tensor<8xf32>
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[LOG]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>
func.func @diagonal(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gates: tensor<?x4x?x8xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, 8] [1, 1, 1, 1] : tensor<?x4x?x8xf32> to tensor<8xf32>
    %S1 = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m)>, affine_map<(m, n) -> (m)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%g, %kt, %vt : tensor<8xf32>, tensor<8xf32>, tensor<16xf32>) outs(%S : tensor<8x16xf32>) {
    ^bb0(%x: f32, %y: f32, %z: f32, %s: f32):
      %a = math.exp %x : f32
      %yz = arith.mulf %y, %z : f32
      %kept = arith.mulf %a, %s : f32
      %sum = arith.addf %kept, %yz : f32
      linalg.yield %sum : f32
    } -> tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// RWKV-6: a read of the old state with a bonus for the position itself, which does not need the state.
// CHECK-LABEL: func.func @bonus
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[SUM:.+]] = linalg.generic {{.*}}iterator_types = ["reduction"]
// CHECK:           %[[DOT:.+]] = tensor.extract
// CHECK:           %[[WIDE:.+]] = tensor.splat %[[DOT]] : tensor<16xf32>
// CHECK:           %[[SKIP:.+]] = arith.mulf %[[V]], %[[WIDE]] : tensor<16xf32>
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %{{.+}}, %[[SKIP]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 1>
// CHECK-NEXT:    }) {{.*}}reads = "before"
func.func @bonus(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gates: tensor<?x4x?x8xf32>, %bonus: tensor<4x8xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, 8] [1, 1, 1, 1] : tensor<?x4x?x8xf32> to tensor<8xf32>
    %a = math.exp %g : tensor<8xf32>
    %ed = tensor.empty() : tensor<8x16xf32>
    %wide = linalg.broadcast ins(%a : tensor<8xf32>) outs(%ed : tensor<8x16xf32>) dimensions = [1]
    %kept = arith.mulf %wide, %S : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %u = tensor.extract_slice %bonus[%h, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<8xf32>
    %eu = tensor.empty() : tensor<8x16xf32>
    %wide_u = linalg.broadcast ins(%u : tensor<8xf32>) outs(%eu : tensor<8x16xf32>) dimensions = [1]
    %more = arith.mulf %wide_u, %kv : tensor<8x16xf32>
    %seen = arith.addf %S, %more : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %seen : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// Mamba-2: a skip, and the step size as a scale of the key.
// CHECK-LABEL: func.func @skip
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[DT:.+]] = tensor.extract
// CHECK:           %[[SKIP:.+]] = arith.mulf %{{.+}}, %[[V]] : tensor<16xf32>
// CHECK:           "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %{{.+}}, %[[DT]], %[[SKIP]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 1, 0, 0, 1>
func.func @skip(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %dt: tensor<?x4x?xf32>, %A: tensor<4xf32>, %D: tensor<4xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %dt_t = tensor.extract %dt[%b, %h, %t] : tensor<?x4x?xf32>
    %rate = tensor.extract %A[%h] : tensor<4xf32>
    %g = arith.mulf %rate, %dt_t : f32
    %a = math.exp %g : f32
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %dts = tensor.splat %dt_t : tensor<8xf32>
    %key = arith.mulf %dts, %kt : tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%key : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %d = tensor.extract %D[%h] : tensor<4xf32>
    %ds = tensor.splat %d : tensor<16xf32>
    %direct = arith.mulf %ds, %vt : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%direct : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A factor of either sign: its size as a logarithm, and its sign.
// CHECK-LABEL: func.func @sign
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[A:.+]] = tensor.extract
// CHECK:           %[[SIZE:.+]] = math.absf %[[A]]
// CHECK:           %[[LOG:.+]] = math.log %[[SIZE]]
// CHECK:           %[[LIMITED:.+]] = arith.maximumf %[[LOG]]
// CHECK:           %[[NEGATIVE:.+]] = arith.cmpf olt, %[[A]]
// CHECK:           %[[SIGN:.+]] = arith.select %[[NEGATIVE]]
// CHECK-NEXT:      "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %[[LIMITED]], %[[SIGN]]) {{.*}}array<i32: 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>
func.func @sign(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %a = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %all = tensor.splat %a : tensor<8x16xf32>
    %kept = arith.mulf %all, %S : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A negative constant.
// CHECK-LABEL: func.func @negative_constant
// CHECK-DAG:       %[[LOG:.+]] = arith.constant -0.693147182 : f32
// CHECK-DAG:       %[[SIGN:.+]] = arith.constant -1.000000e+00 : f32
// CHECK:           "attn.position_yield"(%{{.+}}, %{{.+}}, %{{.+}}, %[[LOG]], %[[SIGN]])
func.func @negative_constant(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %all = arith.constant dense<-0.5> : tensor<8x16xf32>
    %kept = arith.mulf %S, %all : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// Written in other ways: a sum over the rows of a product, the transposed state, a difference with the state,
// a choice for all of it.
// CHECK-LABEL: func.func @other_ways
// CHECK:         ^{{.+}}(%[[Q:.+]]: tensor<8xf32>, %[[K:.+]]: tensor<8xf32>, %[[V:.+]]: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[LOG:.+]] = arith.select
// CHECK-NOT:       linalg
// CHECK:           "attn.position_yield"(%[[Q]], %[[K]], %[[V]], %{{.+}}, %[[K]]) {{.*}}array<i32: 1, 1, 1, 1, 0, 0, 0, 1, 0, 0>
// CHECK-NEXT:    }) {{.*}}exponents = "nonpositive", reads = "after"
func.func @other_ways(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gate: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %quarter = arith.constant dense<0.25> : tensor<8x16xf32>
    %part = arith.mulf %S, %quarter : tensor<8x16xf32>
    %most = arith.subf %S, %part : tensor<8x16xf32>
    %zero_g = arith.constant 0.0 : f32
    %p = arith.cmpf ogt, %g, %zero_g : f32
    %kept = arith.select %p, %most, %S : tensor<8x16xf32>
    %ek = tensor.empty() : tensor<8x16xf32>
    %wide = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%ek : tensor<8x16xf32>) dimensions = [1]
    %product = arith.mulf %wide, %kept : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %seen = linalg.reduce ins(%product : tensor<8x16xf32>) outs(%zero : tensor<16xf32>) dimensions = [0]
      (%x: f32, %acc: f32) {
        %sum = arith.addf %x, %acc : f32
        linalg.yield %sum : f32
      }
    %error = arith.subf %vt, %seen : tensor<16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %kept, %kv : tensor<8x16xf32>
    %et = tensor.empty() : tensor<16x8xf32>
    %St = linalg.transpose ins(%S1 : tensor<8x16xf32>) outs(%et : tensor<16x8xf32>) permutation = [1, 0]
    %out = linalg.matvec ins(%St, %qt : tensor<16x8xf32>, tensor<8xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// A decay that linalg.map computes, on the state.
// CHECK-LABEL: func.func @map
// CHECK:         "attn.position_yield"({{.*}}array<i32: 1, 1, 1, 1, 0, 0, 0, 0, 0, 0>
// CHECK-NEXT:    }) {{.*}}exponents = "nonpositive", reads = "before"
func.func @map(%q: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x16xf32>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %S1 = linalg.map ins(%S : tensor<8x16xf32>) outs(%e : tensor<8x16xf32>)
      (%s: f32, %init: f32) {
        %half = arith.constant 0.5 : f32
        %r = arith.mulf %half, %s : f32
        linalg.yield %r : f32
      }
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xf32>, tensor<?x4x8x16xf32>
}
