// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-derive-online,func.func(cpu-choose-tiles))' | FileCheck %s
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-derive-online,func.func(cpu-choose-tiles{block-q=48}))' | FileCheck %s --check-prefix=GIVEN
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-derive-online,func.func(cpu-choose-tiles{block-q=48 block-kv=6}))' | FileCheck %s --check-prefix=BOTH
// RUN: aec-opt %s --split-input-file --pass-pipeline='builtin.module(attn-derive-online,func.func(cpu-choose-tiles),attn-tile)' | FileCheck %s --check-prefix=TILES
// RUN: aec-opt %s --split-input-file --attn-derive-online | aec-opt --split-input-file --explain=cpu-choose-tiles | FileCheck %s --check-prefix=EXPLAIN

// Without a mask, tiles are large; what is given stays. All tiles of rows take equally long.
// CHECK-LABEL: func.func @full
// CHECK:         attn.first_tile_first, {{.*}}attn.tile = array<i64: 64, 64>
// GIVEN-LABEL: func.func @full
// GIVEN:         attn.tile = array<i64: 48, 64>
// BOTH-LABEL:  func.func @full
// BOTH:          attn.tile = array<i64: 48, 6>
// EXPLAIN-LABEL: 'attn.online_attention' op in @full
// EXPLAIN-NEXT:  32 x 16: cost {{[0-9.]+}}, scratch memory {{[0-9]+}} KiB
// EXPLAIN:       64 x 64: cost 1.000, scratch memory {{[0-9]+}} KiB, chosen
func.func @full(%q: tensor<?x2x?x128xf32>, %k: tensor<?x2x?x128xf32>, %v: tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32> {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %true = arith.constant true
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %1 = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %2 = arith.subf %s, %1 : f32
    %3 = math.exp %2 : f32
    %4 = "attn.row_reduce"(%3) {kind = "sum"} : (f32) -> f32
    %5 = arith.divf %3, %4 : f32
    "attn.yield"(%5) : (f32) -> ()
  }) : (tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32>
  return %0 : tensor<?x2x?x128xf32>
}

// -----

// A window of 32 keys: large tiles would be masked for the most part. `attn-tile` does what the attribute says.
// CHECK-LABEL: func.func @window
// CHECK:         attn.first_tile_first, {{.*}}attn.tile = array<i64: 32, {{16|32}}>
// TILES-LABEL: func.func @window
// TILES:         scf.forall
// TILES:           outs(%{{.+}} : tensor<128x32xf32>)
// EXPLAIN-LABEL: 'attn.online_attention' op in @window
// EXPLAIN:       32 x {{16|32}}: cost 1.000, scratch memory {{[0-9]+}} KiB, chosen
func.func @window(%q: tensor<?x2x?x128xf32>, %k: tensor<?x2x?x128xf32>, %v: tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32> {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %c0 = arith.constant 0 : index
    %c32 = arith.constant 32 : index
    %distance = arith.subi %i, %j : index
    %past = arith.cmpi sge, %distance, %c0 : index
    %near = arith.cmpi slt, %distance, %c32 : index
    %keep = arith.andi %past, %near : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %1 = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %2 = arith.subf %s, %1 : f32
    %3 = math.exp %2 : f32
    %4 = "attn.row_reduce"(%3) {kind = "sum"} : (f32) -> f32
    %5 = arith.divf %3, %4 : f32
    "attn.yield"(%5) : (f32) -> ()
  }) : (tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32>
  return %0 : tensor<?x2x?x128xf32>
}

// -----

// Of a causal mask the last tile of rows takes longest, and comes first.
// CHECK-LABEL: func.func @causal
// CHECK-NOT:     attn.first_tile_first
// CHECK:         attn.tile = array<i64: 64, 64>
func.func @causal(%q: tensor<?x2x?x128xf32>, %k: tensor<?x2x?x128xf32>, %v: tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32> {
  %0 = "attn.attention"(%q, %k, %v) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %c0 = arith.constant 0 : index
    %distance = arith.subi %i, %j : index
    %past = arith.cmpi sge, %distance, %c0 : index
    "attn.yield"(%past) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %1 = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %2 = arith.subf %s, %1 : f32
    %3 = math.exp %2 : f32
    %4 = "attn.row_reduce"(%3) {kind = "sum"} : (f32) -> f32
    %5 = arith.divf %3, %4 : f32
    "attn.yield"(%5) : (f32) -> ()
  }) : (tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>, tensor<?x2x?x128xf32>) -> tensor<?x2x?x128xf32>
  return %0 : tensor<?x2x?x128xf32>
}
