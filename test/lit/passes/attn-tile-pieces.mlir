// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false masked-values=check-result split-features=true},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false},canonicalize,cse)' | FileCheck %s --check-prefix=WHOLE
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false masked-values=check-result split-features=true split-programs=132},canonicalize,cse)' | FileCheck %s --check-prefix=SPLIT

// 192 features of q and k are pieces of 128 and 64: the second product adds to the first. Those of v are the same pieces,
// with a sum and a store each.
// CHECK-LABEL: func.func @pieces
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x2x?x192xbf16>, %[[K:[^ ]+]]: tensor<?x2x?x192xbf16>, %[[V:[^ ]+]]: tensor<?x2x?x192xbf16>
// CHECK-DAG:     tensor.extract_slice %[[Q]][%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, %{{.+}}, 128]
// CHECK-DAG:     tensor.extract_slice %[[Q]][%{{.+}}, %{{.+}}, %{{.+}}, 128] [1, 1, %{{.+}}, 64]
// CHECK:         scf.for {{.*}}iter_args(%[[A:[^ ]+]] = %{{[^ ]+}}, %[[B:[^ ]+]] = %{{[^ ]+}}) -> (tensor<16x128xf32>, tensor<16x64xf32>)
// CHECK:           %[[K0:[^ ]+]] = tensor.extract_slice %[[K]][%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, 8, 128]
// CHECK:           %[[S0:[^ ]+]] = linalg.generic {{.*}} ins(%{{[^ ]+}}, %[[K0]] : tensor<16x128x{{.+}}>, tensor<8x128xbf16>)
// CHECK:           %[[K1:[^ ]+]] = tensor.extract_slice %[[K]][%{{.+}}, %{{.+}}, %{{.+}}, 128] [1, 1, 8, 64]
// CHECK:           linalg.generic {{.*}} ins(%{{[^ ]+}}, %[[K1]] : tensor<16x64x{{.+}}>, tensor<8x64xbf16>) outs(%[[S0]] :
// CHECK:           %[[V0:[^ ]+]] = tensor.extract_slice %[[V]][%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, 8, 128]
// CHECK:           %[[V1:[^ ]+]] = tensor.extract_slice %[[V]][%{{.+}}, %{{.+}}, %{{.+}}, 128] [1, 1, 8, 64]
// CHECK:           %[[A1:[^ ]+]] = linalg.generic {{.*}} ins(%[[W:[^ ]+]], %[[V0]] : tensor<16x8xf32>, tensor<8x128xbf16>) outs(%[[A]] :
// CHECK:           %[[B1:[^ ]+]] = linalg.generic {{.*}} ins(%[[W]], %[[V1]] : tensor<16x8xf32>, tensor<8x64xbf16>) outs(%[[B]] :
// CHECK:           scf.yield %[[A1]], %[[B1]]
// CHECK:         scf.forall.in_parallel {
// CHECK-NEXT:      tensor.parallel_insert_slice %{{.+}} into %[[O:.+]][%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, %{{.+}}, 128]
// CHECK-NEXT:      tensor.parallel_insert_slice %{{.+}} into %[[O]][%{{.+}}, %{{.+}}, %{{.+}}, 128] [1, 1, %{{.+}}, 64]

// Where keys are split, partial results hold all features: those of pieces are parts of them, and what is merged is whole.
// SPLIT-LABEL: func.func @pieces
// SPLIT:         %[[PARTS:[^ ]+]] = scf.forall {{.*}} -> (tensor<?x?x2x?x192xf32>)
// SPLIT:           scf.for {{.*}} -> (tensor<16x128xf32>, tensor<16x64xf32>)
// SPLIT:           scf.forall.in_parallel {
// SPLIT-NEXT:        tensor.parallel_insert_slice %{{.+}} into %[[P:.+]][%[[N:[^,]+]], %{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, 1, %{{.+}}, 128]
// SPLIT-NEXT:        tensor.parallel_insert_slice %{{.+}} into %[[P]][%[[N]], %{{.+}}, %{{.+}}, %{{.+}}, 128] [1, 1, 1, %{{.+}}, 64]
// SPLIT:         scf.forall
// SPLIT:           tensor.extract_slice %[[PARTS]][%{{.+}}, %{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, 1, %{{.+}}, 192]
// SPLIT:           tensor.parallel_insert_slice %{{.+}} into %{{.+}}[%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 1, %{{.+}}, 192]

// WHOLE-LABEL: func.func @pieces
// WHOLE-NOT:     [1, 1, 8, 64]
// WHOLE:         return
func.func @pieces(%q: tensor<?x2x?x192xbf16>, %k: tensor<?x2x?x192xbf16>, %v: tensor<?x2x?x192xbf16>) -> tensor<?x2x?x192xbf16> {
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
    : (tensor<?x2x?x192xbf16>, tensor<?x2x?x192xbf16>, tensor<?x2x?x192xbf16>) -> tensor<?x2x?x192xbf16>
  return %o : tensor<?x2x?x192xbf16>
}

// -----

// 24 features would have a piece of 8, which matrix units do not multiply.
// CHECK-LABEL: func.func @small
// CHECK:         scf.for
// CHECK:           [1, 1, 8, 24]
// CHECK-NOT:       [1, 1, 8, 16]
// CHECK:         return
func.func @small(%q: tensor<?x2x?x24xbf16>, %k: tensor<?x2x?x24xbf16>, %v: tensor<?x2x?x24xbf16>) -> tensor<?x2x?x24xbf16> {
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
    : (tensor<?x2x?x24xbf16>, tensor<?x2x?x24xbf16>, tensor<?x2x?x24xbf16>) -> tensor<?x2x?x24xbf16>
  return %o : tensor<?x2x?x24xbf16>
}

// -----

// What is computed from o is fused with it as a whole: v is in one piece, and q and k are not. Where keys are split, v is
// in pieces, since o is computed from what is merged.
// CHECK-LABEL: func.func @used
// CHECK:         scf.for
// CHECK:           [1, 1, 8, 32] {{.*}} tensor<8x32xbf16>
// CHECK:           [1, 1, 8, 16] {{.*}} tensor<8x16xbf16>
// CHECK:           [1, 1, 8, 48] {{.*}} tensor<8x48xbf16>
// CHECK:         return
// SPLIT-LABEL: func.func @used
// SPLIT:         scf.for {{.*}} -> (tensor<16x32xf32>, tensor<16x16xf32>)
// SPLIT:         scf.forall
// SPLIT:           tensor.parallel_insert_slice {{.*}} [1, 1, %{{.+}}, 48]
// SPLIT:         return
func.func @used(%q: tensor<?x2x?x48xbf16>, %k: tensor<?x2x?x48xbf16>, %v: tensor<?x2x?x48xbf16>) -> tensor<?x2x?x48xbf16> {
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
    : (tensor<?x2x?x48xbf16>, tensor<?x2x?x48xbf16>, tensor<?x2x?x48xbf16>) -> tensor<?x2x?x48xbf16>
  %twice = arith.addf %o, %o : tensor<?x2x?x48xbf16>
  return %twice : tensor<?x2x?x48xbf16>
}
