// RUN: aec-opt %s | aec-opt | FileCheck %s
// RUN: aec-opt %s --mlir-print-op-generic | aec-opt | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt | FileCheck %s

// A sum and its weights; the state, the rescales and the weights stand in this order.
// CHECK-LABEL: func.func @streams
// CHECK:         "attn.online_attention"(%{{.+}}, %{{.+}}, %{{.+}}) ({
// CHECK:           "attn.yield"(%{{.+}}) : (f32) -> ()
// CHECK:         ^{{.+}}(%[[L:.+]]: f32, %[[S:.+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[T:.+]] = "attn.row_reduce"(%[[S]]) {kind = "sum"} : (f32) -> f32
// CHECK-NEXT:      %[[L1:.+]] = arith.addf %[[L]], %[[T]] : f32
// CHECK-NEXT:      "attn.yield"(%[[L1]], %{{.+}}, %[[S]]) : (f32, f32, f32) -> ()
// CHECK:         }) {accumulators = 1 : i64} :
func.func @streams(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1, %one, %s) : (f32, f32, f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l, %one, %one) : (f32, f32, f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%one, %l) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}

// Statistics have no accumulators.
// CHECK-LABEL: func.func @statistics
// CHECK:         "attn.online_reduce"(%{{.+}}, %{{.+}}) ({
// CHECK:         }) : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>) -> tensor<2x4x?xf32>
func.func @statistics(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1) : (f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  })  : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>) -> tensor<2x4x?xf32>
  return
}

// A form without state: sigmoid attention has none.
// CHECK-LABEL: func.func @stateless
// CHECK:         "attn.online_attention"
// CHECK:           "attn.yield"() : () -> ()
func.func @stateless(%q: tensor<2x4x?x16xf32>, %k: tensor<2x2x?x16xf32>, %v: tensor<2x2x?x32xf32>, %true: i1, %zero: f32, %one: f32) {
  %o:2 = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"() : () -> ()
  }, {
  ^update(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%one, %s) : (f32, f32) -> ()
  }, {
  ^merge(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }) {accumulators = 1 : i64} : (tensor<2x4x?x16xf32>, tensor<2x2x?x16xf32>, tensor<2x2x?x32xf32>) -> (tensor<2x4x?x32xf32>, tensor<2x4x?xf32>)
  return
}
