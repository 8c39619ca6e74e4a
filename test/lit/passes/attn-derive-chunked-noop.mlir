// RUN: aec-opt %s --attn-derive-chunked=keep-refused=true | FileCheck %s
// RUN: aec-opt %s --explain attn-derive-chunked --attn-derive-chunked=keep-refused=true | FileCheck %s --check-prefix=EXPLAIN

// RUN: aec-opt %s --split-input-file --attn-derive-chunked=keep-refused=true --verify-diagnostics

// With keep-refused a step without a chunked form stays as it is, and a remark and the explanation say why.
// CHECK-LABEL: func.func @refused
// CHECK:         "attn.recurrence"
// CHECK-NOT:     "attn.chunked_recurrence"
// EXPLAIN-LABEL: attn.recurrence 0 in @refused: refused
// EXPLAIN-NEXT:    unsupported: a decay of its own for each element of the state, c0[i, j] * S[i, j], in a chunked form
func.func @refused(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x4x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
    %decay: tensor<8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  // expected-remark @below {{'attn.recurrence' op is taken position by position: unsupported: a decay of its own for each element of the state, c0[i, j] * S[i, j], in a chunked form}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>, %b: index, %h: index, %t: index):
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

// One without features stays, and so does everything else.
// CHECK-LABEL: func.func @no_features
// CHECK:         "attn.recurrence"
// CHECK:         math.exp
func.func @no_features(%q: tensor<1x1x?x0xf32>, %v: tensor<1x1x?x4xf32>, %s0: tensor<1x1x0x4xf32>, %x: f32)
    -> (tensor<1x1x?x4xf32>, tensor<1x1x0x4xf32>, f32) {
  %o, %final = "attn.recurrence"(%q, %q, %v, %s0) ({
  ^step(%S: tensor<0x4xf32>, %qt: tensor<0xf32>, %kt: tensor<0xf32>, %vt: tensor<4xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<0x4xf32>, tensor<4xf32>) -> ()
  }) : (tensor<1x1x?x0xf32>, tensor<1x1x?x0xf32>, tensor<1x1x?x4xf32>, tensor<1x1x0x4xf32>)
    -> (tensor<1x1x?x4xf32>, tensor<1x1x0x4xf32>)
  %y = math.exp %x : f32
  return %o, %final, %y : tensor<1x1x?x4xf32>, tensor<1x1x0x4xf32>, f32
}
