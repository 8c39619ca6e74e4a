// RUN: aec-opt %s | aec-opt | FileCheck %s
// RUN: aec-opt %s --mlir-print-op-generic | aec-opt | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt | FileCheck %s
// RUN: aec-opt %s --canonicalize --cse --canonicalize | aec-opt | FileCheck %s --check-prefix=CLEAN

// A decay per key feature, one key head for all value heads, the output read before the update.
// CHECK-LABEL: func.func @diagonal
// CHECK-SAME:    (%[[Q:.+]]: tensor<?x1x?x8xbf16>, %[[V:.+]]: tensor<?x4x?x16xbf16>, %[[I:.+]]: tensor<?x4x8x16xf32>, %[[G:.+]]: tensor<?x4x?x8xf32>)
// CHECK:         %[[O:.+]]:2 = "attn.recurrence"(%[[Q]], %[[Q]], %[[V]], %[[I]]) ({
// CHECK-NEXT:    ^{{.+}}(%[[S:.+]]: tensor<8x16xf32>, %[[QT:.+]]: tensor<8xf32>, %{{.+}}: tensor<8xf32>, %{{.+}}: tensor<16xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           linalg.vecmat ins(%[[QT]], %[[S]]
// CHECK:           tensor.extract_slice %[[G]]
// CHECK:           "attn.step_yield"(%{{.+}}, %{{.+}}) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
// CHECK:         return %[[O]]#0, %[[O]]#1
// CLEAN-LABEL: func.func @diagonal
// CLEAN:         %[[ZERO:.+]] = arith.constant dense<0.000000e+00> : tensor<16xf32>
// CLEAN:         "attn.recurrence"
// CLEAN:           linalg.vecmat {{.*}} outs(%[[ZERO]]
func.func @diagonal(%q: tensor<?x1x?x8xbf16>, %v: tensor<?x4x?x16xbf16>, %s0: tensor<?x4x8x16xf32>,
                    %g: tensor<?x4x?x8xf32>) -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %v, %s0) ({
  ^step(%S: tensor<8x16xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<16xf32>,
        %b: index, %h: index, %t: index):
    %zero = arith.constant dense<0.0> : tensor<16xf32>
    %out = linalg.vecmat ins(%qt, %S : tensor<8xf32>, tensor<8x16xf32>) outs(%zero : tensor<16xf32>)
      -> tensor<16xf32>
    %gate = tensor.extract_slice %g[%b, %h, %t, 0] [1, 1, 1, 8] [1, 1, 1, 1]
      : tensor<?x4x?x8xf32> to tensor<8xf32>
    %decay = math.exp %gate : tensor<8xf32>
    %empty = tensor.empty() : tensor<8x16xf32>
    %rows = linalg.broadcast ins(%decay : tensor<8xf32>) outs(%empty : tensor<8x16xf32>) dimensions = [1]
    %S1 = arith.mulf %rows, %S : tensor<8x16xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x16xf32>, tensor<16xf32>) -> ()
  }) : (tensor<?x1x?x8xbf16>, tensor<?x1x?x8xbf16>, tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
    -> (tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>)
  return %o, %final : tensor<?x4x?x16xbf16>, tensor<?x4x8x16xf32>
}

// The variable-length form, a state per sequence, f64.
// CHECK-LABEL: func.func @varlen
// CHECK-SAME:    (%[[Q:.+]]: tensor<1x2x?x4xf64>, %[[I:.+]]: tensor<?x2x4x4xf64>, %[[OFFSETS:.+]]: tensor<?xi32>)
// CHECK:         "attn.recurrence"(%[[Q]], %[[Q]], %[[Q]], %[[I]], %[[OFFSETS]])
func.func @varlen(%q: tensor<1x2x?x4xf64>, %s0: tensor<?x2x4x4xf64>, %offsets: tensor<?xi32>)
    -> (tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>) {
  %o, %final = "attn.recurrence"(%q, %q, %q, %s0, %offsets) ({
  ^step(%S: tensor<4x4xf64>, %qt: tensor<4xf64>, %kt: tensor<4xf64>, %vt: tensor<4xf64>,
        %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<4x4xf64>, tensor<4xf64>) -> ()
  }) : (tensor<1x2x?x4xf64>, tensor<1x2x?x4xf64>, tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>, tensor<?xi32>)
    -> (tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>)
  return %o, %final : tensor<1x2x?x4xf64>, tensor<?x2x4x4xf64>
}

// Rank-one transitions and structured bodies are affine: a delta rule, linalg.generic, linalg.reduce.
// CHECK-LABEL: func.func @affine
// CHECK:         linalg.vecmat
// CHECK:         linalg.generic
// CHECK:         linalg.reduce
func.func @affine(%q: tensor<1x1x?x4xf32>, %s0: tensor<1x1x4x4xf32>)
    -> (tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %q, %s0) ({
  ^step(%S: tensor<4x4xf32>, %qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<4xf32>,
        %b: index, %h: index, %t: index):
    %zero = arith.constant dense<0.0> : tensor<4xf32>
    %read = linalg.vecmat ins(%kt, %S : tensor<4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4xf32>)
      -> tensor<4xf32>
    %delta = arith.subf %vt, %read : tensor<4xf32>
    %S1 = linalg.generic {
        indexing_maps = [affine_map<(m, n) -> (m)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
        iterator_types = ["parallel", "parallel"]}
        ins(%kt, %delta : tensor<4xf32>, tensor<4xf32>) outs(%S : tensor<4x4xf32>) {
      ^bb0(%x: f32, %y: f32, %s: f32):
        %xy = arith.mulf %x, %y : f32
        %sum = arith.addf %s, %xy : f32
        linalg.yield %sum : f32
    } -> tensor<4x4xf32>
    %out = linalg.reduce ins(%S1 : tensor<4x4xf32>) outs(%zero : tensor<4xf32>) dimensions = [0]
      (%x: f32, %acc: f32) {
        %sum = arith.addf %x, %acc : f32
        linalg.yield %sum : f32
      }
    "attn.step_yield"(%S1, %out) : (tensor<4x4xf32>, tensor<4xf32>) -> ()
  }) : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>)
    -> (tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>)
  return %o, %final : tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>
}

// -----

// What depends on the state may be used from inside of a body, and its sizes are no part of it.
// CHECK-LABEL: func.func @state_inside_a_body
// CHECK:         tensor.dim
// CHECK:         linalg.generic
func.func @state_inside_a_body(%q: tensor<1x1x?x4xf32>, %s0: tensor<1x1x4x4xf32>) -> tensor<1x1x?x4xf32> {
  %o, %f = "attn.recurrence"(%q, %q, %q, %s0) ({
  ^step(%S: tensor<4x4xf32>, %qt: tensor<4xf32>, %kt: tensor<4xf32>, %vt: tensor<4xf32>, %b: index, %h: index, %t: index):
    %c0 = arith.constant 0 : index
    %rows = tensor.dim %S, %c0 : tensor<4x4xf32>
    %n = arith.index_cast %rows : index to i64
    %m = arith.muli %n, %n : i64
    %corner = tensor.extract %S[%c0, %c0] : tensor<4x4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %out = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        outs(%e : tensor<4xf32>) {
    ^bb0(%x: f32):
      linalg.yield %corner : f32
    } -> tensor<4xf32>
    "attn.step_yield"(%S, %out) : (tensor<4x4xf32>, tensor<4xf32>) -> ()
  }) : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>) -> (tensor<1x1x?x4xf32>, tensor<1x1x4x4xf32>)
  return %o : tensor<1x1x?x4xf32>
}
