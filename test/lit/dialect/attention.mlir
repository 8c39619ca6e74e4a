// RUN: aec-opt %s | aec-opt | FileCheck %s
// RUN: aec-opt %s --mlir-print-op-generic | aec-opt | FileCheck %s
// RUN: aec-opt %s --emit-bytecode | aec-opt | FileCheck %s
// RUN: aec-opt %s --canonicalize --cse --canonicalize | aec-opt | FileCheck %s --check-prefix=CLEAN

// Grouped queries, a capture and an extra; dynamic batch and lengths.
// CHECK-LABEL: func.func @grouped
// CHECK-SAME:    (%[[Q:.+]]: tensor<?x4x?x16xbf16>, %[[K:.+]]: tensor<?x2x?x16xbf16>, %[[V:.+]]: tensor<?x2x?x32xbf16>, %[[T:.+]]: tensor<4xf32>)
// CHECK:         %[[O:.+]]:2 = "attn.attention"(%[[Q]], %[[K]], %[[V]]) ({
// CHECK-NEXT:    ^{{.+}}(%[[S:.+]]: f32, %{{.+}}: index, %[[H:.+]]: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[E:.+]] = tensor.extract %[[T]][%[[H]]]
// CHECK-NEXT:      %[[M:.+]] = arith.mulf %[[S]], %[[E]]
// CHECK-NEXT:      "attn.yield"(%[[M]]) : (f32) -> ()
// CHECK:           "attn.row_reduce"(%{{.+}}) {kind = "max"} : (f32) -> f32
// CHECK:           "attn.yield"(%{{.+}}, %{{.+}}) : (f32, f32) -> ()
// CHECK:         return %[[O]]#0, %[[O]]#1
func.func @grouped(%q: tensor<?x4x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x32xbf16>,
                   %t: tensor<4xf32>) -> (tensor<?x4x?x32xbf16>, tensor<?x4x?xf32>) {
  %o, %max = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %x = tensor.extract %t[%h] : tensor<4xf32>
    %y = arith.mulf %s, %x : f32
    "attn.yield"(%y) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sge, %i, %j : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    "attn.yield"(%d, %m) : (f32, f32) -> ()
  }) : (tensor<?x4x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x32xbf16>)
    -> (tensor<?x4x?x32xbf16>, tensor<?x4x?xf32>)
  return %o, %max : tensor<?x4x?x32xbf16>, tensor<?x4x?xf32>
}

// Constants move out of the regions and equal reads outside replace reads inside; the op stays valid.
// CLEAN-LABEL: func.func @hoisted
// CLEAN-DAG:     %[[HALF:.+]] = arith.constant 5.000000e-01 : f32
// CLEAN-DAG:     %[[TRUE:.+]] = arith.constant true
// CLEAN:         %[[R:.+]] = tensor.extract
// CLEAN:         "attn.attention"
// CLEAN:           arith.mulf %{{.+}}, %[[HALF]]
// CLEAN-NEXT:      arith.addf %{{.+}}, %[[R]]
// CLEAN:           "attn.yield"(%[[TRUE]]) : (i1) -> ()
// CLEAN:           "attn.row_reduce"(%[[HALF]])
func.func @hoisted(%q: tensor<1x1x?x16xf32>, %t: tensor<4xf32>) -> (tensor<1x1x?x16xf32>, f32) {
  %c2 = arith.constant 2 : index
  %outside = tensor.extract %t[%c2] : tensor<4xf32>
  %o = "attn.attention"(%q, %q, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %half = arith.constant 0.5 : f32
    %x = arith.mulf %s, %half : f32
    %two = arith.constant 2 : index
    %inside = tensor.extract %t[%two] : tensor<4xf32>
    %y = arith.addf %x, %inside : f32
    "attn.yield"(%y) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %half = arith.constant 0.5 : f32
    %n = "attn.row_reduce"(%half) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %s, %n : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> tensor<1x1x?x16xf32>
  return %o, %outside : tensor<1x1x?x16xf32>, f32
}

// Dynamic head counts, sizes of 0, f64, an f32 output of f16 operands, and no reduction at all.
// CHECK-LABEL: func.func @sizes_and_types
// CHECK-COUNT-3: "attn.attention"
func.func @sizes_and_types(%a: tensor<?x?x?x8xf64>, %b: tensor<0x0x0x8xf16>, %c: tensor<2x0x4x0xf16>)
    -> (tensor<?x?x?x8xf64>, tensor<0x0x0x8xf32>, tensor<2x0x4x0xf16>) {
  %true = arith.constant true
  %0 = "attn.attention"(%a, %a, %a) ({
  ^bb0(%s: f64, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }, {
  ^bb0(%b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f64, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }) : (tensor<?x?x?x8xf64>, tensor<?x?x?x8xf64>, tensor<?x?x?x8xf64>) -> tensor<?x?x?x8xf64>
  %1 = "attn.attention"(%b, %b, %b) ({
  ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^bb0(%b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<0x0x0x8xf16>, tensor<0x0x0x8xf16>, tensor<0x0x0x8xf16>) -> tensor<0x0x0x8xf32>
  %2 = "attn.attention"(%c, %c, %c) ({
  ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^bb0(%b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b0: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<2x0x4x0xf16>, tensor<2x0x4x0xf16>, tensor<2x0x4x0xf16>) -> tensor<2x0x4x0xf16>
  return %0, %1, %2 : tensor<?x?x?x8xf64>, tensor<0x0x0x8xf32>, tensor<2x0x4x0xf16>
}
