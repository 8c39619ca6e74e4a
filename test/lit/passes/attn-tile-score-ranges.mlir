// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false score-ranges=3},canonicalize,cse)' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false score-ranges=2},canonicalize,cse)' | FileCheck %s --check-prefix=TWO
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-tile{block-q=16 block-kv=8 rows-last=false},canonicalize,cse)' | FileCheck %s --check-prefix=ONE

// A table of distances whose ends hold beyond. Full tiles near the diagonal come first, with a read for each
// element; then those before and those after them, which add one number each, read before their loop.
// CHECK-LABEL: func.func @bias
// CHECK-SAME:    %[[TABLE:[^ ]+]]: tensor<2x9xf32>
// CHECK-DAG:     %[[C0:[^ ]+]] = arith.constant 0 : index
// CHECK-DAG:     %[[C8:[^ ]+]] = arith.constant 8 : index
// CHECK:         %[[NEAR:[^ ]+]] = scf.for %{{.+}} = %[[BEGIN:[^ ]+]] to %[[END:[^ ]+]] step
// CHECK:           arith.subi
// CHECK:           tensor.extract %[[TABLE]]
// CHECK:         }
// CHECK:         %[[FIRST:[^ ]+]] = tensor.extract %[[TABLE]][%{{.+}}, %[[C0]]]
// CHECK:         %[[BEFORE:[^ ]+]] = scf.for %{{.+}} = %[[C0]] to %[[BEGIN]] step {{.*}} iter_args(%{{.+}} = %[[NEAR]])
// CHECK-NOT:       linalg.index
// CHECK:           arith.addf %{{.+}}, %[[FIRST]] : f32
// CHECK:         %[[LAST:[^ ]+]] = tensor.extract %[[TABLE]][%{{.+}}, %[[C8]]]
// CHECK:         %[[AFTER:[^ ]+]] = scf.for %{{.+}} = %[[END]] to %{{.+}} step {{.*}} iter_args(%{{.+}} = %[[BEFORE]])
// CHECK-NOT:       linalg.index
// CHECK:           arith.addf %{{.+}}, %[[LAST]] : f32
// Keys that may not exist.
// CHECK:         scf.for {{.*}} iter_args(%{{.+}} = %[[AFTER]])
// CHECK:           linalg.index
// CHECK:         {attn.masked}

// TWO-LABEL: func.func @bias
// TWO-COUNT-3: scf.for %
// TWO-NOT:     scf.for %
// TWO:         return

// What the index is clamped to once more is dropped in any case.
// ONE-LABEL: func.func @bias
// ONE:         scf.for %
// ONE:           %[[LEAST:[^ ]+]] = arith.minsi
// ONE-NEXT:      %[[AT:[^ ]+]] = arith.select %{{.+}}, %{{.+}}, %[[LEAST]]
// ONE-NEXT:      tensor.extract %{{.+}}[%{{.+}}, %[[AT]]]
// ONE:         scf.for %
// ONE-NOT:     scf.for %
// ONE:         return
func.func @bias(%table: tensor<2x9xf32>, %q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %true = arith.constant true
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %j, %i : index
    %place = arith.addi %distance, %c4 : index
    %is_far = arith.cmpi slt, %place, %c0 : index
    %least = arith.minsi %place, %c8 : index
    %at = arith.select %is_far, %c0, %least : index
    %bias = tensor.extract %table[%h, %at] : tensor<2x9xf32>
    %t = arith.addf %s, %bias : f32
    "attn.yield"(%t) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
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
  }) {accumulators = 1 : i64} : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}

// -----

// The size of a table decides where its last element is read: an index that is read for all elements of the tile
// is clamped anew, since the read stands before a loop that may not turn. The mask leaves no tile after the row.
// CHECK-LABEL: func.func @any_size
// CHECK-SAME:    %[[N:[^ ]+]]: index
// CHECK:         scf.for
// CHECK:         %[[UP:[^ ]+]] = arith.minsi %[[N]], %{{.+}} : index
// CHECK:         %[[AT:[^ ]+]] = arith.maxsi %[[UP]], %{{.+}} : index
// CHECK:         %[[FAR:[^ ]+]] = tensor.extract %{{.+}}[%[[AT]]]
// CHECK:         scf.for
// CHECK-NOT:       linalg.index
// CHECK:           arith.addf %{{.+}}, %[[FAR]]
// CHECK:         scf.for
// CHECK:         {attn.masked}
// CHECK-NOT:     scf.for %
// CHECK:         return
func.func @any_size(%n: index, %table: tensor<7xf32>, %q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %i, %j : index
    %at = arith.minsi %distance, %n : index
    %bias = tensor.extract %table[%at] : tensor<7xf32>
    %t = arith.addf %s, %bias : f32
    "attn.yield"(%t) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
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
  }) {accumulators = 1 : i64} : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}

// -----

// A choice that saves no read is not worth a loop.
// CHECK-LABEL: func.func @choice
// CHECK-COUNT-2: scf.for %
// CHECK-NOT:     scf.for %
// CHECK:         return
func.func @choice(%q: tensor<?x2x?x16xbf16>, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %c9 = arith.constant 9 : index
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %i, %j : index
    %is_far = arith.cmpi sgt, %distance, %c9 : index
    %t = arith.select %is_far, %one, %s : f32
    "attn.yield"(%t) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
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
  }) {accumulators = 1 : i64} : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
  return %o : tensor<?x2x?x16xbf16>
}

// -----

// No tile has a mask, and there is one at least: the loop whose body is right for all of them is marked.
// CHECK-LABEL: func.func @whole
// CHECK:         scf.for %
// CHECK:           tensor.extract %{{[^ ]+}}[%{{[^ ]+}}, %
// CHECK:         } {attn.general}
// CHECK-COUNT-2: scf.for %
// CHECK-NOT:     scf.for %
// CHECK-NOT:     attn.general
// CHECK:         return
func.func @whole(%table: tensor<2x9xf32>, %q: tensor<?x2x64x16xbf16>, %k: tensor<?x2x64x16xbf16>, %v: tensor<?x2x64x16xbf16>) -> tensor<?x2x64x16xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %true = arith.constant true
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %o = "attn.online_attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %j, %i : index
    %place = arith.addi %distance, %c4 : index
    %is_far = arith.cmpi slt, %place, %c0 : index
    %least = arith.minsi %place, %c8 : index
    %at = arith.select %is_far, %c0, %least : index
    %bias = tensor.extract %table[%h, %at] : tensor<2x9xf32>
    %t = arith.addf %s, %bias : f32
    "attn.yield"(%t) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
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
  }) {accumulators = 1 : i64} : (tensor<?x2x64x16xbf16>, tensor<?x2x64x16xbf16>, tensor<?x2x64x16xbf16>) -> tensor<?x2x64x16xbf16>
  return %o : tensor<?x2x64x16xbf16>
}
