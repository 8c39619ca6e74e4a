// RUN: not aec-opt %s --attn-tile=packed-rows=16 2>&1 | FileCheck %s

// What a form says of its rows is no number of packed ones.
// CHECK: error: 'attn.online_attention' op expects no attribute 'attn.tile' beside packed-rows, got array<i64: 16, 8>
func.func @sizes(%q: tensor<?x2x?x32xf32>, %k: tensor<?x2x?x32xf32>, %v: tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32> {
  %one = arith.constant 1.0 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sge, %i, %j : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
    "attn.yield"() : () -> ()
  }, {
  ^update(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0.0 : f32
    %w = arith.maximumf %s, %zero : f32
    "attn.yield"(%one, %w) : (f32, f32) -> ()
  }, {
  ^merge(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64, attn.tile = array<i64: 16, 8>} : (tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32>
  return %o : tensor<?x2x?x32xf32>
}
