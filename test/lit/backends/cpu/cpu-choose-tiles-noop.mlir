// RUN: aec-opt %s --cpu-choose-tiles | FileCheck %s
// RUN: aec-opt %s --explain=cpu-choose-tiles | FileCheck %s --check-prefix=EXPLAIN --allow-empty

// Only streaming forms have tiles.
// CHECK-NOT: attn.tile
// EXPLAIN-NOT: {{.}}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = arith.addf %x, %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
