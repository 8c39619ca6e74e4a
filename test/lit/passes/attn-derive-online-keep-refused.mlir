// RUN: aec-opt %s --attn-derive-online='max-passes=1 keep-refused=true' | FileCheck %s
// RUN: aec-opt %s --pass-pipeline='builtin.module(attn-derive-online{max-passes=1 keep-refused=true})' \
// RUN:   --explain attn-derive-online | FileCheck %s --check-prefix=EXPLAIN
// EXPLAIN:      attn.attention 0 in @deviation: refused
// EXPLAIN-NEXT:   {{.*}}at most 1 pass over the keys

// Two passes where one is allowed: the program stays, if that is asked for.
// CHECK-LABEL: func.func @deviation
// CHECK:         "attn.attention"
// CHECK-NOT:     attn.online
func.func @deviation(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %a = math.absf %c : f32
    %x = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %a, %x : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}
