// RUN: aec-opt %s --cpu-expand-vector-math | FileCheck %s
// RUN: aec-opt %s --cpu-expand-vector-math=scale-instruction=true | FileCheck %s --check-prefix=AVX512

// log2(e) is added in two parts; the polynomial has degree 5; the power is added to the exponent.
// CHECK-LABEL: func.func @exp(
// CHECK-NOT:     math.exp
// CHECK:         math.roundeven
// CHECK-COUNT-7: math.fma
// CHECK:         arith.shli {{.*}} : vector<16xi32>
// AVX512-LABEL: func.func @exp(
// AVX512:        math.roundeven
// AVX512-NOT:    arith.shli
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %r = math.exp %x : vector<16xf32>
  return %r : vector<16xf32>
}

// No bounds are needed where the instruction scales: it makes 0 and infinity of infinite powers.
// CHECK-LABEL: func.func @exp2(
// CHECK:         arith.select
// AVX512-LABEL: func.func @exp2(
// AVX512-NOT:    arith.select
// AVX512:        return
func.func @exp2(%x: vector<16xf32>) -> vector<16xf32> {
  %r = math.exp2 %x : vector<16xf32>
  return %r : vector<16xf32>
}

// What is known of tanh bounds the exponent, and the factor goes into log2(e).
// AVX512-LABEL: func.func @softcap(
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.rcp14.ps.512"
// AVX512-NOT:    arith.select
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
func.func @softcap(%x: vector<16xf32>) -> vector<16xf32> {
  %cap = arith.constant dense<30.0> : vector<16xf32>
  %t = math.tanh %x : vector<16xf32>
  %s = arith.mulf %t, %cap : vector<16xf32>
  %e = math.exp %s : vector<16xf32>
  return %e : vector<16xf32>
}

// Other sizes of vectors take no instruction of 512 bits.
// AVX512-LABEL: func.func @exp_of_8(
// AVX512:        arith.shli {{.*}} : vector<8xi32>
func.func @exp_of_8(%x: vector<8xf32>) -> vector<8xf32> {
  %r = math.exp %x : vector<8xf32>
  return %r : vector<8xf32>
}

// CHECK-LABEL: func.func @exp_f64(
// CHECK-COUNT-15: math.fma
// CHECK:         arith.shli {{.*}} : vector<8xi64>
func.func @exp_f64(%x: vector<8xf64>) -> vector<8xf64> {
  %r = math.exp %x : vector<8xf64>
  return %r : vector<8xf64>
}

// CHECK-LABEL: func.func @tanh(
// CHECK:         arith.divf
func.func @tanh(%x: vector<8xf32>) -> vector<8xf32> {
  %r = math.tanh %x : vector<8xf32>
  return %r : vector<8xf32>
}

// CHECK-LABEL: func.func @log(
// CHECK-NOT:     math.log
// CHECK:         return
func.func @log(%x: vector<8xf32>) -> vector<8xf32> {
  %r = math.log %x : vector<8xf32>
  return %r : vector<8xf32>
}

// NaN is handed on.
// CHECK-LABEL: func.func @maximum(
// CHECK-SAME:    %[[A:[^ ]+]]: vector<8xf32>, %[[B:[^ ]+]]: vector<8xf32>
// CHECK:         %[[GREATER:[^ ]+]] = arith.cmpf ogt, %[[A]], %[[B]]
// CHECK:         %[[BEST:[^ ]+]] = arith.select %[[GREATER]], %[[A]], %[[B]]
// CHECK:         %[[NAN:[^ ]+]] = arith.cmpf uno, %[[A]], %[[A]]
// CHECK:         arith.select %[[NAN]], %[[A]], %[[BEST]]
func.func @maximum(%a: vector<8xf32>, %b: vector<8xf32>) -> vector<8xf32> {
  %r = arith.maximumf %a, %b : vector<8xf32>
  return %r : vector<8xf32>
}

// Other functions are computed for each element.
// CHECK-LABEL: func.func @sin(
// CHECK-COUNT-4: math.sin {{.*}} : f32
// CHECK:         vector.from_elements
func.func @sin(%x: vector<4xf32>) -> vector<4xf32> {
  %r = math.sin %x : vector<4xf32>
  return %r : vector<4xf32>
}
