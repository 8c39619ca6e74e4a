// RUN: aec-opt %s --split-input-file --attn-tile-steps=step-elements=32 | FileCheck %s
// RUN: aec-opt %s --split-input-file '--attn-tile-steps=step-value-block=2 step-elements=32' | FileCheck %s --check-prefix=BLOCK

// A program of the one-step form has no more elements of a state than are asked for: 8 rows of 4.
// CHECK-LABEL: func.func @gated
// CHECK:         tensor.pad {{.*}}
// CHECK:         tensor<?x4xf32> to tensor<8x4xf32>
// BLOCK-LABEL: func.func @gated
// BLOCK:         tensor<?x2xf32> to tensor<8x2xf32>
func.func @gated(%q: tensor<?x4x1x8xf32>, %pool: tensor<?x4x8x8xf32>, %slots: tensor<?xi32>) -> (tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>) {
  %o, %updated = "attn.recurrence_step"(%q, %q, %q, %pool, %slots) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x8xf32>
    %z = arith.constant dense<0.0> : tensor<8xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x8xf32>) outs(%z : tensor<8xf32>) -> tensor<8xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>, tensor<?xi32>)
    -> (tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>)
  return %o, %updated : tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>
}

// -----

// Half of them where the new state waits for a sum over the old one.
// CHECK-LABEL: func.func @delta
// CHECK:         tensor<?x2xf32> to tensor<8x2xf32>
// BLOCK-LABEL: func.func @delta
// BLOCK:         tensor<?x2xf32> to tensor<8x2xf32>
func.func @delta(%q: tensor<?x4x1x8xf32>, %pool: tensor<?x4x8x8xf32>, %slots: tensor<?xi32>) -> (tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>) {
  %o, %updated = "attn.recurrence_step"(%q, %q, %q, %pool, %slots) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %z = arith.constant dense<0.0> : tensor<8xf32>
    %held = linalg.vecmat ins(%kt, %S : tensor<8xf32>, tensor<8x8xf32>) outs(%z : tensor<8xf32>) -> tensor<8xf32>
    %e = tensor.empty() : tensor<8x8xf32>
    %columns = linalg.broadcast ins(%held : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [0]
    %S1 = arith.subf %S, %columns : tensor<8x8xf32>
    "attn.step_yield"(%S1, %held) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>, tensor<?xi32>)
    -> (tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>)
  return %o, %updated : tensor<?x4x1x8xf32>, tensor<?x4x8x8xf32>
}
