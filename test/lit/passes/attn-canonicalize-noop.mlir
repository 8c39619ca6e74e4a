// RUN: aec-opt %s --split-input-file -o %t.before
// RUN: aec-opt %s --attn-canonicalize --split-input-file -o %t.after
// RUN: diff %t.before %t.after
// RUN: aec-opt %s --pass-pipeline='builtin.module(func.func(attn-canonicalize))' --split-input-file -o %t.nested
// RUN: diff %t.before %t.nested

// Functions without attn ops are left alone, dead code and constants included.
func.func @no_attn_ops(%x: f32) -> f32 {
  %c = arith.constant 2.000000e+00 : f32
  %c_0 = arith.constant 2.000000e+00 : f32
  %dead = arith.addf %x, %c : f32
  %0 = arith.mulf %x, %c : f32
  %1 = arith.mulf %0, %c_0 : f32
  return %1 : f32
}

// -----

// What must not be merged: a factor above 1 and then one below (an overflow would vanish), products that are no
// normal number, a value with another use, different fastmath flags, a lone inexact quotient, zero.
func.func @factors(%q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %tiny = arith.constant 1.000000e-30 : f32
  %zero = arith.constant 0.000000e+00 : f32
  %three = arith.constant 3.000000e+00 : f32
  %half = arith.constant 5.000000e-01 : f32
  %0 = "attn.attention"(%q, %q, %q) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %1 = arith.mulf %s, %three : f32
    %2 = arith.mulf %1, %half : f32
    %3 = math.tanh %2 : f32
    %4 = arith.mulf %3, %tiny : f32
    %5 = arith.mulf %4, %tiny : f32
    %6 = math.tanh %5 : f32
    %7 = arith.mulf %6, %half : f32
    %8 = arith.mulf %7, %half : f32
    %9 = arith.addf %7, %8 : f32
    %10 = arith.mulf %9, %half fastmath<contract> : f32
    %11 = arith.mulf %10, %half : f32
    %12 = math.tanh %11 : f32
    %13 = arith.divf %12, %three : f32
    %14 = math.tanh %13 : f32
    %15 = arith.mulf %14, %zero : f32
    %16 = arith.mulf %15, %half : f32
    "attn.yield"(%16) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %1 = arith.cmpi sge, %i, %j : index
    "attn.yield"(%1) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %0 : tensor<1x1x4x8xf32>
}

// -----

// A condition that reads the score stays in the score, and so does a finite stand-in for -inf.
func.func @masks_in_score(%q: tensor<1x1x4x8xf32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) {
  %true = arith.constant true
  %big = arith.constant -1.000000e+30 : f32
  %minf = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.000000e+00 : f32
  %0 = "attn.attention"(%q, %q, %q) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %2 = arith.cmpf ogt, %s, %zero : f32
    %3 = arith.select %2, %s, %minf : f32
    "attn.yield"(%3) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  %1 = "attn.attention"(%q, %q, %q) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %2 = arith.cmpi sge, %i, %j : index
    %3 = arith.select %2, %s, %big : f32
    "attn.yield"(%3) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %0, %1 : tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>
}

// -----

// (s * 1e-30) * 1e30 may be 0 where s is not; a division that is written out stays as it is.
func.func @underflow(%q: tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %cst = arith.constant 1.000000e-30 : f32
  %cst_0 = arith.constant 1.000000e+30 : f32
  %0 = "attn.attention"(%q, %q, %q) ({
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %1 = arith.mulf %s, %cst : f32
    %2 = arith.mulf %1, %cst_0 : f32
    "attn.yield"(%2) : (f32) -> ()
  }, {
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %1 = arith.cmpi eq, %j, %c0 : index
    %2 = arith.select %1, %c1, %j : index
    %3 = arith.divui %i, %2 : index
    %4 = arith.select %1, %c0, %3 : index
    %5 = arith.cmpi sge, %4, %j : index
    "attn.yield"(%5) : (i1) -> ()
  }, {
  ^bb0(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>) -> tensor<1x1x4x8xf32>
  return %0 : tensor<1x1x4x8xf32>
}
