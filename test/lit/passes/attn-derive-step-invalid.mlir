// RUN: aec-opt %s --split-input-file --attn-derive-step --verify-diagnostics

// Two recurrences would have two pools.
// expected-error @+1 {{'func.func' op expects one 'attn.recurrence' in its body for the one-step form, got 2}}
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o1, %f1 = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A state that is computed has no place in a pool.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %x: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %initial = arith.negf %x : tensor<?x4x8x6xf32>
  // expected-error @+1 {{'attn.recurrence' op unsupported: the one-step form of an initial state that is computed, expects an argument of type f32 or zeros}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// What the call updates can't be read by something else.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  // expected-error @+1 {{'arith.addf' op unsupported: a use of the initial state beside the recurrence, which updates it in the one-step form}}
  %sum = arith.addf %initial, %initial : tensor<?x4x8x6xf32>

  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Nor what is in the pool afterwards.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  // expected-error @+1 {{'arith.negf' op unsupported: a use of the final state, which is in the pool in the one-step form, other than as a result of the program}}
  %n = arith.negf %final : tensor<?x4x8x6xf32>
  return %o, %n : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Position t is 0 in all calls.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    // expected-error @+1 {{'arith.index_cast' op unsupported: a step that computes with position t, which is 0 in each call of the one-step form}}
    %i = arith.index_cast %t : index to i64
    %n = arith.sitofp %i : i64 to f32
    %a = tensor.splat %n : tensor<8x6xf32>
    %S1 = arith.mulf %a, %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A table of positions is read at 0 in all calls, too.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %gate: tensor<?xf32> {attn.dims = ["Longest"]}) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  // expected-error @+1 {{'attn.recurrence' op unsupported: a step that reads position t of tensors which have not as many positions as q (Longest)}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%t] : tensor<?xf32>
    %a = tensor.splat %g : tensor<8x6xf32>
    %S1 = arith.mulf %a, %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A length that types say is no length of one.
func.func @f(%q: tensor<?x4x5x8xf32>, %k: tensor<?x4x5x8xf32>, %v: tensor<?x4x5x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x5x6xf32>, tensor<?x4x8x6xf32>) {
  // expected-error @+1 {{'attn.recurrence' op expects q to have one position or a dynamic length for the one-step form, got 5}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x5x8xf32>, tensor<?x4x5x8xf32>, tensor<?x4x5x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x5x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x5x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A sum over positions needs all of them.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  %zero = arith.constant dense<0.0> : tensor<4x6xf32>
  %c0 = arith.constant 0 : index
  %B = tensor.dim %q, %c0 : tensor<?x4x?x8xf32>
  %empty = tensor.empty(%B) : tensor<?x4x6xf32>
  // expected-error @+1 {{'linalg.reduce' op unsupported: computing a position from others or from its number around the one-step form of a recurrence}}
  %sum = linalg.reduce {arith.addf} ins(%o : tensor<?x4x?x6xf32>) outs(%empty : tensor<?x4x6xf32>) dimensions = [2]
  return %sum, %final : tensor<?x4x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// The number of a position is not that in the sequence.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  // expected-error @+1 {{'linalg.generic' op unsupported: computing a position from others or from its number around the one-step form of a recurrence}}
  %rotated = linalg.generic {indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%o : tensor<?x4x?x6xf32>) {
  ^bb0(%x: f32):
    %n = linalg.index 2 : index
    %i = arith.index_cast %n : index to i64
    %y = arith.sitofp %i : i64 to f32
    linalg.yield %y : f32
  } -> tensor<?x4x?x6xf32>
  return %rotated, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Packed sequences have many positions.
func.func @f(%q: tensor<1x4x?x8xf32>, %v: tensor<1x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %offsets: tensor<?xi32>) -> tensor<1x4x?x6xf32> {
  // expected-error @+1 {{'attn.recurrence' op unsupported: the one-step form of packed sequences (offsets)}}
  %o, %final = "attn.recurrence"(%q, %q, %v, %initial, %offsets) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>) -> (tensor<1x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o : tensor<1x4x?x6xf32>
}

// -----

// A step that reads the first position of all would read the present one in each call.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %c0 = arith.constant 0 : index
    // expected-error @+1 {{'tensor.extract' op unsupported: a step that reads another position than t of a tensor with as many as q, in the one-step form}}
    %first = tensor.extract %k[%b, %h, %c0, %c0] : tensor<?x4x?x8xf32>
    %factor = tensor.splat %first : tensor<8x6xf32>
    %S1 = arith.mulf %S, %factor : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// The number of positions is that of the call.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %c2 = arith.constant 2 : index
  %length = tensor.dim %q, %c2 : tensor<?x4x?x8xf32>
  // expected-error @+1 {{'arith.index_cast' op unsupported: a program that computes with the number of positions, which is 1 in each call of the one-step form}}
  %number = arith.index_cast %length : index to i32
  %count = arith.sitofp %number : i32 to f32
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %factor = tensor.splat %count : tensor<8x6xf32>
    %S1 = arith.mulf %S, %factor : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Positions that are joined with features.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  // expected-error @+1 {{'tensor.collapse_shape' op unsupported: computing a position from others or from its number around the one-step form of a recurrence}}
  %flat = tensor.collapse_shape %q [[0], [1], [2, 3]] : tensor<?x4x?x8xf32> into tensor<?x4x?xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// Two sizes of q with one name.
func.func @f(%q: tensor<?x4x?x8xf32> {attn.dims = ["T", "", "T", ""]}, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  // expected-error @+1 {{'attn.recurrence' op unsupported: the one-step form of a number of positions that is another size of q as well, of dimension 0}}
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A body may read what no operand shows: all keys have the scale that is in position 5.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %c0 = arith.constant 0 : index
  %c5 = arith.constant 5 : index
  // expected-error @+1 {{'linalg.generic' op unsupported: computing a position from others or from its number around the one-step form of a recurrence}}
  %keys = linalg.generic {indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%k : tensor<?x4x?x8xf32>) {
  ^bb0(%x: f32):
    %scale = tensor.extract %v[%c0, %c0, %c5, %c0] : tensor<?x4x?x6xf32>
    %y = arith.mulf %x, %scale : f32
    linalg.yield %y : f32
  } -> tensor<?x4x?x8xf32>
  %o, %final = "attn.recurrence"(%q, %keys, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// So may a branch, whose result has no positions.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %c: i1) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  // expected-error @+1 {{'scf.if' op unsupported: computing a position from others or from its number around the one-step form of a recurrence}}
  %scale = scf.if %c -> f32 {
    %first = tensor.extract %v[%c0, %c0, %c0, %c0] : tensor<?x4x?x6xf32>
    scf.yield %first : f32
  } else {
    scf.yield %zero : f32
  }
  %wide = tensor.splat %scale : tensor<8xf32>
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %unused = arith.addf %kt, %wide : tensor<8xf32>
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// And a step, of a tensor as a whole.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %gate: tensor<?xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %g = tensor.extract %gate[%t] : tensor<?xf32>
    %empty = tensor.empty() : tensor<f32>
    // expected-error @+1 {{'linalg.reduce' op unsupported: a step that computes with all positions of a tensor with as many as q, in the one-step form}}
    %sum = linalg.reduce {arith.addf} ins(%gate : tensor<?xf32>) outs(%empty : tensor<f32>) dimensions = [0]
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// A dimension whose number is computed may be that of positions.
func.func @f(%q: tensor<?x4x?x8xf32>, %k: tensor<?x4x?x8xf32>, %v: tensor<?x4x?x6xf32>, %initial: tensor<?x4x8x6xf32>, %d: index) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) {
  %n = tensor.dim %q, %d : tensor<?x4x?x8xf32>
  // expected-error @+1 {{'arith.index_cast' op unsupported: a program that computes with the number of positions, which is 1 in each call of the one-step form}}
  %i = arith.index_cast %n : index to i32
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>) -> (tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xf32>, tensor<?x4x8x6xf32>
}

// -----

// expected-error @+1 {{'func.func' op expects 'attn.name' to be a string, got true}}
func.func @f(%q: tensor<?x4x?x8xf32> {attn.name = true}, %initial: tensor<?x4x8x8xf32>) -> (tensor<?x4x?x8xf32>, tensor<?x4x8x8xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %q, %initial) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    "attn.step_yield"(%S, %vt) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x8x8xf32>) -> (tensor<?x4x?x8xf32>, tensor<?x4x8x8xf32>)
  return %o, %final : tensor<?x4x?x8xf32>, tensor<?x4x8x8xf32>
}
