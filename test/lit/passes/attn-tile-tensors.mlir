// RUN: aec-opt %s --split-input-file --attn-tile-tensors --canonicalize --cse | FileCheck %s

// Elements of the same places are tiles of 16 rows and 128 columns; a chain is one body.

// CHECK-LABEL: func.func @chain
// CHECK-SAME: (%[[X:.*]]: tensor<2x?x256xf32>, %[[Y:.*]]: tensor<2x?x256xf32>)
// CHECK-NOT: arith.mulf
// CHECK: %[[N:.*]] = tensor.dim %[[X]]
// CHECK: %[[TILES:.*]] = arith.ceildivui %[[N]], %c16
// CHECK: scf.forall (%[[B:.*]], %[[T:.*]], %[[C:.*]]) in (2, %[[TILES]], 2)
// CHECK: %[[FIRST:.*]] = arith.muli %[[T]], %c16
// CHECK: %[[COUNT:.*]] = arith.minui
// CHECK: %[[COLUMN:.*]] = arith.muli %[[C]], %c128
// CHECK: tensor.extract_slice %[[X]][%[[B]], %[[FIRST]], %[[COLUMN]]] [1, %[[COUNT]], 128] [1, 1, 1]
// CHECK: tensor.pad
// CHECK: tensor.extract_slice %[[Y]][%[[B]], %[[FIRST]], %[[COLUMN]]] [1, %[[COUNT]], 128] [1, 1, 1]
// CHECK: linalg.generic
// CHECK: arith.mulf
// CHECK: math.exp
// CHECK: tensor.parallel_insert_slice
// CHECK: mapping = [#gpu.block<linear_dim_0>, #gpu.block<linear_dim_1>, #gpu.block<linear_dim_2>]
// CHECK-NOT: scf.forall
func.func @chain(%x: tensor<2x?x256xf32>, %y: tensor<2x?x256xf32>) -> tensor<2x?x256xf32> {
  %0 = arith.mulf %x, %y : tensor<2x?x256xf32>
  %1 = math.exp %0 : tensor<2x?x256xf32>
  return %1 : tensor<2x?x256xf32>
}

// -----

// What several need is a tensor of its own.

// CHECK-LABEL: func.func @needed_twice
// CHECK: scf.forall
// CHECK: math.exp
// CHECK: scf.forall
// CHECK: arith.negf
func.func @needed_twice(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = math.exp %x : tensor<?x64xf32>
  %1 = arith.negf %0 : tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// What takes little is computed in both, and not stored.

// CHECK-LABEL: func.func @cheap_twice
// CHECK: scf.forall
// CHECK: arith.addf
// CHECK: math.cos
// CHECK: scf.forall
// CHECK: arith.addf
// CHECK: math.sin
// CHECK-NOT: scf.forall (
// CHECK: return
func.func @cheap_twice(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = arith.addf %x, %x : tensor<?x64xf32>
  %1 = math.cos %0 : tensor<?x64xf32>
  %2 = math.sin %0 : tensor<?x64xf32>
  return %1, %2 : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// A table that all heads share is not computed for each of them.

// CHECK-LABEL: func.func @table
// CHECK: %[[COS:.*]] = scf.forall
// CHECK: math.cos
// CHECK: scf.forall
// CHECK: tensor.extract_slice %[[COS]]
// CHECK: arith.mulf
func.func @table(%x: tensor<8x?x64xf32>, %angle: tensor<?x64xf32>) -> tensor<8x?x64xf32> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c1 : tensor<8x?x64xf32>
  %cos = math.cos %angle : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<8x?x64xf32>
  %all = linalg.broadcast ins(%cos : tensor<?x64xf32>) outs(%e : tensor<8x?x64xf32>) dimensions = [0]
  %0 = arith.mulf %x, %all : tensor<8x?x64xf32>
  return %0 : tensor<8x?x64xf32>
}

// -----

// Parts and their places: a concatenation chooses, and reads nothing beyond its parts.

// CHECK-LABEL: func.func @joined
// CHECK-SAME: (%[[X:.*]]: tensor<?x24xf32>, %[[Y:.*]]: tensor<?x40xf32>)
// CHECK: linalg.generic
// CHECK: %[[PLACE:.*]] = arith.minsi %{{.*}}, %c23
// CHECK: %[[IN:.*]] = arith.maxsi %[[PLACE]], %c0
// CHECK: tensor.extract %[[X]][%{{.*}}, %[[IN]]]
// CHECK: tensor.extract %[[Y]]
// CHECK: arith.select
func.func @joined(%x: tensor<?x24xf32>, %y: tensor<?x40xf32>) -> tensor<?x64xf32> {
  %0 = tensor.concat dim(1) %x, %y : (tensor<?x24xf32>, tensor<?x40xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// A part that may be empty has a stand-in with one element.

// CHECK-LABEL: func.func @joined_rows
// CHECK: %[[EMPTY:.*]] = arith.cmpi eq
// CHECK: scf.if %[[EMPTY]]
// CHECK: scf.forall
func.func @joined_rows(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %0 = tensor.concat dim(0) %x, %y : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// Sums are loops over tiles; what is beyond the last element is the identity.

// CHECK-LABEL: func.func @sum
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: arith.mulf
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult
// CHECK: arith.select %[[INSIDE]], %{{.*}}, %cst
// CHECK: arith.addf
func.func @sum(%x: tensor<?x?xf32>, %start: tensor<?xf32>) -> tensor<?xf32> {
  %0 = arith.mulf %x, %x : tensor<?x?xf32>
  %1 = linalg.reduce { arith.addf } ins(%0 : tensor<?x?xf32>) outs(%start : tensor<?xf32>) dimensions = [1]
  return %1 : tensor<?xf32>
}

// -----

// Matrices are multiplied in tiles, exactly: no factor takes the type of the other.

// CHECK-LABEL: func.func @product
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: attn.exact
// CHECK: arith.mulf
func.func @product(%x: tensor<?x?xf32>, %y: tensor<?x128xf32>, %z: tensor<?x128xf32>) -> tensor<?x128xf32> {
  %0 = linalg.matmul ins(%x, %y : tensor<?x?xf32>, tensor<?x128xf32>) outs(%z : tensor<?x128xf32>) -> tensor<?x128xf32>
  return %0 : tensor<?x128xf32>
}

// -----

// A reduction by an operation without an identity takes one element after the other.

// CHECK-LABEL: func.func @differences
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel"]
// CHECK: arith.subf
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @differences(%x: tensor<?x?xf32>, %start: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
    ins(%x : tensor<?x?xf32>) outs(%start : tensor<?xf32>) {
  ^bb0(%a: f32, %c: f32):
    %d = arith.subf %a, %c : f32
    linalg.yield %d : f32
  } -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// A grid of one program stays one, whatever simplification knows of it.

// CHECK-LABEL: func.func @one_program
// CHECK: scf.forall ({{.*}}) in (1, 1)
func.func @one_program(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<4xf32>
  %o = scf.forall (%b, %t) in (%c1, 1) shared_outs(%out = %e) -> (tensor<4xf32>) {
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %x into %out[%b] [4] [1] : tensor<4xf32> into tensor<4xf32>
    }
  }
  return %o : tensor<4xf32>
}

// -----

// Blocks have names for ten dimensions; grids may have more.

// CHECK-LABEL: func.func @many_dimensions
// CHECK: mapping = [{{.*}}, #gpu.block<linear_dim_9>, #gpu.block<linear_dim_9>]
func.func @many_dimensions(%x: tensor<2x2x2x2x2x2x2x2x2x2x2x2x?xf32>) -> tensor<2x2x2x2x2x2x2x2x2x2x2x2x?xf32> {
  %0 = math.exp %x : tensor<2x2x2x2x2x2x2x2x2x2x2x2x?xf32>
  return %0 : tensor<2x2x2x2x2x2x2x2x2x2x2x2x?xf32>
}

// -----

// A tensor without elements needs no grid: only its sizes are computed.

// CHECK-LABEL: func.func @no_elements
// CHECK-SAME: (%[[X:.*]]: tensor<?x0xf32>)
// CHECK-NOT: scf.forall
// CHECK: %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK: %[[EMPTY:.*]] = tensor.empty(%[[N]]) : tensor<?x0xf32>
// CHECK: return %[[EMPTY]]
func.func @no_elements(%x: tensor<?x0xf32>) -> tensor<?x0xf32> {
  %0 = arith.negf %x : tensor<?x0xf32>
  return %0 : tensor<?x0xf32>
}
