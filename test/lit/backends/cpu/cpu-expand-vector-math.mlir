// RUN: aec-opt %s --cpu-expand-vector-math | FileCheck %s
// RUN: aec-opt %s --cpu-expand-vector-math=scale-instruction=true | FileCheck %s --check-prefix=AVX512

// The multiple of ln 2 is subtracted in two parts; the polynomial has degree 5; the power is added to the exponent.
// CHECK-LABEL: func.func @exp(
// CHECK-NOT:     math.
// CHECK:         %[[SHIFTED:.+]] = vector.fma
// CHECK:         arith.subf %[[SHIFTED]],
// CHECK-COUNT-7: vector.fma
// CHECK:         arith.shli {{.*}} : vector<16xi32>
// AVX512-LABEL: func.func @exp(
// AVX512-NOT:    arith.shli
// AVX512-NOT:    arith.select
// AVX512-COUNT-3: vector.fma
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.mask.range.ps.512"
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.ps.512"
// AVX512-COUNT-2: vector.fma
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

// The exponent is a difference: its product with log2(e) is not rounded before its integer is taken off.
// AVX512-LABEL: func.func @difference(
// AVX512:        %[[D:.+]] = arith.subf
// AVX512:        %[[SHIFTED:.+]] = vector.fma %[[D]],
// AVX512:        %[[N:.+]] = arith.subf %[[SHIFTED]],
// AVX512:        vector.fma %[[N]], %{{.*}}, %[[D]] :
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
func.func @difference(%x: vector<16xf32>, %max: vector<16xf32>) -> vector<16xf32> {
  %d = arith.subf %x, %max : vector<16xf32>
  %e = math.exp %d : vector<16xf32>
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
// CHECK-COUNT-16: vector.fma
// CHECK:         arith.shli {{.*}} : vector<8xi64>
func.func @exp_f64(%x: vector<8xf64>) -> vector<8xf64> {
  %r = math.exp %x : vector<8xf64>
  return %r : vector<8xf64>
}

// CHECK-LABEL: func.func @tanh(
// CHECK:         arith.divf
// AVX512-LABEL: func.func @tanh(
// AVX512:        arith.divf
func.func @tanh(%x: vector<8xf32>) -> vector<8xf32> {
  %r = math.tanh %x : vector<8xf32>
  return %r : vector<8xf32>
}

// AVX512-LABEL: func.func @tanh_of_16(
// AVX512-NOT:    arith.divf
// AVX512:        llvm.call_intrinsic "llvm.x86.avx512.rcp14.ps.512"
func.func @tanh_of_16(%x: vector<16xf32>) -> vector<16xf32> {
  %r = math.tanh %x : vector<16xf32>
  return %r : vector<16xf32>
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
// CHECK:         %[[NAN:[^ ]+]] = arith.cmpf uno, %[[A]], %[[B]]
// CHECK:         %[[GREATER:[^ ]+]] = arith.cmpf ogt, %[[A]], %[[B]]
// CHECK:         %[[BEST:[^ ]+]] = arith.select %[[GREATER]], %[[A]], %[[B]]
// CHECK:         %[[R:[^ ]+]] = arith.select %[[NAN]], %{{.*}}, %[[BEST]]
// CHECK:         return %[[R]]
func.func @maximum(%a: vector<8xf32>, %b: vector<8xf32>) -> vector<8xf32> {
  %r = arith.maximumf %a, %b : vector<8xf32>
  return %r : vector<8xf32>
}

// A chain has one look at NaN for two of its vectors. A part that something else uses too stays a chain of its own.
// CHECK-LABEL: func.func @chain(
// CHECK-SAME:    %[[A:[^ ]+]]: vector<8xf32>, %[[B:[^ ]+]]: vector<8xf32>, %[[C:[^ ]+]]: vector<8xf32>
// CHECK-COUNT-2: arith.cmpf uno
// CHECK-NOT:     uno
// CHECK-COUNT-2: arith.cmpf olt
// CHECK:         arith.ori
// CHECK:         %[[FIRST:.+]] = arith.select
// CHECK:         arith.cmpf uno, %[[FIRST]], %[[A]]
// CHECK:         return %[[FIRST]],
func.func @chain(%a: vector<8xf32>, %b: vector<8xf32>, %c: vector<8xf32>) -> (vector<8xf32>, vector<8xf32>) {
  %ab = arith.minimumf %a, %b : vector<8xf32>
  %abc = arith.minimumf %ab, %c : vector<8xf32>
  %r = arith.minimumf %abc, %a : vector<8xf32>
  return %abc, %r : vector<8xf32>, vector<8xf32>
}

// Other functions are computed for each element.
// CHECK-LABEL: func.func @sin(
// CHECK-COUNT-4: math.sin {{.*}} : f32
// CHECK:         vector.from_elements
func.func @sin(%x: vector<4xf32>) -> vector<4xf32> {
  %r = math.sin %x : vector<4xf32>
  return %r : vector<4xf32>
}

// Vectors of any rank are taken as one of rank 1.
// CHECK-LABEL: func.func @matrix(
// CHECK-SAME:    %[[X:[^ ]+]]: vector<4x4xf32>, %[[Y:[^ ]+]]: vector<f32>
// CHECK:         %[[FLAT:.+]] = vector.shape_cast %[[X]] : vector<4x4xf32> to vector<16xf32>
// CHECK:         vector.fma {{.*}} : vector<16xf32>
// CHECK:         vector.shape_cast %{{.*}} : vector<16xf32> to vector<4x4xf32>
// CHECK:         vector.shape_cast %[[Y]] : vector<f32> to vector<1xf32>
// CHECK:         math.sin %{{.*}} : f32
// CHECK:         vector.shape_cast %{{.*}} : vector<1xf32> to vector<f32>
func.func @matrix(%x: vector<4x4xf32>, %y: vector<f32>) -> (vector<4x4xf32>, vector<f32>) {
  %e = math.exp %x : vector<4x4xf32>
  %s = math.sin %y : vector<f32>
  return %e, %s : vector<4x4xf32>, vector<f32>
}
