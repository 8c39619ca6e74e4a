// RUN: aec-opt %s -o %t.before
// RUN: aec-opt %s --convert-attn-to-linalg -o %t.after
// RUN: diff %t.before %t.after

// Everything but attn operations is left alone, divisions and reads included: their regions are not ours.
func.func @ordinary(%x: tensor<?xi32>, %y: tensor<?xi32>, %n: index) -> (tensor<?xi32>, i32) {
  %r = arith.divsi %x, %y : tensor<?xi32>
  %e = tensor.extract %x[%n] : tensor<?xi32>
  return %r, %e : tensor<?xi32>, i32
}

func.func private @declared(tensor<?xf32>)
