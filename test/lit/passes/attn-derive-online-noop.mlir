// RUN: aec-opt %s -o %t.before
// RUN: aec-opt %s --attn-derive-online -o %t.after
// RUN: diff %t.before %t.after
// RUN: aec-opt %s --explain attn-derive-online | FileCheck %s --allow-empty

// Everything but attn.attention is left alone, streaming forms included.
// CHECK-NOT: pass
func.func @ordinary(%x: tensor<?xi32>, %y: tensor<?xi32>, %n: index) -> (tensor<?xi32>, i32) {
  %r = arith.divsi %x, %y : tensor<?xi32>
  %e = tensor.extract %x[%n] : tensor<?xi32>
  return %r, %e : tensor<?xi32>, i32
}

func.func private @declared(tensor<?xf32>)
