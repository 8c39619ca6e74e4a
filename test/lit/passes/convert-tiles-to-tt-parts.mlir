// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --convert-tiles-to-tt | FileCheck %s

// Tiles are joined by gathers, and a number everywhere costs nothing.

// CHECK: kernel = @joined_0
// CHECK: "tt.func"
// CHECK: "tt.load"
// CHECK: "tt.gather"
// CHECK: arith.select
// CHECK: "tt.splat"
// CHECK: "tt.store"
// CHECK: sym_name = "joined_0"
func.func @joined(%x: tensor<16x16xf32>, %s: f32) -> tensor<16x32xf32> {
  %empty = tensor.empty() : tensor<16x32xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x32xf32>) {
    %tile = tensor.extract_slice %x[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> to tensor<16x16xf32>
    %all = tensor.splat %s : tensor<16x16xf32>
    %r = tensor.concat dim(1) %tile, %all : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x32xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0, 0] [16, 32] [1, 1] : tensor<16x32xf32> into tensor<16x32xf32>
    }
  }
  return %o : tensor<16x32xf32>
}

// -----

// A choice of tiles, by a number read of a tensor without dimensions.

// CHECK: "tt.func"
// CHECK: %[[LIMIT:.*]] = "tt.load"({{.*}} : (!tt.ptr<f32>) -> f32
// CHECK: %[[IS:.*]] = arith.cmpf ogt, %[[LIMIT]]
// CHECK: %[[ALL:.*]] = "tt.splat"(%[[IS]])
// CHECK: arith.select %[[ALL]]
func.func @chosen(%x: tensor<16xf32>, %y: tensor<f32>) -> tensor<16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<16xf32>
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16xf32>) {
    %limit = tensor.extract %y[] : tensor<f32>
    %is = arith.cmpf ogt, %limit, %zero : f32
    %tile = tensor.extract_slice %x[0] [16] [1] : tensor<16xf32> to tensor<16xf32>
    %zeros = tensor.splat %zero : tensor<16xf32>
    %r = arith.select %is, %tile, %zeros : tensor<16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [16] [1] : tensor<16xf32> into tensor<16xf32>
    }
  }
  return %o : tensor<16xf32>
}

// -----

// A tile is put between other elements.

// CHECK: "tt.func"
// CHECK: "tt.gather"
// CHECK: sym_name = "padded_0"
func.func @padded(%x: tensor<16xf32>) -> tensor<32xf32> {
  %empty = tensor.empty() : tensor<32xf32>
  %one = arith.constant 1.0 : f32
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<32xf32>) {
    %tile = tensor.extract_slice %x[0] [16] [1] : tensor<16xf32> to tensor<16xf32>
    %r = tensor.pad %tile low[6] high[10] {
    ^bb0(%i: index):
      tensor.yield %one : f32
    } : tensor<16xf32> to tensor<32xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %r into %out[0] [32] [1] : tensor<32xf32> into tensor<32xf32>
    }
  }
  return %o : tensor<32xf32>
}

// -----

// Of an exact product the narrower factor is widened.

// CHECK: "tt.func"
// CHECK: arith.extf {{.*}} : tensor<16x16xbf16> to tensor<16x16xf32>
// CHECK: "tt.dot"({{.*}}) {{.*}} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>)
// CHECK: sym_name = "product_0"
// CHECK-SAME: tt_host.without_layouts
#a = affine_map<(d0, d1, d2) -> (d0, d2)>
#b = affine_map<(d0, d1, d2) -> (d2, d1)>
#c = affine_map<(d0, d1, d2) -> (d0, d1)>
func.func @product(%x: tensor<16x16xbf16>, %y: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %empty = tensor.empty() : tensor<16x16xf32>
  %zero = arith.constant 0.0 : f32
  %o = scf.forall (%t) in (1) shared_outs(%out = %empty) -> (tensor<16x16xf32>) {
    %p = tensor.extract_slice %x[0, 0] [16, 16] [1, 1] : tensor<16x16xbf16> to tensor<16x16xbf16>
    %q = tensor.extract_slice %y[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> to tensor<16x16xf32>
    %e = tensor.empty() : tensor<16x16xf32>
    %s = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
    %d = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "reduction"]} ins(%p, %q : tensor<16x16xbf16>, tensor<16x16xf32>) outs(%s : tensor<16x16xf32>) attrs = {attn.exact} {
    ^bb0(%f: bf16, %g: f32, %z: f32):
      %wide = arith.extf %f : bf16 to f32
      %m = arith.mulf %wide, %g : f32
      %r = arith.addf %z, %m : f32
      linalg.yield %r : f32
    } -> tensor<16x16xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %d into %out[0, 0] [16, 16] [1, 1] : tensor<16x16xf32> into tensor<16x16xf32>
    }
  }
  return %o : tensor<16x16xf32>
}
