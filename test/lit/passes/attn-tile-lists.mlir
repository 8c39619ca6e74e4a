// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=32 rows-last=false masked-values=check-result tile-lists=true},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=32 rows-last=false masked-values=check-result tile-lists=true split-kv=2},canonicalize,cse)' | FileCheck %s --check-prefix=SPLIT

// Documents: the extremes of their numbers over each tile of keys, then lists of tiles, then loops over lists. A
// document is of a batch, so there are lists for each of them, and not for each head.
// CHECK-LABEL: func.func @documents
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x2x?x16xbf16>, %{{[^ ]+}}: tensor<?x2x?x16xbf16>
// CHECK:         %[[EXTREMES:[0-9]+]]:2 = scf.forall ({{[^)]+}}) in (%[[B:[^ ,]+]], %[[TILES:[^ ,)]+]])
// CHECK:           linalg.generic {{.*}} outs(%{{.+}} : tensor<32xi32>)
// CHECK:           linalg.generic {{.*}}iterator_types = ["reduction"]{{.*}} outs(%{{.+}}, %{{.+}} : tensor<i32>, tensor<i32>)
// CHECK-NEXT:      ^bb0
// CHECK-NEXT:        arith.minsi
// CHECK-NEXT:        arith.maxsi
// CHECK:         %[[LISTS:[0-9]+]]:3 = scf.forall (%[[LB:[^ ,]+]], %{{[^ ,]+}}, %{{[^ ,]+}}) in (%[[B]], {{[^)]+}}) {{.*}} -> (tensor<?x1x?x?xi32>, tensor<?x1x?x?xi32>, tensor<?x1x?x?xi32>)
// What rows read is asked here.
// CHECK:           linalg.generic {{.*}} outs(%{{.+}} : tensor<16xi32>)
// CHECK:           scf.for %{{.+}} step %c64
// CHECK:             linalg.generic
// CHECK-DAG:           tensor.extract %[[EXTREMES]]#0[%[[LB]], %c0
// CHECK-DAG:           tensor.extract %[[EXTREMES]]#1[%[[LB]], %c0
// CHECK:             -> (tensor<64xi32>, tensor<64xi32>)
// CHECK-NOT:         scf.if
// CHECK:         scf.forall (%[[MB:[^ ,]+]], {{[^)]+}}) in (%[[B]], 2, {{[^)]+}})
// CHECK-DAG:       %[[END:[^ ,:]+]] = tensor.extract %[[LISTS]]#1[%[[MB]], %c0, %[[ROW:[^ ,:]+]], %c0]
// CHECK-DAG:       %[[FULL:[^ ,:]+]] = arith.index_cast %[[END]]
// CHECK-DAG:       %[[BEGIN:[^ ,:]+]] = tensor.extract %[[LISTS]]#2[%[[MB]], %c0, %[[ROW]], %c0]
// CHECK-DAG:       %[[PARTIAL:[^ ,:]+]] = arith.index_cast %[[BEGIN]]
// CHECK:           scf.for %[[N:[^ ,:]+]] = %c0 to %[[FULL]]
// CHECK-NEXT:        tensor.extract %[[LISTS]]#0[%[[MB]], %c0, %[[ROW]], %[[N]]]
// CHECK-NOT:         scf.if
// CHECK:           scf.for %[[N:[^ ,:]+]] = %[[PARTIAL]] to %[[TILES]]
// CHECK-NEXT:        tensor.extract %[[LISTS]]#0[%[[MB]], %c0, %[[ROW]], %[[N]]]
// CHECK-NOT:         scf.if
// CHECK:           } {attn.masked}

// Parts of the keys have ranges of positions, so that tiles are tested in the loop over them.
// SPLIT-LABEL: func.func @documents
// SPLIT-NOT:     shared_outs({{.*}}xi32>
// SPLIT:         scf.for %
// SPLIT:           scf.if
// SPLIT:         return
func.func @documents(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>, %documents: tensor<?x?xi32>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %mine = tensor.extract %documents[%b, %i] : tensor<?x?xi32>
    %other = tensor.extract %documents[%b, %j] : tensor<?x?xi32>
    %keep = arith.cmpi eq, %mine, %other : i32
    "attn.yield"(%keep) : (i1) -> ()
  }, {
    "attn.yield"() : () -> ()
  }, {
  ^update(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %w = arith.maximumf %s, %zero : f32
    "attn.yield"(%one, %w) : (f32, f32) -> ()
  }, {
  ^merge(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64}
    : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}

// -----

// Of a mask with an entry for each 16 rows and 32 keys a tile reads one: there is no table. It depends on the head.
// CHECK-LABEL: func.func @blocks
// CHECK-SAME:    %[[BLOCKS:[^ ]+]]: tensor<?x2x?x?xi1>)
// CHECK:         scf.forall ({{.*}}) in (%{{.+}}, 2, %{{.+}}, %{{.+}})
// CHECK:           scf.for
// CHECK:             tensor.extract %{{.+}}[%{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}] : tensor<?x?x?x?xi1>
// CHECK-NOT:         tensor.extract {{.*}}xi1>
// CHECK:         scf.forall ({{.*}}) in (%{{.+}}, 2, %{{.+}}) shared_outs({{.*}}) -> (tensor<?x2x?x16xbf16>)
func.func @blocks(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>, %blocks: tensor<?x2x?x?xi1>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %row = arith.divui %i, %c16 : index
    %key = arith.divui %j, %c32 : index
    %keep = tensor.extract %blocks[%b, %h, %row, %key] : tensor<?x2x?x?xi1>
    "attn.yield"(%keep) : (i1) -> ()
  }, {
    "attn.yield"() : () -> ()
  }, {
  ^update(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %w = arith.maximumf %s, %zero : f32
    "attn.yield"(%one, %w) : (f32, f32) -> ()
  }, {
  ^merge(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64}
    : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}

// -----

// Ranges tell all of a causal mask.
// CHECK-LABEL: func.func @causal
// CHECK-NOT:     tensor<{{.+}}xi32>
// CHECK:         return
func.func @causal(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
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
    %w = arith.maximumf %s, %zero : f32
    "attn.yield"(%one, %w) : (f32, f32) -> ()
  }, {
  ^merge(%b: index, %h: index, %i: index):
    "attn.yield"(%one, %one) : (f32, f32) -> ()
  }, {
  ^finalize(%b: index, %h: index, %i: index):
    "attn.yield"(%one) : (f32) -> ()
  }) {accumulators = 1 : i64}
    : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}
