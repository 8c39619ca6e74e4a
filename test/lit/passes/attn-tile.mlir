// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false},canonicalize,cse)' | FileCheck %s --check-prefix=KEYSLAST
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 pack-gqa=true},canonicalize,cse)' | FileCheck %s --check-prefix=PACK
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 split-kv=4},canonicalize,cse)' | FileCheck %s --check-prefix=SPLIT
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 decode-rows=12 decode-block-kv=32},canonicalize,cse)' | FileCheck %s --check-prefix=DECODE
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 masked-values=check-result},canonicalize,cse)' | FileCheck %s --check-prefix=RESULT
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 masked-values=check-result retry-block-kv=2},canonicalize,cse)' | FileCheck %s --check-prefix=RETRY
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 split-kv=4 masked-values=check-result},canonicalize,cse)' | FileCheck %s --check-prefix=BYPART
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-kv=8 packed-rows=16 split-programs=132},canonicalize,cse)' | FileCheck %s --check-prefix=FILL

// ReLU attention, causal: a sum of products without a state. Full tiles come first, without masking code; in partial
// tiles the score is -inf where masked, which is a weight of 0, and products with masked keys are left out one by one
// where v is not finite.
// CHECK-LABEL: func.func @relu
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x6x?x64xbf16>, %[[K:[^ ]+]]: tensor<?x2x?x64xbf16>, %[[V:[^ ]+]]: tensor<?x2x?x32xbf16>
// CHECK-DAG:     %[[C3:[^ ]+]] = arith.constant 3 : index
// CHECK-DAG:     %[[NEGINF:[^ ]+]] = arith.constant 0xFF800000 : f32
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]], %[[T:[^ ]+]]) in (%{{.+}}, 6, %[[TILES:[^ ]+]]) shared_outs(%[[OUT:[^ ]+]] = %{{.+}}) -> (tensor<?x6x?x32xbf16>)
// The last q tile comes first.
// CHECK:           %[[BACK:[^ ]+]] = arith.subi %{{.+}}, %[[T]] : index
// CHECK:           %[[FIRST:[^ ]+]] = arith.muli %[[BACK]], %{{.+}} : index
// CHECK:           %[[KVH:[^ ]+]] = arith.divui %[[H]], %[[C3]]
// CHECK:           %[[ROWS:[^ ]+]] = tensor.extract_slice %[[Q]][%[[B]], %[[H]], %[[FIRST]], 0] [1, 1, %{{.+}}, 64]
// CHECK:           tensor.pad %[[ROWS]]
// CHECK:           %[[QT:[^ ]+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<64x16xf32>)
// CHECK:             arith.extf
// CHECK:           %[[FULL:[^ ]+]] = scf.for {{.*}} iter_args(%[[ACC:[^ ]+]] = %{{.+}}) -> (tensor<32x16xf32>)
// CHECK-NOT:         tensor.pad
// CHECK:             %[[KT:[^ ]+]] = tensor.extract_slice %[[K]][%[[B]], %[[KVH]], %{{.+}}, 0] [1, 1, 8, 64]
// CHECK:             %[[S:[^ ]+]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[KT]], %[[QT]] :
// CHECK-NOT:         arith.cmpi
// CHECK:             %[[P:[^ ]+]] = linalg.generic {{.*}} ins(%[[S]] :
// CHECK:               arith.maximumf
// CHECK:             linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[P]], %{{.+}} : tensor<8x16xf32>, tensor<8x32xbf16>) outs(%[[ACC]] :
// CHECK:           scf.for {{.*}} iter_args(%{{.+}} = %[[FULL]]) -> (tensor<32x16xf32>)
// CHECK:             tensor.pad
// CHECK:             linalg.generic
// CHECK:               arith.cmpi sge
// CHECK:               arith.select %{{.+}}, %{{.+}}, %[[NEGINF]]
// CHECK:             %[[FINITE:[^ ]+]] = arith.cmpf oeq
// CHECK:             scf.if %[[FINITE]]
// CHECK:             } else {
// CHECK:               arith.cmpf oeq, %{{.+}}, %[[NEGINF]]
// CHECK:           tensor.extract_slice
// CHECK:           scf.forall.in_parallel
// CHECK:             tensor.parallel_insert_slice %{{.+}} into %[[OUT]][%[[B]], %[[H]], %[[FIRST]], 0] [1, 1, %{{.+}}, 32]
// CHECK-NOT:     attn.

// KEYSLAST-LABEL: func.func @relu
// KEYSLAST:         linalg.generic {{.*}} outs(%{{.+}} : tensor<16x8xf32>)
// KEYSLAST:         linalg.generic {{.*}} outs(%{{.+}} : tensor<16x32xf32>)

// The three heads of a kv head make the rows of a tile: 48 of them, and a grid over two kv heads.
// PACK-LABEL: func.func @relu
// PACK:         scf.forall {{.*}} in (%{{.+}}, 2, %{{.+}})
// PACK:           %[[ROWS:[^ ]+]] = tensor.extract_slice %{{.+}} [1, 3, %{{.+}}, 64]
// PACK:           %[[PAD:[^ ]+]] = tensor.pad %[[ROWS]]
// PACK:           tensor.collapse_shape %[[PAD]] {{\[\[}}0, 1], [2]] : tensor<3x16x64xbf16> into tensor<48x64xbf16>
// PACK:           outs(%{{.+}} : tensor<8x48xf32>)
// PACK:           arith.remui
// PACK:           tensor.expand_shape %{{.+}} {{\[\[}}0, 1], [2]] output_shape [3, 16, 32]
// PACK:           tensor.parallel_insert_slice %{{.+}}[%{{.+}}, %{{.+}}, %{{.+}}, 0] [1, 3, %{{.+}}, 32]

// Up to four queries of three heads each have room in a tile of twelve rows; both programs write to one tensor.
// DECODE-LABEL: func.func @relu
// DECODE:         %[[EMPTY:[^ ]+]] = tensor.empty
// DECODE:         %[[FEW:[^ ]+]] = arith.cmpi ule, %{{.+}}, %c4
// DECODE:         scf.if %[[FEW]]
// DECODE:           scf.forall {{.*}} in (%{{.+}}, 2, %{{.+}}) shared_outs(%{{.+}} = %[[EMPTY]])
// DECODE:             outs(%{{.+}} : tensor<32x12xf32>)
// DECODE:         } else {
// DECODE:           scf.forall {{.*}} in (%{{.+}}, 6, %{{.+}}) shared_outs(%{{.+}} = %[[EMPTY]])
// DECODE:             outs(%{{.+}} : tensor<8x16xf32>)

// Four parts of the keys leave their accumulators in memory, and a second grid merges them. It reads four before it
// merges the first.
// SPLIT-LABEL: func.func @relu
// SPLIT:         %[[PARTS:[^ ]+]] = scf.forall {{.*}} in (%{{.+}}, 6, %{{.+}}, 4) {{.*}} -> (tensor<4x?x6x?x32xf32>)
// SPLIT:         scf.forall {{.*}} in (%{{.+}}, 6, %{{.+}}) {{.*}} -> (tensor<?x6x?x32xbf16>)
// SPLIT-COUNT-4:   tensor.extract_slice %[[PARTS]]
// SPLIT-NOT:       tensor.extract_slice %[[PARTS]]
// SPLIT:           arith.addf

// Five rows of each of three heads make no more than 16. There are as many parts as programs for 132 places, which sizes
// say: parts are of the tiles between the first and the last that the mask leaves.
// FILL-LABEL: func.func @relu
// FILL-DAG:     %[[PLACES:[^ ]+]] = arith.constant 132 : index
// FILL:         %[[FEW:[^ ]+]] = arith.divui %[[PLACES]], %[[TILES:[^ ]+]]
// FILL:         %[[MORE:[^ ]+]] = arith.divui %{{[^ ]+}}, %[[TILES]]
// FILL:         arith.select %{{.+}}, %{{.+}}, %{{.+}} : index
// FILL:         %[[COUNT:[^ ]+]] = arith.maxui
// FILL:         tensor.empty(%[[COUNT]], %{{.+}}) : tensor<?x?x6x?x32xf32>
// FILL:         %[[PARTS:[^ ]+]] = scf.forall (%{{.+}}, %{{.+}}, %{{.+}}, %[[PART:[^ ]+]]) in (%{{.+}}, 2, %{{.+}}, %[[COUNT]])
// FILL:           tensor.extract_slice %{{.+}} [1, 3, %{{.+}}, 64]
// FILL:           outs(%{{.+}} : tensor<64x15xf32>)
// FILL:           %[[SHARE:[^ ]+]] = arith.ceildivui %{{.+}}, %[[COUNT]]
// FILL:           arith.muli %[[PART]], %[[SHARE]]
// FILL:           tensor.parallel_insert_slice %{{.+}}[%[[PART]], %{{.+}}] [1, 1, 3, %{{.+}}, 32]
// FILL:         scf.forall {{.*}} in (%{{.+}}, 2, %{{.+}}) {{.*}} -> (tensor<?x6x?x32xbf16>)
// FILL:           scf.for
// FILL-COUNT-4:     tensor.extract_slice %[[PARTS]]

// The loops have no branches; one asks at their end whether the accumulators are finite. If not, one loop over
// the tiles of both ranges starts again, and leaves out the products with masked elements.
// RESULT-LABEL: func.func @relu
// RESULT-DAG:     %[[NEGINF:[^ ]+]] = arith.constant 0xFF800000 : f32
// RESULT-DAG:     %[[ZERO:[^ ]+]] = arith.constant 0.000000e+00 : f32
// RESULT:         %[[START:[^ ]+]] = linalg.fill ins(%[[ZERO]] : f32) outs(%{{.+}} : tensor<32x16xf32>)
// RESULT:         %[[FULL:[^ ]+]] = scf.for {{.*}} = %[[C0:[^ ]+]] to %[[LAST:[^ ]+]] step {{.*}} iter_args(%{{.+}} = %[[START]])
// RESULT-NOT:       scf.if
// RESULT-NOT:       arith.cmpf
// RESULT:         %[[ALL:[^ ]+]] = scf.for {{.*}} = %[[PART:[^ ]+]] to %[[END:[^ ]+]] step {{.*}} iter_args(%{{.+}} = %[[FULL]])
// RESULT-NOT:       scf.if
// RESULT-NOT:       arith.cmpf
// RESULT:         linalg.generic {{.*}}iterator_types = ["reduction", "reduction"]} ins(%[[ALL]] : tensor<32x16xf32>)
// RESULT:           arith.mulf %{{.+}}, %[[ZERO]]
// RESULT:           arith.addf
// RESULT:         %[[FINITE:[^ ]+]] = arith.cmpf oeq, %{{.+}}, %[[ZERO]]
// RESULT:         %[[ACC:[^ ]+]] = scf.if %[[FINITE]] -> (tensor<32x16xf32>) {
// RESULT-NEXT:      scf.yield %[[ALL]]
// RESULT-NEXT:    } else {
// RESULT:           scf.for {{.*}} iter_args(%[[CARRIED:[^ ]+]] = %[[START]])
// RESULT:             %[[LOWER:[^ ]+]] = arith.select %[[FIRST:[^ ]+]], %[[C0]], %[[PART]]
// RESULT:             %[[UPPER:[^ ]+]] = arith.select %[[FIRST]], %[[LAST]], %[[END]]
// RESULT:             scf.for {{.*}} = %[[LOWER]] to %[[UPPER]] step {{.*}} iter_args(%{{.+}} = %[[CARRIED]])
// RESULT-NOT:           scf.if
// RESULT:               arith.cmpi sge
// RESULT-NOT:           scf.if
// RESULT:               %[[PRODUCT:[^ ]+]] = arith.mulf
// RESULT:               %[[MASKED:[^ ]+]] = arith.cmpf oeq, %{{.+}}, %[[NEGINF]]
// RESULT:               arith.select %[[MASKED]], %[[ZERO]], %[[PRODUCT]]
// RESULT-NOT:       scf.for
// RESULT:         ins(%[[ACC]]{{[ ,]}}

// In the second pass tiles have two keys, and bounds of their own. Its results are right where the condition is false.
// RETRY-LABEL: func.func @relu
// RETRY:         scf.for
// RETRY:           tensor.extract_slice {{.*}} : tensor<?x2x?x64xbf16> to tensor<8x64xbf16>
// RETRY:         scf.for
// RETRY:         %[[FINITE:[^ ]+]] = arith.cmpf oeq
// RETRY:         scf.if %[[FINITE]]
// RETRY-NEXT:      scf.yield
// RETRY-NEXT:    } else {
// RETRY:           tensor.extract_slice {{.*}} : tensor<?x6x?x64xbf16> to tensor<?x64xbf16>
// RETRY:           scf.for
// RETRY:             scf.for
// RETRY:               tensor.pad
// RETRY:               : tensor<?x64xbf16> to tensor<2x64xbf16>
// RETRY-NOT:       tensor<8x64xbf16>
// RETRY:         } {attn.retry}

// Each part of the keys asks for its own accumulators, before they are merged.
// BYPART-LABEL: func.func @relu
// BYPART:         scf.forall {{.*}} in (%{{.+}}, 6, %{{.+}}, 4)
// BYPART:           scf.if
// BYPART:           scf.forall.in_parallel
// BYPART:         scf.forall {{.*}} in (%{{.+}}, 6, %{{.+}})
// BYPART-NOT:       scf.if
// BYPART:         return
func.func @relu(%q: tensor<?x6x?x64xbf16>, %k: tensor<?x2x?x64xbf16>, %v: tensor<?x2x?x32xbf16>)
    -> tensor<?x6x?x32xbf16> {
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
    : (tensor<?x6x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x32xbf16>) -> tensor<?x6x?x32xbf16>
  return %o : tensor<?x6x?x32xbf16>
}

// -----

// Statistics carry a state and no accumulators. |-inf| is not neutral in a sum: partial tiles select, and so do full
// ones, since the bias may be -inf.
// CHECK-LABEL: func.func @absolute
// CHECK:         scf.forall
// CHECK:           %[[FULL:[^ ]+]] = scf.for {{.*}} iter_args(%[[L:[^ ]+]] = %{{.+}}) -> (tensor<16xf32>)
// CHECK:             %[[S:[^ ]+]] = linalg.generic
// CHECK:               tensor.extract
// CHECK:             linalg.generic {{.*}}iterator_types = ["reduction", "parallel"]}
// CHECK:               %[[ABS:[^ ]+]] = math.absf
// CHECK:               %[[MASKED:[^ ]+]] = arith.cmpf oeq
// CHECK:               arith.select %[[MASKED]], %{{.+}}, %[[ABS]]
// CHECK:           scf.for {{.*}} iter_args(%{{.+}} = %[[FULL]]) -> (tensor<16xf32>)
// CHECK:           tensor.parallel_insert_slice %{{.+}} [1, 1, %{{.+}}] {{.*}} into tensor<1x2x?xf32>
// Without v nothing is asked.
// RESULT-LABEL: func.func @absolute
// RESULT:         scf.for
// RESULT:         scf.for
// RESULT-NOT:     scf.if
// RESULT:         return
// SPLIT-LABEL: func.func @absolute
// SPLIT:         tensor<4x1x2x?xf32>
func.func @absolute(%q: tensor<1x2x?x16xf32>, %k: tensor<1x2x?x16xf32>, %bias: tensor<?xf32>) -> tensor<1x2x?xf32> {
  %zero = arith.constant 0.0 : f32
  %true = arith.constant true
  %sum = "attn.online_reduce"(%q, %k) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %e = tensor.extract %bias[%j] : tensor<?xf32>
    %x = arith.addf %s, %e : f32
    "attn.yield"(%x) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
    "attn.yield"(%zero) : (f32) -> ()
  }, {
  ^update(%l: f32, %s: f32, %b: index, %h: index, %i: index, %j: index):
    %a = math.absf %s : f32
    %t = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %l1 = arith.addf %l, %t : f32
    "attn.yield"(%l1) : (f32) -> ()
  }, {
  ^merge(%la: f32, %lb: f32, %b: index, %h: index, %i: index):
    %l = arith.addf %la, %lb : f32
    "attn.yield"(%l) : (f32) -> ()
  }, {
  ^finalize(%l: f32, %b: index, %h: index, %i: index):
    "attn.yield"(%l) : (f32) -> ()
  }) : (tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?xf32>
  return %sum : tensor<1x2x?xf32>
}

// -----

// Documents: the smallest and largest number of a tile's rows are found once, those of its keys for each tile of them.
// CHECK-LABEL: func.func @documents
// CHECK-SAME:    %[[IDS:[^ ]+]]: tensor<?xi32>
// CHECK:         scf.forall (%{{.+}}, %[[T:[^ ]+]]) in
// CHECK:           %[[ROWS:[^ ]+]]:2 = scf.for %[[I:[^ ]+]] = {{.*}} -> (index, index)
// CHECK:             tensor.extract %[[IDS]][%[[I]]]
// CHECK:           scf.for {{.*}} -> (tensor<16x16xf32>)
// CHECK:             %[[KEYS:[^ ]+]]:2 = scf.for %[[J:[^ ]+]] = {{.*}} -> (index, index)
// CHECK:               tensor.extract %[[IDS]][%[[J]]]
// CHECK-NOT:         scf.for {{.*}} -> (index, index)
// CHECK:             scf.if {{.*}} -> (tensor<16x16xf32>)
// CHECK:         return
func.func @documents(%q: tensor<1x2x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x16xf32>,
                     %ids: tensor<?xi32>) -> tensor<1x2x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %mine = tensor.extract %ids[%i] : tensor<?xi32>
    %other = tensor.extract %ids[%j] : tensor<?xi32>
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
    : (tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  return %o : tensor<1x2x?x16xf32>
}
