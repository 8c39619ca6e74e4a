// RUN: aec-opt %s --attn-derive-step | FileCheck %s

// Private functions are called from inside only, and functions without a recurrence have no state.
// CHECK-LABEL: func.func private @f
// CHECK-NOT:     attn.recurrence_step
// CHECK-LABEL: func.func @g
// CHECK-NEXT:    return
func.func private @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

func.func @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
