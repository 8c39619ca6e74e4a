// RUN: aec-opt %s --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8},canonicalize,cse)' | FileCheck %s

// The last tile of rows comes first, or the first where the attribute says so.
// CHECK-LABEL: func.func @last_first
// CHECK:         scf.forall (%{{[^ ]+}}, %{{[^ ]+}}, %[[T:[^ ]+]]) in
// CHECK:           arith.subi %{{.+}}, %[[T]] : index
// CHECK:           linalg.generic
// CHECK-LABEL: func.func @first_first
// CHECK:         scf.forall (%{{[^ ]+}}, %{{[^ ]+}}, %[[T:[^ ]+]]) in
// CHECK-NEXT:      arith.muli %[[T]], %{{.+}} : index
// CHECK-NOT:     attn.first_tile_first
func.func @last_first(%q: tensor<?x2x?x32xf32>, %k: tensor<?x2x?x32xf32>, %v: tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32> {
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
  }) {accumulators = 1 : i64} : (tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32>
  return %o : tensor<?x2x?x32xf32>
}

func.func @first_first(%q: tensor<?x2x?x32xf32>, %k: tensor<?x2x?x32xf32>, %v: tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32> {
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
  }) {accumulators = 1 : i64, attn.first_tile_first} : (tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>) -> tensor<?x2x?x32xf32>
  return %o : tensor<?x2x?x32xf32>
}
