// RUN: aec-opt %s --attn-analyze-mask | FileCheck %s
// RUN: aec-opt %s --explain=attn-analyze-mask | FileCheck %s --check-prefix=EXPLAIN --allow-empty

// Nothing but attention has a mask.
// CHECK-NOT: attn.mask_tiles
// EXPLAIN-NOT: {{.}}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = arith.addf %x, %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
