// RUN: aec-opt %s --attn-fuse-elementwise=repeated-work=1000 --split-input-file | FileCheck %s
// RUN: aec-opt %s --attn-fuse-elementwise=repeated-work=2 --split-input-file | FileCheck %s --check-prefix=LIMIT
// RUN: aec-opt %s --attn-fuse-elementwise=repeated-work=1000 --split-input-file -o %t.once
// RUN: aec-opt %t.once --attn-fuse-elementwise=repeated-work=1000 --split-input-file -o %t.twice
// RUN: diff %t.once %t.twice

// Arithmetic on tensors: the operands are sliced and padded in place of the result, and the size comes from them.
// CHECK-LABEL: func.func @arithmetic
// CHECK-SAME:    (%[[X:.+]]: tensor<2x4x?x8xf32>, %[[Y:.+]]: tensor<2x4x?x8xf32>)
// CHECK-NOT:     arith.mulf
// CHECK:         %[[LENGTH:.+]] = tensor.dim %[[X]], %{{.+}}
// CHECK:         scf.forall (%[[B:.+]], %[[H:.+]], %[[T:.+]]) in
// CHECK:           %[[FIRST:.+]] = arith.muli %[[T]]
// CHECK:           %[[LEFT:.+]] = arith.subi %[[LENGTH]], %[[FIRST]]
// CHECK:           %[[REAL:.+]] = arith.minui %{{.+}}, %[[LEFT]]
// CHECK:           %[[XS:.+]] = tensor.extract_slice %[[X]][%[[B]], %[[H]], %[[FIRST]], 0] [1, 1, %[[REAL]], 8]
// CHECK:           %[[XP:.+]] = tensor.pad %[[XS]]
// CHECK:           %[[YS:.+]] = tensor.extract_slice %[[Y]][%[[B]], %[[H]], %[[FIRST]], 0] [1, 1, %[[REAL]], 8]
// CHECK:           %[[YP:.+]] = tensor.pad %[[YS]]
// CHECK:           %[[SUM:.+]] = arith.addf %[[XP]], %[[YP]] : tensor<16x8xf32>
// CHECK:           %[[PRODUCT:.+]] = arith.mulf %[[SUM]], %[[XP]] : tensor<16x8xf32>
// CHECK:           %[[EXP:.+]] = math.exp %[[PRODUCT]] : tensor<16x8xf32>
// CHECK:           tensor.extract_slice %[[EXP]]
func.func @arithmetic(%x: tensor<2x4x?x8xf32>, %y: tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32> {
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %sum = arith.addf %x, %y : tensor<2x4x?x8xf32>
  %q = arith.mulf %sum, %x : tensor<2x4x?x8xf32>
  %length = tensor.dim %q, %c2 : tensor<2x4x?x8xf32>
  %tiles = arith.ceildivui %length, %c16 : index
  %empty = tensor.empty(%length) : tensor<2x4x?x8xf32>
  %o = scf.forall (%b, %h, %t) in (2, 4, %tiles) shared_outs(%out = %empty) -> (tensor<2x4x?x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %length, %first : index
    %real = arith.minui %c16, %left : index
    %missing = arith.subi %c16, %real : index
    %slice = tensor.extract_slice %q[%b, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<2x4x?x8xf32> to tensor<?x8xf32>
    %tile = tensor.pad %slice low[0, 0] high[%missing, 0] {
    ^bb0(%r: index, %d: index):
      %zero = arith.constant 0.0 : f32
      tensor.yield %zero : f32
    } : tensor<?x8xf32> to tensor<16x8xf32>
    %exp = math.exp %tile : tensor<16x8xf32>
    %stored = tensor.extract_slice %exp[0, 0] [%real, 8] [1, 1] : tensor<16x8xf32> to tensor<?x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %stored into %out[%b, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<2x4x?x8xf32>
    }
  }
  return %o : tensor<2x4x?x8xf32>
}

// -----

// Rotary embedding: the halves are cut from one tile, tables of cosines and sines are sliced by position, and the
// halves are joined in the tile. What is computed of a table, which all heads share, stays outside.
// CHECK-LABEL: func.func @rotary
// CHECK-SAME:    (%[[X:.+]]: tensor<1x4x64x8xf32>, %[[ANGLE:.+]]: tensor<64x4xf32>)
// CHECK:         %[[COS:.+]] = math.cos %[[ANGLE]]
// CHECK-NEXT:    %[[SIN:.+]] = math.sin %[[ANGLE]]
// CHECK-NEXT:    tensor.empty
// CHECK-NEXT:    scf.forall (%[[H:.+]], %[[T:.+]]) in (4, 4)
// CHECK:           %[[FIRST:.+]] = arith.muli %[[T]]
// CHECK-NEXT:      %[[ROWS:.+]] = tensor.extract_slice %[[X]][0, %[[H]], %[[FIRST]], 0] [1, 1, 16, 8] {{.+}} to tensor<16x8xf32>
// CHECK-NEXT:      %[[TWICE:.+]] = arith.addf %[[ROWS]], %[[ROWS]] : tensor<16x8xf32>
// CHECK-NEXT:      %[[LEFT:.+]] = tensor.extract_slice %[[TWICE]][0, 0] [16, 4] [1, 1]
// CHECK-NEXT:      %[[RIGHT:.+]] = tensor.extract_slice %[[TWICE]][0, 4] [16, 4] [1, 1]
// CHECK-NEXT:      %[[COSINES:.+]] = tensor.extract_slice %[[COS]][%[[FIRST]], 0] [16, 4]
// CHECK-NEXT:      %[[SINES:.+]] = tensor.extract_slice %[[SIN]][%[[FIRST]], 0] [16, 4]
// CHECK:           %[[B:.+]] = linalg.generic {{.+}} ins(%[[LEFT]], %[[RIGHT]], %[[COSINES]], %[[SINES]] :
// CHECK:             arith.addf
// CHECK:           %[[A:.+]] = linalg.generic {{.+}} ins(%[[LEFT]], %[[RIGHT]], %[[COSINES]], %[[SINES]] :
// CHECK:             arith.subf
// CHECK:           %[[HALF:.+]] = tensor.insert_slice %[[A]] into %{{.+}}[0, 0] [16, 4]
// CHECK-NEXT:      %[[Q:.+]] = tensor.insert_slice %[[B]] into %[[HALF]][0, 4] [16, 4]
// CHECK-NEXT:      math.exp %[[Q]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#table = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
func.func @rotary(%x: tensor<1x4x64x8xf32>, %angle: tensor<64x4xf32>) -> tensor<1x4x64x8xf32> {
  %c16 = arith.constant 16 : index
  %cos = math.cos %angle : tensor<64x4xf32>
  %sin = math.sin %angle : tensor<64x4xf32>
  %twice = arith.addf %x, %x : tensor<1x4x64x8xf32>
  %left = tensor.extract_slice %twice[0, 0, 0, 0] [1, 4, 64, 4] [1, 1, 1, 1] : tensor<1x4x64x8xf32> to tensor<1x4x64x4xf32>
  %right = tensor.extract_slice %twice[0, 0, 0, 4] [1, 4, 64, 4] [1, 1, 1, 1] : tensor<1x4x64x8xf32> to tensor<1x4x64x4xf32>
  %half = tensor.empty() : tensor<1x4x64x4xf32>
  %a = linalg.generic {indexing_maps = [#id, #id, #table, #table, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%left, %right, %cos, %sin : tensor<1x4x64x4xf32>, tensor<1x4x64x4xf32>, tensor<64x4xf32>, tensor<64x4xf32>) outs(%half : tensor<1x4x64x4xf32>) {
  ^bb0(%l: f32, %r: f32, %c: f32, %s: f32, %out: f32):
    %lc = arith.mulf %l, %c : f32
    %rs = arith.mulf %r, %s : f32
    %rotated = arith.subf %lc, %rs : f32
    linalg.yield %rotated : f32
  } -> tensor<1x4x64x4xf32>
  %b = linalg.generic {indexing_maps = [#id, #id, #table, #table, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%left, %right, %cos, %sin : tensor<1x4x64x4xf32>, tensor<1x4x64x4xf32>, tensor<64x4xf32>, tensor<64x4xf32>) outs(%half : tensor<1x4x64x4xf32>) {
  ^bb0(%l: f32, %r: f32, %c: f32, %s: f32, %out: f32):
    %rc = arith.mulf %r, %c : f32
    %ls = arith.mulf %l, %s : f32
    %rotated = arith.addf %rc, %ls : f32
    linalg.yield %rotated : f32
  } -> tensor<1x4x64x4xf32>
  %whole = tensor.empty() : tensor<1x4x64x8xf32>
  %first_half = tensor.insert_slice %a into %whole[0, 0, 0, 0] [1, 4, 64, 4] [1, 1, 1, 1] : tensor<1x4x64x4xf32> into tensor<1x4x64x8xf32>
  %q = tensor.insert_slice %b into %first_half[0, 0, 0, 4] [1, 4, 64, 4] [1, 1, 1, 1] : tensor<1x4x64x4xf32> into tensor<1x4x64x8xf32>
  %o = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %whole) -> (tensor<1x4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %tile = tensor.extract_slice %q[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<1x4x64x8xf32> to tensor<16x8xf32>
    %exp = math.exp %tile : tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %exp into %out[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] : tensor<16x8xf32> into tensor<1x4x64x8xf32>
    }
  }
  return %o : tensor<1x4x64x8xf32>
}

// -----

// A norm of the head, of what a projection leaves as [B, S, H * D]: the reduction over features moves along, the head
// becomes an offset, and in a body the index of a position starts at the tile's.
// CHECK-LABEL: func.func @norm
// CHECK-SAME:    (%[[X:.+]]: tensor<1x64x32xf32>, %[[BIAS:.+]]: tensor<32xf32>)
// CHECK-NOT:     linalg
// CHECK:         scf.forall (%[[H:.+]], %[[T:.+]]) in (4, 4)
// CHECK:           %[[FIRST:.+]] = arith.muli %[[T]]
// CHECK:           %[[FEATURE:.+]] = arith.muli %[[H]], %{{.+}}
// CHECK:           %[[ROWS:.+]] = tensor.extract_slice %[[X]][0, %[[FIRST]], %[[FEATURE]]] [1, 16, 8] {{.+}} to tensor<16x8xf32>
// CHECK:           %[[PART:.+]] = tensor.extract_slice %[[BIAS]][%[[FEATURE]]] [8] [1]
// CHECK:           %[[BIASED:.+]] = linalg.generic {{.+}} ins(%[[ROWS]], %[[PART]] :
// CHECK:             %[[ROW:.+]] = linalg.index 0
// CHECK:             arith.addi %[[FIRST]], %[[ROW]]
// CHECK:           %[[SQUARES:.+]] = linalg.square ins(%[[BIASED]] :
// CHECK:           %[[SUMS:.+]] = linalg.generic {{.+}}iterator_types = ["parallel", "reduction"]} ins(%[[SQUARES]] :
// CHECK:           %[[Q:.+]] = linalg.generic {{.+}} ins(%[[BIASED]], %[[SUMS]] : tensor<16x8xf32>, tensor<16xf32>)
// CHECK:             math.rsqrt
// CHECK:           math.exp %[[Q]]
#all = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#flat = affine_map<(d0, d1, d2) -> (d2)>
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#row = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>
func.func @norm(%x: tensor<1x64x32xf32>, %bias: tensor<32xf32>) -> tensor<1x4x64x8xf32> {
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %flat = tensor.empty() : tensor<1x64x32xf32>
  %biased = linalg.generic {indexing_maps = [#all, #flat, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %bias : tensor<1x64x32xf32>, tensor<32xf32>) outs(%flat : tensor<1x64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %s = linalg.index 1 : index
    %n = arith.index_cast %s : index to i32
    %f = arith.sitofp %n : i32 to f32
    %sum = arith.addf %a, %b : f32
    %moved = arith.addf %sum, %f : f32
    linalg.yield %moved : f32
  } -> tensor<1x64x32xf32>
  %heads = tensor.expand_shape %biased [[0], [1], [2, 3]] output_shape [1, 64, 4, 8] : tensor<1x64x32xf32> into tensor<1x64x4x8xf32>
  %whole = tensor.empty() : tensor<1x4x64x8xf32>
  %y = linalg.transpose ins(%heads : tensor<1x64x4x8xf32>) outs(%whole : tensor<1x4x64x8xf32>) permutation = [0, 2, 1, 3]
  %squares = linalg.square ins(%y : tensor<1x4x64x8xf32>) outs(%whole : tensor<1x4x64x8xf32>) -> tensor<1x4x64x8xf32>
  %rows = tensor.empty() : tensor<1x4x64xf32>
  %start = linalg.fill ins(%zero : f32) outs(%rows : tensor<1x4x64xf32>) -> tensor<1x4x64xf32>
  %sums = linalg.reduce { arith.addf } ins(%squares : tensor<1x4x64x8xf32>) outs(%start : tensor<1x4x64xf32>) dimensions = [3]
  %one = tensor.expand_shape %sums [[0], [1], [2, 3]] output_shape [1, 4, 64, 1] : tensor<1x4x64xf32> into tensor<1x4x64x1xf32>
  %q = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y, %one : tensor<1x4x64x8xf32>, tensor<1x4x64x1xf32>) outs(%whole : tensor<1x4x64x8xf32>) {
  ^bb0(%a: f32, %s: f32, %out: f32):
    %root = math.rsqrt %s : f32
    %scaled = arith.mulf %a, %root : f32
    linalg.yield %scaled : f32
  } -> tensor<1x4x64x8xf32>
  %o = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %whole) -> (tensor<1x4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %tile = tensor.extract_slice %q[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<1x4x64x8xf32> to tensor<16x8xf32>
    %exp = math.exp %tile : tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %exp into %out[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] : tensor<16x8xf32> into tensor<1x4x64x8xf32>
    }
  }
  return %o : tensor<1x4x64x8xf32>
}

// -----

// An output gate: what is computed after the grid moves before it and then in. The tile is multiplied and rounded before
// it is stored, at the place that transposing and joining the heads give it.
// CHECK-LABEL: func.func @gate
// CHECK-SAME:    (%[[X:.+]]: tensor<1x4x?x8xf32>, %[[G:.+]]: tensor<1x4x?x8xf32>)
// CHECK:         %[[LENGTH:.+]] = tensor.dim %[[X]]
// CHECK:         tensor.empty(%{{.+}}) : tensor<1x?x32xbf16>
// CHECK-NEXT:    %[[Y:.+]] = scf.forall (%[[H:.+]], %[[T:.+]]) in {{.+}} shared_outs(%[[OUT:.+]] = %{{.+}}) -> (tensor<1x?x32xbf16>)
// CHECK:           %[[FIRST:.+]] = arith.muli %[[T]]
// CHECK:           %[[REAL:.+]] = arith.minui
// CHECK:           %[[EXP:.+]] = math.exp
// CHECK-NEXT:      %[[PART:.+]] = tensor.extract_slice %[[G]][0, %[[H]], %[[FIRST]], 0] [1, 1, %[[REAL]], 8]
// CHECK-NEXT:      %[[GATE:.+]] = math.tanh %[[PART]] : tensor<?x8xf32>
// CHECK-NEXT:      %[[GATED:.+]] = arith.mulf %[[EXP]], %[[GATE]] : tensor<?x8xf32>
// CHECK:           %[[FEATURE:.+]] = arith.muli %[[H]]
// CHECK:           %[[ROUNDED:.+]] = arith.truncf %[[GATED]] : tensor<?x8xf32> to tensor<?x8xbf16>
// CHECK-NEXT:      scf.forall.in_parallel {
// CHECK-NEXT:        tensor.parallel_insert_slice %[[ROUNDED]] into %[[OUT]][0, %[[FIRST]], %[[FEATURE]]] [1, %[[REAL]], 8]
// CHECK:         return %[[Y]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
func.func @gate(%x: tensor<1x4x?x8xf32>, %g: tensor<1x4x?x8xf32>) -> tensor<1x?x32xbf16> {
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %length = tensor.dim %x, %c2 : tensor<1x4x?x8xf32>
  %tiles = arith.ceildivui %length, %c16 : index
  %whole = tensor.empty(%length) : tensor<1x4x?x8xf32>
  %o = scf.forall (%h, %t) in (4, %tiles) shared_outs(%out = %whole) -> (tensor<1x4x?x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %length, %first : index
    %real = arith.minui %c16, %left : index
    %tile = tensor.extract_slice %x[0, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<1x4x?x8xf32> to tensor<?x8xf32>
    %exp = math.exp %tile : tensor<?x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %exp into %out[0, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x4x?x8xf32>
    }
  }
  %gate = math.tanh %g : tensor<1x4x?x8xf32>
  %gated = arith.mulf %o, %gate : tensor<1x4x?x8xf32>
  %size = tensor.dim %gated, %c2 : tensor<1x4x?x8xf32>
  %order = tensor.empty(%size) : tensor<1x?x4x8xf32>
  %turned = linalg.transpose ins(%gated : tensor<1x4x?x8xf32>) outs(%order : tensor<1x?x4x8xf32>) permutation = [0, 2, 1, 3]
  %flat = tensor.collapse_shape %turned [[0], [1], [2, 3]] : tensor<1x?x4x8xf32> into tensor<1x?x32xf32>
  %rounded = arith.truncf %flat : tensor<1x?x32xf32> to tensor<1x?x32xbf16>
  return %rounded : tensor<1x?x32xbf16>
}

// -----

// A norm of o has two uses of it, which meet again; it also starts from the tile of another result.
// CHECK-LABEL: func.func @norm_of_o
// CHECK:         %[[R:.+]]:2 = scf.forall {{.+}} shared_outs(%[[OUT:.+]] = %{{.+}}, %[[ROW:.+]] = %{{.+}})
// CHECK:           %[[TILE:.+]] = tensor.extract_slice
// CHECK:           %[[PART:.+]] = tensor.extract_slice %[[TILE]]
// CHECK:           %[[MAX:.+]] = linalg.generic {{.+}} ins(%[[TILE]] : tensor<16x8xf32>) outs(%[[PART]] : tensor<16xf32>)
// CHECK:           %[[SPREAD:.+]] = linalg.generic {{.+}} ins(%[[MAX]] :
// CHECK:           %[[Y:.+]] = linalg.div ins(%[[TILE]], %[[SPREAD]] :
// CHECK:           tensor.parallel_insert_slice %[[Y]] into %[[OUT]]
// CHECK-NEXT:      tensor.parallel_insert_slice %[[PART]] into %[[ROW]]
// CHECK:         return %[[R]]#0, %[[R]]#1
func.func @norm_of_o(%x: tensor<1x4x64x8xf32>) -> (tensor<1x4x64x8xf32>, tensor<1x4x64xf32>) {
  %c16 = arith.constant 16 : index
  %whole = tensor.empty() : tensor<1x4x64x8xf32>
  %rows = tensor.empty() : tensor<1x4x64xf32>
  %o, %max = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %whole, %row = %rows) -> (tensor<1x4x64x8xf32>, tensor<1x4x64xf32>) {
    %first = arith.muli %t, %c16 : index
    %tile = tensor.extract_slice %x[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<1x4x64x8xf32> to tensor<16x8xf32>
    %part = tensor.extract_slice %tile[0, 0] [16, 1] [1, 1] : tensor<16x8xf32> to tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[0, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] : tensor<16x8xf32> into tensor<1x4x64x8xf32>
      tensor.parallel_insert_slice %part into %row[0, %h, %first] [1, 1, 16] [1, 1, 1] : tensor<16xf32> into tensor<1x4x64xf32>
    }
  }
  %sums = linalg.reduce { arith.maximumf } ins(%o : tensor<1x4x64x8xf32>) outs(%max : tensor<1x4x64xf32>) dimensions = [3]
  %spread = linalg.broadcast ins(%sums : tensor<1x4x64xf32>) outs(%whole : tensor<1x4x64x8xf32>) dimensions = [3]
  %y = linalg.div ins(%o, %spread : tensor<1x4x64x8xf32>, tensor<1x4x64x8xf32>) outs(%whole : tensor<1x4x64x8xf32>) -> tensor<1x4x64x8xf32>
  return %y, %max : tensor<1x4x64x8xf32>, tensor<1x4x64xf32>
}

// -----

// An integer division by what may be 0 would trap on the zeros of padding: it stays outside, and what follows is fused.
// CHECK-LABEL: func.func @division
// CHECK-SAME:    (%[[N:.+]]: tensor<1x4x?x8xi32>, %[[M:.+]]: tensor<1x4x?x8xi32>)
// CHECK:         %[[QUOTIENT:.+]] = arith.divsi %[[N]], %[[M]]
// CHECK:         scf.forall
// CHECK:           %[[SLICE:.+]] = tensor.extract_slice %[[QUOTIENT]]
// CHECK:           %[[TILE:.+]] = tensor.pad %[[SLICE]]
// CHECK:           arith.sitofp %[[TILE]] : tensor<16x8xi32> to tensor<16x8xf32>
func.func @division(%n: tensor<1x4x?x8xi32>, %m: tensor<1x4x?x8xi32>) -> tensor<1x4x?x8xf32> {
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %quotient = arith.divsi %n, %m : tensor<1x4x?x8xi32>
  %k = arith.sitofp %quotient : tensor<1x4x?x8xi32> to tensor<1x4x?x8xf32>
  %length = tensor.dim %k, %c2 : tensor<1x4x?x8xf32>
  %tiles = arith.ceildivui %length, %c16 : index
  %whole = tensor.empty(%length) : tensor<1x4x?x8xf32>
  %o = scf.forall (%h, %t) in (4, %tiles) shared_outs(%out = %whole) -> (tensor<1x4x?x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %length, %first : index
    %real = arith.minui %c16, %left : index
    %missing = arith.subi %c16, %real : index
    %slice = tensor.extract_slice %k[0, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] {attn.operand = "k"} : tensor<1x4x?x8xf32> to tensor<?x8xf32>
    %tile = tensor.pad %slice low[0, 0] high[%missing, 0] {
    ^bb0(%r: index, %d: index):
      %zero = arith.constant 0.0 : f32
      tensor.yield %zero : f32
    } : tensor<?x8xf32> to tensor<16x8xf32>
    %stored = tensor.extract_slice %tile[0, 0] [%real, 8] [1, 1] : tensor<16x8xf32> to tensor<?x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %stored into %out[0, %h, %first, 0] [1, 1, %real, 8] [1, 1, 1, 1] : tensor<?x8xf32> into tensor<1x4x?x8xf32>
    }
  }
  return %o : tensor<1x4x?x8xf32>
}

// -----

// Of k, two operations for each element are done again for each tile of queries. What takes more, two and a function,
// is done once, in a grid that computes v in the tiles in which it is read.
// CHECK-LABEL: func.func @cost
// LIMIT-LABEL: func.func @cost
// LIMIT-SAME:    (%[[X:.+]]: tensor<2x4x?x8xf32>, %[[Y:.+]]: tensor<2x4x?x8xf32>)
// LIMIT:         %[[LENGTH:.+]] = tensor.dim %[[Y]], %{{.+}}
// LIMIT:         %[[COUNT:.+]] = arith.ceildivui %[[LENGTH]], %{{.+}}
// LIMIT:         %[[V:.+]] = scf.forall (%[[B:.+]], %[[H:.+]], %[[T:.+]]) in (2, 4, %[[COUNT]]) shared_outs(%[[OUT:.+]] = %{{.+}})
// LIMIT:           %[[FIRST:.+]] = arith.muli %[[T]]
// LIMIT:           %[[REAL:.+]] = arith.minui
// LIMIT:           %[[SLICE:.+]] = tensor.extract_slice %[[Y]][%[[B]], %[[H]], %[[FIRST]], 0] [1, 1, %[[REAL]], 8]
// LIMIT:           %[[TILE:.+]] = tensor.pad %[[SLICE]]
// LIMIT:           %[[EXP:.+]] = math.exp %[[TILE]] : tensor<16x8xf32>
// LIMIT:           %[[SUM:.+]] = arith.addf %[[EXP]], %[[TILE]]
// LIMIT:           %[[RESULT:.+]] = arith.mulf %[[SUM]], %[[SUM]]
// LIMIT:           %[[STORED:.+]] = tensor.extract_slice %[[RESULT]][0, 0] [%[[REAL]], 8]
// LIMIT:           tensor.parallel_insert_slice %[[STORED]] into %[[OUT]][%[[B]], %[[H]], %[[FIRST]], 0]
// LIMIT:         scf.forall
// LIMIT:           %[[KS:.+]] = tensor.extract_slice %[[X]]
// LIMIT-NEXT:      %[[TWICE:.+]] = arith.addf %[[KS]], %[[KS]]
// LIMIT-NEXT:      arith.mulf %[[TWICE]], %[[KS]]
// LIMIT:           tensor.extract_slice %[[V]]
// LIMIT-NOT:       math.exp
func.func @cost(%x: tensor<2x4x?x8xf32>, %y: tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32> {
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %twice = arith.addf %x, %x : tensor<2x4x?x8xf32>
  %k = arith.mulf %twice, %x : tensor<2x4x?x8xf32>
  %exp = math.exp %y : tensor<2x4x?x8xf32>
  %sum = arith.addf %exp, %y : tensor<2x4x?x8xf32>
  %v = arith.mulf %sum, %sum : tensor<2x4x?x8xf32>
  %length = tensor.dim %x, %c2 : tensor<2x4x?x8xf32>
  %tiles = arith.divui %length, %c16 : index
  %empty = tensor.empty(%length) : tensor<2x4x?x8xf32>
  %o = scf.forall (%b, %h, %t) in (2, 4, %tiles) shared_outs(%out = %empty) -> (tensor<2x4x?x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %keys = tensor.extract_slice %k[%b, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "k"} : tensor<2x4x?x8xf32> to tensor<16x8xf32>
    %values = tensor.extract_slice %v[%b, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "v"} : tensor<2x4x?x8xf32> to tensor<16x8xf32>
    %tile = arith.subf %keys, %values : tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %out[%b, %h, %first, 0] [1, 1, 16, 8] [1, 1, 1, 1] : tensor<16x8xf32> into tensor<2x4x?x8xf32>
    }
  }
  return %o : tensor<2x4x?x8xf32>
}
