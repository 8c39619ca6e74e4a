// RUN: aec-opt %s --split-input-file --attn-derive-step | FileCheck %s
// RUN: aec-opt %s --split-input-file --attn-derive-step --canonicalize --cse | aec-opt --split-input-file | FileCheck %s --check-prefix=CLEAN

// The initial state becomes a pool, which is a result as updated; tensors that are read at t have one position.
// CHECK-LABEL: func.func @argument
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4x1x8xf32>, %[[K:[^ ]+]]: tensor<?x4x1x8xf32>, %[[V:[^ ]+]]: tensor<?x4x1x6xf32>
// CHECK-SAME:    %[[POOL:[^ ]+]]: tensor<?x4x8x6xf32> {attn.dims = ["Slots", "", "", ""], attn.in_place = 1 : i64}
// CHECK-SAME:    %[[GATE:[^ ]+]]: tensor<?x4x1xf32>
// CHECK-SAME:    %[[SLOTS:[^ ]+]]: tensor<?xi32> {attn.name = "slots"}) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
// CHECK:         %[[R:[^ ]+]]:2 = "attn.recurrence_step"(%[[Q]], %[[K]], %[[V]], %[[POOL]], %[[SLOTS]])
// CHECK:           tensor.extract %[[GATE]][%{{.+}}, %{{.+}}, %{{.+}}] : tensor<?x4x1xf32>
// CHECK:         return %[[R]]#0, %[[R]]#1
func.func @argument(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %gate: tensor<?x4x?xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x4x?xf32>
    %a = tensor.splat %g : tensor<8x6xf32>
    %S1 = arith.mulf %a, %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Zeros become an argument, called otherwise where there is one of that name; a result that is no state may come alone.
// CHECK-LABEL: func.func @zeros
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4x1x8xf32> {attn.dims = ["B", "", "", ""], attn.name = "q"}
// CHECK-SAME:    %[[STATE:[^ ]+]]: tensor<?x4x8x6xf32> {attn.dims = ["Slots", "", "", ""], attn.in_place = 1 : i64, attn.name = "state1"}
// CHECK-SAME:    %[[SLOTS:[^ ]+]]: tensor<?xi32> {attn.dims = ["B"], attn.name = "slots"}) -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
// CHECK:         %[[R:[^ ]+]]:2 = "attn.recurrence_step"(%[[Q]], %{{.+}}, %{{.+}}, %[[STATE]], %[[SLOTS]])
// CHECK:         return %[[R]]#0, %[[R]]#1
// CLEAN-LABEL: func.func @zeros
// CLEAN-NOT:     linalg.fill
func.func @zeros(%q: tensor<?x4x?x8xf32> {attn.dims = ["B", "", "T", ""], attn.name = "q"}, %k: tensor<?x4x?x8xf32> {attn.dims = ["B", "", "T", ""], attn.name = "k"}, %v: tensor<?x4x?x6xf32> {attn.dims = ["B", "", "T", ""], attn.name = "v"}, %scale: f32 {attn.name = "state"}) -> tensor<?x4x?x6xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %B = tensor.dim %q, %c0 : tensor<?x4x?x8xf32>
  %empty = tensor.empty(%B) : tensor<?x4x8x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x8x6xf32>) -> tensor<?x4x8x6xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %zeros) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o : tensor<?x4x?x6xf32>
}

// -----

// What is computed of each position on its own stays around the step: the keys, the gates, and of o.
// CHECK-LABEL: func.func @around
// CHECK:         %[[WIDE:[^ ]+]] = tensor.cast %{{.+}} : tensor<?x4x1x8xf32> to tensor<?x4x?x8xf32>
// CHECK:         %[[KEYS:[^ ]+]] = math.tanh %[[WIDE]] : tensor<?x4x?x8xf32>
// CHECK:         %[[ONE:[^ ]+]] = tensor.cast %[[KEYS]] : tensor<?x4x?x8xf32> to tensor<?x4x1x8xf32>
// CHECK:         "attn.recurrence_step"(%{{.+}}, %[[ONE]], %{{.+}}, %{{.+}}, %{{.+}})
// CHECK:         arith.negf
func.func @around(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %keys = math.tanh %k : tensor<?x4x?x8xf32>
  %o, %final = "attn.recurrence"(%q, %keys, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  %n = arith.negf %o : tensor<?x4x?x6xf32>
  return %n, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}
