// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-approximate-reciprocals | FileCheck %s

// A denominator that is 1 and more: of a tensor, of scalars, and with several terms.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[D:[^ ]+]] = arith.addf
// CHECK-NEXT:    "tt.elementwise_inline_asm"(%[[D]]) {asm_string = "rcp.approx.ftz.f32 $0, $1;", constraints = "=f,f", packed_element = 1 : i32, pure = true} : (tensor<64x64xf32>) -> tensor<64x64xf32>
// CHECK:         "tt.elementwise_inline_asm"(%{{[^ ]+}}) {{.*}} : (f32) -> f32
// CHECK-NOT:     arith.divf
"tt.func"() ({
^bb0(%x: tensor<64x64xf32>, %y: f32):
  %ones = arith.constant dense<1.0> : tensor<64x64xf32>
  %one = arith.constant 1.0 : f32
  %e = math.exp2 %x : tensor<64x64xf32>
  %d = arith.addf %e, %ones : tensor<64x64xf32>
  %a = arith.divf %ones, %d : tensor<64x64xf32>
  %f = math.absf %y : f32
  %g = math.exp %y : f32
  %h = arith.addf %f, %g : f32
  %i = arith.addf %one, %h : f32
  %b = arith.divf %one, %i : f32
  "test.use"(%a, %b) : (tensor<64x64xf32>, f32) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "taken"} : () -> ()

// -----

// Others stay: denominators that may be 0, negative or too small, other numerators, other types.
// CHECK-LABEL: "tt.func"
// CHECK-NOT:     tt.elementwise_inline_asm
// CHECK:         sym_name = "left"
"tt.func"() ({
^bb0(%x: f32, %z: f64):
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2.0 : f32
  %less = arith.constant -5.0e-01 : f32
  %tiny = arith.constant 1.0e-40 : f32
  %wide = arith.constant 1.0 : f64
  %e = math.exp2 %x : f32
  %a = arith.divf %one, %e : f32
  %p = arith.addf %e, %less : f32
  %b = arith.divf %one, %p : f32
  %q = arith.addf %e, %tiny : f32
  %c = arith.divf %one, %q : f32
  %r = arith.addf %x, %one : f32
  %d = arith.divf %one, %r : f32
  %s = arith.addf %e, %one : f32
  %f = arith.divf %two, %s : f32
  %g = math.exp2 %z : f64
  %t = arith.addf %g, %wide : f64
  %h = arith.divf %wide, %t : f64
  "test.use"(%a, %b, %c, %d, %f, %h) : (f32, f32, f32, f32, f32, f64) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "left"} : () -> ()
