// RUN: aec-opt %s --split-input-file -o %t.before
// RUN: aec-opt %s --attn-fuse-elementwise=repeated-work=1000 --split-input-file -o %t.after
// RUN: diff %t.before %t.after

// Without a grid nothing moves, and level 1 is not looked at.
func.func @no_grid(%x: tensor<1x4x64x8xf32>) -> tensor<16x8xf32> {
  %q = arith.mulf %x, %x : tensor<1x4x64x8xf32>
  %tile = tensor.extract_slice %q[0, 0, 0, 0] [1, 1, 16, 8] [1, 1, 1, 1] {attn.operand = "q"} : tensor<1x4x64x8xf32> to tensor<16x8xf32>
  return %tile : tensor<16x8xf32>
}

// -----

// A slice that is of no operand, and a product of matrices that makes an operand.
#x = affine_map<(d0, d1, d2, d3) -> (d1, d3)>
#w = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
#q = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
func.func @not_elementwise(%x: tensor<64x32xf32>, %w: tensor<4x8x32xf32>, %init: tensor<4x64x8xf32>) -> tensor<4x64x8xf32> {
  %c16 = arith.constant 16 : index
  %q = linalg.generic {indexing_maps = [#x, #w, #q], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%x, %w : tensor<64x32xf32>, tensor<4x8x32xf32>) outs(%init : tensor<4x64x8xf32>) {
  ^bb0(%in: f32, %in_0: f32, %out: f32):
    %1 = arith.mulf %in, %in_0 : f32
    %2 = arith.addf %out, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<4x64x8xf32>
  %more = math.exp %init : tensor<4x64x8xf32>
  %0 = tensor.empty() : tensor<4x64x8xf32>
  %o = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %0) -> (tensor<4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %a = tensor.extract_slice %q[%h, %first, 0] [1, 16, 8] [1, 1, 1] {attn.operand = "q"} : tensor<4x64x8xf32> to tensor<16x8xf32>
    %b = tensor.extract_slice %more[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<16x8xf32>
    %sum = arith.addf %a, %b : tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %sum into %out[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
    }
  }
  return %o : tensor<4x64x8xf32>
}

// -----

// A producer that is needed as a tensor; two consumers of one result, and a consumer that
// mixes heads.
func.func @needed_elsewhere(%x: tensor<4x64x8xf32>, %y: tensor<4x64x8xf32>) -> (tensor<4x64x8xf32>, tensor<4x64x8xf32>, tensor<4x64x8xf32>, tensor<64x8xf32>) {
  %c16 = arith.constant 16 : index
  %0 = tensor.empty() : tensor<4x64x8xf32>
  %1 = tensor.empty() : tensor<4x8xf32>
  %2 = tensor.empty() : tensor<64x8xf32>
  %q = math.exp %x : tensor<4x64x8xf32>
  %sums = linalg.reduce { arith.addf } ins(%y : tensor<4x64x8xf32>) outs(%1 : tensor<4x8xf32>) dimensions = [1]
  %k = linalg.broadcast ins(%sums : tensor<4x8xf32>) outs(%0 : tensor<4x64x8xf32>) dimensions = [1]
  %o:2 = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %0, %out_0 = %0) -> (tensor<4x64x8xf32>, tensor<4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %a = tensor.extract_slice %q[%h, %first, 0] [1, 16, 8] [1, 1, 1] {attn.operand = "q"} : tensor<4x64x8xf32> to tensor<16x8xf32>
    %b = tensor.extract_slice %k[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %a into %out[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
      tensor.parallel_insert_slice %b into %out_0[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
    }
  }
  %once = math.exp %o#0 : tensor<4x64x8xf32>
  %twice = arith.addf %o#0, %o#0 : tensor<4x64x8xf32>
  %mixed = linalg.reduce { arith.addf } ins(%o#1 : tensor<4x64x8xf32>) outs(%2 : tensor<64x8xf32>) dimensions = [0]
  return %q, %once, %twice, %mixed : tensor<4x64x8xf32>, tensor<4x64x8xf32>, tensor<4x64x8xf32>, tensor<64x8xf32>
}

// -----

// A slice of heads, alone: tiles of the result it is taken from are not tiles of it.
func.func @first_head(%x: tensor<4x64x8xf32>) -> tensor<1x64x8xf32> {
  %c16 = arith.constant 16 : index
  %0 = tensor.empty() : tensor<4x64x8xf32>
  %o = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %0) -> (tensor<4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %a = tensor.extract_slice %x[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %a into %out[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
    }
  }
  %part = tensor.extract_slice %o[0, 0, 0] [1, 64, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<1x64x8xf32>
  return %part : tensor<1x64x8xf32>
}

// -----

// The same of rows, from the first one or from the middle, with work before it and on it.
func.func @rows(%x: tensor<4x64x8xf32>) -> (tensor<4x16x8xf32>, tensor<4x16x8xf32>) {
  %c16 = arith.constant 16 : index
  %0 = tensor.empty() : tensor<4x64x8xf32>
  %o:2 = scf.forall (%h, %t) in (4, 4) shared_outs(%out = %0, %out_0 = %0) -> (tensor<4x64x8xf32>, tensor<4x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %a = tensor.extract_slice %x[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %a into %out[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
      tensor.parallel_insert_slice %a into %out_0[%h, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<4x64x8xf32>
    }
  }
  %begin = tensor.extract_slice %o#0[0, 0, 0] [4, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<4x16x8xf32>
  %exp = math.exp %begin : tensor<4x16x8xf32>
  %middle = tensor.extract_slice %o#1[0, 16, 0] [4, 16, 8] [1, 1, 1] : tensor<4x64x8xf32> to tensor<4x16x8xf32>
  return %exp, %middle : tensor<4x16x8xf32>, tensor<4x16x8xf32>
}

// -----

// Slices of one tile of padded rows, and of rows whose number is known at run time only.
func.func @rows_of_one_tile(%x: tensor<4x?x8xf32>, %n: index) -> (tensor<4x1x8xf32>, tensor<4x?x8xf32>) {
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %length = tensor.dim %x, %c1 : tensor<4x?x8xf32>
  %tiles = arith.ceildivui %length, %c16 : index
  %0 = tensor.empty() : tensor<4x5x8xf32>
  %1 = tensor.empty(%length) : tensor<4x?x8xf32>
  %o = scf.forall (%h) in (4) shared_outs(%out = %0) -> (tensor<4x5x8xf32>) {
    %a = tensor.empty() : tensor<16x8xf32>
    %stored = tensor.extract_slice %a[0, 0] [5, 8] [1, 1] : tensor<16x8xf32> to tensor<5x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %stored into %out[%h, 0, 0] [1, 5, 8] [1, 1, 1] : tensor<5x8xf32> into tensor<4x5x8xf32>
    }
  }
  %p = scf.forall (%h, %t) in (4, %tiles) shared_outs(%out = %1) -> (tensor<4x?x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %left = arith.subi %length, %first : index
    %real = arith.minui %c16, %left : index
    %a = tensor.extract_slice %x[%h, %first, 0] [1, %real, 8] [1, 1, 1] : tensor<4x?x8xf32> to tensor<?x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %a into %out[%h, %first, 0] [1, %real, 8] [1, 1, 1] : tensor<?x8xf32> into tensor<4x?x8xf32>
    }
  }
  %part = tensor.extract_slice %o[0, 0, 0] [4, 1, 8] [1, 1, 1] : tensor<4x5x8xf32> to tensor<4x1x8xf32>
  %some = tensor.extract_slice %p[0, 0, 0] [4, %n, 8] [1, 1, 1] : tensor<4x?x8xf32> to tensor<4x?x8xf32>
  return %part, %some : tensor<4x1x8xf32>, tensor<4x?x8xf32>
}

// -----

// A result of one head that becomes one of more, or of none: by insertion, concatenation, padding and a slice.
func.func @one_head(%x: tensor<1x64x8xf32>, %y: tensor<3x64x8xf32>) -> (tensor<3x64x8xf32>, tensor<2x64x8xf32>, tensor<2x64x8xf32>, tensor<0x64x8xf32>) {
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<1x64x8xf32>
  %o:4 = scf.forall (%t) in (4) shared_outs(%a = %0, %b = %0, %c = %0, %d = %0) -> (tensor<1x64x8xf32>, tensor<1x64x8xf32>, tensor<1x64x8xf32>, tensor<1x64x8xf32>) {
    %first = arith.muli %t, %c16 : index
    %tile = tensor.extract_slice %x[0, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<1x64x8xf32> to tensor<16x8xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %tile into %a[0, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<1x64x8xf32>
      tensor.parallel_insert_slice %tile into %b[0, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<1x64x8xf32>
      tensor.parallel_insert_slice %tile into %c[0, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<1x64x8xf32>
      tensor.parallel_insert_slice %tile into %d[0, %first, 0] [1, 16, 8] [1, 1, 1] : tensor<16x8xf32> into tensor<1x64x8xf32>
    }
  }
  %inserted = tensor.insert_slice %o#0 into %y[1, 0, 0] [1, 64, 8] [1, 1, 1] : tensor<1x64x8xf32> into tensor<3x64x8xf32>
  %joined = tensor.concat dim(0) %o#1, %x : (tensor<1x64x8xf32>, tensor<1x64x8xf32>) -> tensor<2x64x8xf32>
  %padded = tensor.pad %o#2 low[1, 0, 0] high[0, 0, 0] {
  ^bb0(%h: index, %i: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<1x64x8xf32> to tensor<2x64x8xf32>
  %none = tensor.extract_slice %o#3[0, 0, 0] [0, 64, 8] [1, 1, 1] : tensor<1x64x8xf32> to tensor<0x64x8xf32>
  return %inserted, %joined, %padded, %none : tensor<3x64x8xf32>, tensor<2x64x8xf32>, tensor<2x64x8xf32>, tensor<0x64x8xf32>
}
