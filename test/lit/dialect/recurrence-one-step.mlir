// RUN: aec-opt %s | aec-opt | FileCheck %s
// RUN: aec-opt %s --mlir-print-op-generic | aec-opt | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt | FileCheck %s
// RUN: aec-opt %s --canonicalize --cse --canonicalize | aec-opt | FileCheck %s

// As many slots as requests; the pool has any number.
// CHECK-LABEL: func.func @step
// CHECK-SAME:    (%[[Q:.+]]: tensor<?x2x1x8xbf16>, %[[V:.+]]: tensor<?x4x1x6xbf16>, %[[POOL:.+]]: tensor<9x4x8x6xf32>, %[[SLOTS:.+]]: tensor<?xi32>)
// CHECK:         %[[O:.+]]:2 = "attn.recurrence_step"(%[[Q]], %[[Q]], %[[V]], %[[POOL]], %[[SLOTS]]) ({
// CHECK-NEXT:    ^{{.+}}(%[[S:.+]]: tensor<8x6xf32>, %{{.+}}: tensor<8xf32>, %{{.+}}: tensor<8xf32>, %[[VT:.+]]: tensor<6xf32>, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      "attn.step_yield"(%[[S]], %[[VT]])
// CHECK:         return %[[O]]#0, %[[O]]#1
func.func @step(%q: tensor<?x2x1x8xbf16>, %v: tensor<?x4x1x6xbf16>, %pool: tensor<9x4x8x6xf32>, %slots: tensor<?xi32>)
    -> (tensor<?x4x1x6xf32>, tensor<9x4x8x6xf32>) {
  %o, %updated = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x2x1x8xbf16>, tensor<?x2x1x8xbf16>, tensor<?x4x1x6xbf16>, tensor<9x4x8x6xf32>, tensor<?xi32>)
    -> (tensor<?x4x1x6xf32>, tensor<9x4x8x6xf32>)
  return %o, %updated : tensor<?x4x1x6xf32>, tensor<9x4x8x6xf32>
}
