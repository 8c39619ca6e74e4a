// RUN: aec-opt %s --allow-unregistered-dialect --tt-fold-exponents | FileCheck %s

// What is no kernel stays.
// CHECK-LABEL: func.func @host
// CHECK:         math.exp %{{[^ ]+}} : f32
func.func @host(%x: f32) -> f32 {
  %e = math.exp %x : f32
  return %e : f32
}

// So do declarations.
// CHECK-LABEL: sym_name = "declared"
"tt.func"() ({}) {sym_name = "declared"} : () -> ()

// So do numbers of 64 and of 16 bits, and logarithms.
// CHECK-LABEL: "tt.func"
// CHECK-NEXT:  ^bb0(%[[X:[^:]+]]: tensor<64xf64>, %[[Y:[^:]+]]: tensor<64xf16>, %[[Z:[^:]+]]: tensor<64xf32>)
// CHECK-NEXT:    %[[A:[^ ]+]] = math.exp %[[X]]
// CHECK-NEXT:    %[[B:[^ ]+]] = math.exp %[[Y]]
// CHECK-NEXT:    %[[C:[^ ]+]] = math.log %[[Z]]
// CHECK-NEXT:    "test.use"(%[[A]], %[[B]], %[[C]])
"tt.func"() ({
^bb0(%x: tensor<64xf64>, %y: tensor<64xf16>, %z: tensor<64xf32>):
  %a = math.exp %x : tensor<64xf64>
  %b = math.exp %y : tensor<64xf16>
  %c = math.log %z : tensor<64xf32>
  "test.use"(%a, %b, %c) : (tensor<64xf64>, tensor<64xf16>, tensor<64xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "others"} : () -> ()
