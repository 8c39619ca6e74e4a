// RUN: aec-opt %s --attn-analyze-mask='block-q=32 block-kv=16' --split-input-file | FileCheck %s
// RUN: aec-opt %s --attn-derive-online --attn-analyze-mask --split-input-file | FileCheck %s --check-prefix=ONLINE
// RUN: aec-opt %s --explain=attn-analyze-mask --attn-analyze-mask='block-q=4 block-kv=4 q-len=16 kv-len=18 values=w=5' --split-input-file | FileCheck %s --check-prefix=EXPLAIN
// RUN: aec-opt %s --explain=attn-analyze-mask --attn-analyze-mask='kv-len=999999999999' --split-input-file | FileCheck %s --check-prefix=LARGE

// Comparisons of positions: one interval of keys for each side of the mask.
// CHECK-LABEL: func.func @causal
// CHECK:       attn.mask_tiles = "32 x 16; attended: 0 .. min(kv_len - 1, i1); masked: max(0, i0 + 1) .. kv_len - 1"

// Streaming forms have the mask of the op that they come from.
// ONLINE-LABEL: func.func @causal
// ONLINE:       attn.online_attention
// ONLINE:       attn.mask_tiles = "64 x 64; attended: 0 .. min(kv_len - 1, i1); masked: max(0, i0 + 1) .. kv_len - 1"

// EXPLAIN:      'attn.attention' op in @causal
// EXPLAIN-NEXT: mask: j <= i
// EXPLAIN-NEXT: rows i0 .. i1 attend to keys 0 .. min(kv_len - 1, i1)
// EXPLAIN-NEXT: rows i0 .. i1 do not attend to keys max(0, i0 + 1) .. kv_len - 1
// EXPLAIN-NEXT: ranges of tiles for each block of rows: 1 full, 1 partial
// EXPLAIN-NEXT: 4 x 4 tiles of 16 x 18 positions: 6 full, 4 partial, 10 empty (# full, + partial, . empty)
// EXPLAIN-NEXT: {{^}}  +....{{$}}
// EXPLAIN-NEXT: {{^}}  #+...{{$}}
// EXPLAIN-NEXT: {{^}}  ##+..{{$}}
// EXPLAIN-NEXT: {{^}}  ###+.{{$}}

// A map that no memory holds is not counted.
// LARGE:        64 x 64 tiles of 1024 x 999999999999 positions: too many to be counted
func.func @causal(%q: tensor<1x1x?x8xf32>, %k: tensor<1x1x?x8xf32>, %v: tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32>
  return %o : tensor<1x1x?x8xf32>
}

// -----

// A static length is that of the map. The last tile is partial: it has keys that do not exist.
// CHECK-LABEL: func.func @all
// CHECK:       attn.mask_tiles = "32 x 16; attended: all; masked: none"

// EXPLAIN:      'attn.attention' op in @all
// EXPLAIN:      4 x 4 tiles of 5 x 6 positions: 2 full, 2 partial, 0 empty
// EXPLAIN-NEXT: {{^}}  #+{{$}}
// EXPLAIN-NEXT: {{^}}  #+{{$}}
func.func @all(%q: tensor<1x1x5x8xf32>, %k: tensor<1x1x6x8xf32>, %v: tensor<1x1x6x8xf32>) -> tensor<1x1x5x8xf32> {
  %true = arith.constant true
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x5x8xf32>, tensor<1x1x6x8xf32>, tensor<1x1x6x8xf32>) -> tensor<1x1x5x8xf32>
  return %o : tensor<1x1x5x8xf32>
}

// -----

// Chunks of a size known at run time, which has to be positive; a condition on the head.
// CHECK-LABEL: func.func @chunked
// CHECK:       attn.mask_tiles = "32 x 16; attended: max(0, i0 - (i0 mod w)) .. min(kv_len - 1, i1 + w - (i1 mod w) - 1) where 1 <= h; masked: {{.*}} or all where h <= 0"

// EXPLAIN:      'attn.attention' op in @chunked
// EXPLAIN:      relies on: 1 <= w
// EXPLAIN-NEXT: ranges of tiles for each block of rows: 1 full, 2 partial
// EXPLAIN-NEXT: 4 x 4 tiles of 16 x 18 positions: 0 full, 0 partial, 20 empty
func.func @chunked(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %w: i32 {attn.name = "w"}) -> tensor<1x2x?x8xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0 : index
    %size = arith.index_cast %w : i32 to index
    %row = arith.floordivsi %i, %size : index
    %key = arith.floordivsi %j, %size : index
    %same = arith.cmpi eq, %row, %key : index
    %other = arith.cmpi ne, %h, %zero : index
    %keep = arith.andi %same, %other : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %o : tensor<1x2x?x8xf32>
}

// -----

// Divisibility leaves no interval: tiles are tested one by one.
// CHECK-LABEL: func.func @dilated
// CHECK:       attn.mask_tiles = "32 x 16; attended: 0 .. min(kv_len - 1, i1) where (i - j) mod 7 = 0; {{.*}}; each tile tested"

// EXPLAIN:      'attn.attention' op in @dilated
// EXPLAIN:      each tile between the first and the last key attended to is tested by itself
// EXPLAIN-NEXT: 4 x 4 tiles of 16 x 18 positions: 0 full, 10 partial, 10 empty
// EXPLAIN-NEXT: {{^}}  +....{{$}}
// EXPLAIN-NEXT: {{^}}  ++...{{$}}
// EXPLAIN-NEXT: {{^}}  +++..{{$}}
// EXPLAIN-NEXT: {{^}}  ++++.{{$}}
func.func @dilated(%q: tensor<1x1x?x8xf32>, %k: tensor<1x1x?x8xf32>, %v: tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %seven = arith.constant 7 : index
    %zero = arith.constant 0 : index
    %past = arith.cmpi sle, %j, %i : index
    %d = arith.subi %i, %j : index
    %rest = arith.remsi %d, %seven : index
    %hit = arith.cmpi eq, %rest, %zero : index
    %keep = arith.andi %past, %hit : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32>
  return %o : tensor<1x1x?x8xf32>
}

// -----

// What a mask reads at positions is known at run time. A float at positions is not understood: it may hold.
// CHECK-LABEL: func.func @documents
// CHECK:       attn.mask_tiles = "32 x 16; attended: all where d[b, i] <= d[b, j] and d[b, j] <= d[b, i]; masked: all where d[b, i] < d[b, j] or all where d[b, j] < d[b, i]; each tile tested"
// CHECK:       attn.mask_tiles = "32 x 16; attended: 0 .. min(kv_len - 1, i1) where something unknown; masked: all where something unknown or max(0, i0 + 1) .. kv_len - 1"

// EXPLAIN:      'attn.attention' op in @documents
// EXPLAIN:      tiles: known at run time, from the tensors that the mask reads
func.func @documents(%q: tensor<1x1x?x8xf32>, %k: tensor<1x1x?x8xf32>, %v: tensor<1x1x?x8xf32>, %d: tensor<1x?xi32> {attn.name = "d"}, %x: tensor<?xf32>) -> (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %row = tensor.extract %d[%b, %i] : tensor<1x?xi32>
    %key = tensor.extract %d[%b, %j] : tensor<1x?xi32>
    %keep = arith.cmpi eq, %row, %key : i32
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %other = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0.0 : f32
    %number = tensor.extract %x[%j] : tensor<?xf32>
    %positive = arith.cmpf ogt, %number, %zero : f32
    %past = arith.cmpi sle, %j, %i : index
    %keep = arith.andi %past, %positive : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x1x?x8xf32>
  return %o, %other : tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>
}
