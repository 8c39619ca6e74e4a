// RUN: aec-opt %s --split-input-file --verify-diagnostics --attn-derive-chunked

// The terms that no chunked form has, each refused at the operation that first shows it.

// A decay per value feature
func.func @value_decay(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %gates: tensor<?x4x?x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, 16] [1, 1, 1, 1] : tensor<?x4x?x16xf32> to tensor<16xf32>
    %a = math.exp %g : tensor<16xf32>
    %ed = tensor.empty() : tensor<8x16xf32>
    %wide = linalg.broadcast ins(%a : tensor<16xf32>) outs(%ed : tensor<8x16xf32>) dimensions = [0]
    // expected-error @below {{'arith.mulf' op unsupported: a decay that varies over the value feature, exp(c0[b, h, t, j]) * S[i, j], in a chunked form}}
    %kept = arith.mulf %wide, %S : tensor<8x16xf32>
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

// -----

// A decay per element
func.func @matrix_decay(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %decay: tensor<8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.mulf' op unsupported: a decay of its own for each element of the state, c0[i, j] * S[i, j], in a chunked form}}
    %kept = arith.mulf %decay, %S : tensor<8x16xf32>
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

// -----

// A product from the right
func.func @right(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %zk = arith.constant dense<0.0> : tensor<8xf32>
    // expected-error @below {{'linalg.matvec' op unsupported: a product with the state from the right, sum_n v[j] * v[n] * S[i, n], in a chunked form}}
    %x = linalg.matvec ins(%S, %vt : tensor<8x16xf32>, tensor<16xf32>) outs(%zk : tensor<8xf32>) -> tensor<8xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%x : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
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

// -----

// The transposed state
func.func @transposed(%q: tensor<?x4x?x16xbf16>, %k: tensor<?x4x?x16xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e0 = tensor.empty() : tensor<16x16xf32>
    // expected-error @below {{'linalg.transpose' op unsupported: the transposed state, S[j, i], in a chunked form}}
    %St = linalg.transpose ins(%S : tensor<16x16xf32>) outs(%e0 : tensor<16x16xf32>) permutation = [1, 0]
    %e = tensor.empty() : tensor<16x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<16x16xf32>
    %S1 = arith.addf %St, %kv : tensor<16x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<16xf32>, tensor<16x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>
}

// -----

// Writes along two directions
func.func @two_writes(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %xt: tensor<16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %e2 = tensor.empty() : tensor<8x16xf32>
    %rows2 = linalg.broadcast ins(%qt : tensor<8xf32>) outs(%e2 : tensor<8x16xf32>) dimensions = [1]
    %columns2 = linalg.broadcast ins(%xt : tensor<16xf32>) outs(%e2 : tensor<8x16xf32>) dimensions = [0]
    %qv = arith.mulf %rows2, %columns2 : tensor<8x16xf32>
    %one = arith.addf %S, %kv : tensor<8x16xf32>
    // expected-error @below {{'arith.addf' op unsupported: writes along several directions: k[i] and q[i], in a chunked form}}
    %S1 = arith.addf %one, %qv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// Two rank-one terms
func.func @two_erases(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %zeroa = arith.constant dense<0.0> : tensor<16xf32>
    %ks = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zeroa : tensor<16xf32>) -> tensor<16xf32>
    %ea = tensor.empty() : tensor<8x16xf32>
    %rowsa = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [1]
    %columnsa = linalg.broadcast ins(%ks : tensor<16xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [0]
    %kks = arith.mulf %rowsa, %columnsa : tensor<8x16xf32>
    %zerob = arith.constant dense<0.0> : tensor<16xf32>
    %qs = linalg.vecmat ins(%qt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zerob : tensor<16xf32>) -> tensor<16xf32>
    %eb = tensor.empty() : tensor<8x16xf32>
    %rowsb = linalg.broadcast ins(%qt : tensor<8xf32>) outs(%eb : tensor<8x16xf32>) dimensions = [1]
    %columnsb = linalg.broadcast ins(%qs : tensor<16xf32>) outs(%eb : tensor<8x16xf32>) dimensions = [0]
    %qqs = arith.mulf %rowsb, %columnsb : tensor<8x16xf32>
    %one = arith.subf %S, %kks : tensor<8x16xf32>
    // expected-error @below {{'arith.subf' op unsupported: a transition of more than one rank-one term, or one along another direction than the write: k[i] and q[i], in a chunked form}}
    %S1 = arith.subf %one, %qqs : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// An erase along another direction than the write
func.func @other_direction(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %zeroa = arith.constant dense<0.0> : tensor<16xf32>
    %ks = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zeroa : tensor<16xf32>) -> tensor<16xf32>
    %ea = tensor.empty() : tensor<8x16xf32>
    %rowsa = linalg.broadcast ins(%qt : tensor<8xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [1]
    %columnsa = linalg.broadcast ins(%ks : tensor<16xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [0]
    %qks = arith.mulf %rowsa, %columnsa : tensor<8x16xf32>
    %one = arith.subf %S, %qks : tensor<8x16xf32>
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    // expected-error @below {{'arith.addf' op unsupported: a transition of more than one rank-one term, or one along another direction than the write: k[i] and q[i], in a chunked form}}
    %S1 = arith.addf %one, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// A write that is no product
func.func @matrix_write(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %write: tensor<8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'arith.addf' op unsupported: a write that is no product of a key and a value, c0[i, j], in a chunked form}}
    %S1 = arith.addf %S, %write : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// An erase that varies over the value feature
func.func @varying_erase(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %zeroa = arith.constant dense<0.0> : tensor<16xf32>
    %ks = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zeroa : tensor<16xf32>) -> tensor<16xf32>
    // expected-error @below {{'arith.mulf' op unsupported: a rank-one term that varies over the value feature, sum_m -k[m] * v[j] * k[i] * S[m, j], in a chunked form}}
    %vks = arith.mulf %vt, %ks : tensor<16xf32>
    %ea = tensor.empty() : tensor<8x16xf32>
    %rowsa = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [1]
    %columnsa = linalg.broadcast ins(%vks : tensor<16xf32>) outs(%ea : tensor<8x16xf32>) dimensions = [0]
    %kvks = arith.mulf %rowsa, %columnsa : tensor<8x16xf32>
    %S1 = arith.subf %S, %kvks : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// A gate on the output
func.func @gated_output(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<8x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x16xf32>
    %S1 = arith.addf %S, %kv : tensor<8x16xf32>
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %plain = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>) -> tensor<16xf32>
    // expected-error @below {{'arith.mulf' op unsupported: a read that is scaled over the value feature, sum_m q[m] * v[j] * S[m, j], in a chunked form}}
    %out = arith.mulf %plain, %vt : tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// A read over the value feature
func.func @read_from_right(%q: tensor<?x4x?x16xbf16>, %k: tensor<?x4x?x16xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<16x16xf32>, %qt: tensor<16xf32>, %kt: tensor<16xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<16x16xf32>
    %rows = linalg.broadcast ins(%kt : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<16x16xf32>
    %S1 = arith.addf %S, %kv : tensor<16x16xf32>
    %zk = arith.constant dense<0.0> : tensor<16xf32>
    // expected-error @below {{'linalg.matvec' op unsupported: a product with the state from the right, sum_n v[n] * S[j, n], in a chunked form}}
    %out = linalg.matvec ins(%S1, %vt : tensor<16x16xf32>, tensor<16xf32>) outs(%zk : tensor<16xf32>) -> tensor<16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<16x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x16xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x16x16xf32>
}

// -----

// A part of the state
func.func @slice(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
    // expected-error @below {{'tensor.extract_slice' op unsupported: 'tensor.extract_slice' of the state in a chunked form}}
    %out = tensor.extract_slice %S[0, 0] [1, 16] [1, 1] : tensor<8x16xf32> to tensor<16xf32>
    "attn.step_yield"(%S, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x4x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// -----

// A state of one element
func.func @one_element(%q: tensor<?x4x?x1xbf16>, %k: tensor<?x4x?x1xbf16>, %v: tensor<?x4x?x1xbf16>, %s0: tensor<?x4x1x1xf32>)
    -> (tensor<?x4x?x1xbf16>, tensor<?x4x1x1xf32>) {
  // expected-error @below {{'attn.recurrence' op unsupported: a state of one element in a chunked form}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<1x1xf32>, %qt: tensor<1xf32>, %kt: tensor<1xf32>, %vt: tensor<1xf32>, %b: index, %h: index, %t: index):
    %zero = arith.constant dense<0.0> : tensor<1xf32>
    %out = linalg.vecmat ins(%qt, %S : tensor<1xf32>, tensor<1x1xf32>) outs(%zero : tensor<1xf32>) -> tensor<1xf32>
    "attn.step_yield"(%S, %out) : (tensor<1x1xf32>, tensor<1xf32>) -> ()
  }) : (tensor<?x4x?x1xbf16>, tensor<?x4x?x1xbf16>, tensor<?x4x?x1xbf16>, tensor<?x4x1x1xf32>)
    -> (tensor<?x4x?x1xbf16>, tensor<?x4x1x1xf32>)
  return %o, %final : tensor<?x4x?x1xbf16>, tensor<?x4x1x1xf32>
}
