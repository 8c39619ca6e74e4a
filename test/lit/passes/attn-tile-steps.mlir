// RUN: aec-opt %s --split-input-file --attn-tile-steps --canonicalize --cse | FileCheck %s
// RUN: aec-opt %s --split-input-file '--attn-tile-steps=value-block=4 step-value-block=2' --canonicalize --cse | FileCheck %s --check-prefix=BLOCKS

// The state and the rows of o are carried through the loop; a vector times a matrix is a generic operation.
// CHECK-LABEL: func.func @linear
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4x?x8xbf16>, %[[K:[^ ]+]]: tensor<?x2x?x8xbf16>, %[[V:[^ ]+]]: tensor<?x4x?x6xbf16>, %[[INIT:[^ ]+]]: tensor<?x4x8x6xf32>
// CHECK:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]]) in (%{{.+}}, 4) shared_outs(%[[O:[^ ]+]] = %{{.+}}, %[[FINAL:[^ ]+]] = %{{.+}})
// CHECK:           %[[S0:[^ ]+]] = tensor.extract_slice %[[INIT]][%[[B]], %[[H]], 0, 0] [1, 1, 8, 6]
// CHECK:           %[[ROWS:[^ ]+]] = tensor.extract_slice %[[O]][%[[B]], %[[H]], 0, 0] [1, 1, %{{.+}}, 6]
// CHECK:           %[[LOOP:[^ ]+]]:2 = scf.for %[[T:[^ ]+]] = %{{.+}} iter_args(%[[S:[^ ]+]] = %[[S0]], %[[OT:[^ ]+]] = %[[ROWS]])
// CHECK:             %[[QT:[^ ]+]] = tensor.extract_slice %[[Q]][%[[B]], %[[H]], %[[T]], 0] [1, 1, 1, 8]
// CHECK:             %[[QF:[^ ]+]] = arith.extf %[[QT]] : tensor<8xbf16> to tensor<8xf32>
// CHECK:             %[[S1:[^ ]+]] = arith.addf %[[S]], %{{.+}} : tensor<8x6xf32>
// CHECK-NOT:         linalg.vecmat
// CHECK:             %[[OUT:[^ ]+]] = linalg.generic {{.*}} ins(%[[QF]], %[[S1]] : tensor<8xf32>, tensor<8x6xf32>)
// CHECK:             %[[ROW:[^ ]+]] = arith.truncf %[[OUT]] : tensor<6xf32> to tensor<6xbf16>
// CHECK:             tensor.insert_slice %[[ROW]] into %[[OT]][%[[T]], 0] [1, 6]
// CHECK:           tensor.parallel_insert_slice %[[LOOP]]#1 into %[[O]][%[[B]], %[[H]], 0, 0] [1, 1, %{{.+}}, 6]
// CHECK:           tensor.parallel_insert_slice %[[LOOP]]#0 into %[[FINAL]][%[[B]], %[[H]], 0, 0] [1, 1, 8, 6]
// CHECK-NOT:     attn.

// Six value features are no multiple of four.
// BLOCKS-LABEL: func.func @linear
// BLOCKS:         scf.forall (%{{.+}}, %{{.+}}) in (%{{.+}}, 4)
func.func @linear(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x2x?x8xbf16>, %v: tensor<?x4x?x6xbf16>, %initial: tensor<?x4x8x6xf32>)
    -> (tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>) {
  %o, %final = "attn.recurrence"(%q, %k, %v, %initial) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %e = tensor.empty() : tensor<8x6xf32>
    %rows = linalg.broadcast ins(%kt : tensor<8xf32>) outs(%e : tensor<8x6xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : tensor<6xf32>) outs(%e : tensor<8x6xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x6xf32>
    %S1 = arith.addf %S, %kv : tensor<8x6xf32>
    %z = arith.constant dense<0.0> : tensor<6xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x6xf32>) outs(%z : tensor<6xf32>) -> tensor<6xf32>
    "attn.step_yield"(%S1, %out) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x?x8xbf16>, tensor<?x2x?x8xbf16>, tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>)
    -> (tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>)
  return %o, %final : tensor<?x4x?x6xbf16>, tensor<?x4x8x6xf32>
}

// -----

// Blocks of value features: of the state, of v, of o and of captures of the value features; what is computed of keys
// is whole. Zeros are zeros in the program, not a tensor in memory.
// CHECK-LABEL: func.func @delta
// CHECK-NOT:     linalg.fill {{.*}} -> tensor<2x4x8x8xf32>
// CHECK:         scf.forall (%{{.+}}, %{{.+}}) in (2, 4)

// BLOCKS-LABEL: func.func @delta
// BLOCKS-SAME:    %[[V:[^ ]+]]: tensor<2x4x?x8xf32>, %[[GATE:[^ ]+]]: tensor<8xf32>
// BLOCKS-NOT:     linalg.fill {{.*}} -> tensor<2x4x8x8xf32>
// BLOCKS:         scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]], %[[N:[^ ]+]]) in (2, 4, 2)
// BLOCKS:           %[[FIRST:[^ ]+]] = arith.muli %[[N]], %c4
// BLOCKS:           %[[ZEROS:[^ ]+]] = linalg.fill {{.*}} -> tensor<8x4xf32>
// BLOCKS:           scf.for %[[T:[^ ]+]] = %{{.+}} iter_args(%{{.+}} = %[[ZEROS]], %{{.+}} = %{{.+}}) -> (tensor<8x4xf32>, tensor<?x4xf32>)
// BLOCKS-NOT:         tensor<8x8xf32>
// BLOCKS-DAG:         tensor.extract_slice %[[V]][%[[B]], %[[H]], %[[T]], %[[FIRST]]] [1, 1, 1, 4]
// BLOCKS-DAG:         tensor.extract_slice %[[GATE]][%[[FIRST]]] [4]
// BLOCKS-DAG:         math.tanh %{{.+}} : tensor<8xf32>
// BLOCKS:             scf.yield
// BLOCKS:           tensor.parallel_insert_slice %{{.+}} into %{{.+}}[%[[B]], %[[H]], 0, %[[FIRST]]] [1, 1, 8, 4]
func.func @delta(%k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %gate: tensor<8xf32>)
    -> (tensor<2x4x?x8xf32>, tensor<2x4x8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x4x8x8xf32>
  %initial = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o, %final = "attn.recurrence"(%k, %k, %v, %initial) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %key = math.tanh %kt : tensor<8xf32>
    %z = arith.constant dense<0.0> : tensor<8xf32>
    %held = linalg.vecmat ins(%key, %S : tensor<8xf32>, tensor<8x8xf32>) outs(%z : tensor<8xf32>) -> tensor<8xf32>
    %error = arith.subf %vt, %held : tensor<8xf32>
    %e = tensor.empty() : tensor<8x8xf32>
    %rows = linalg.broadcast ins(%key : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [1]
    %columns = linalg.broadcast ins(%error : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [0]
    %kv = arith.mulf %rows, %columns : tensor<8x8xf32>
    %S1 = arith.addf %S, %kv : tensor<8x8xf32>
    %out = linalg.vecmat ins(%qt, %S1 : tensor<8xf32>, tensor<8x8xf32>) outs(%z : tensor<8xf32>) -> tensor<8xf32>
    %g = tensor.extract_slice %gate[0] [8] [1] : tensor<8xf32> to tensor<8xf32>
    %gated = arith.mulf %g, %out : tensor<8xf32>
    "attn.step_yield"(%S1, %gated) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x8x8xf32>)
    -> (tensor<2x4x?x8xf32>, tensor<2x4x8x8xf32>)
  return %o, %final : tensor<2x4x?x8xf32>, tensor<2x4x8x8xf32>
}

// -----

// A sum of all value features needs all of them.
// BLOCKS-LABEL: func.func @mixed
// BLOCKS:         scf.forall (%{{.+}}, %{{.+}}) in (2, 3)
func.func @mixed(%k: tensor<2x3x?x8xf32>, %initial: tensor<2x3x8x8xf32>) -> (tensor<2x3x?x8xf32>, tensor<2x3x8x8xf32>) {
  %o, %final = "attn.recurrence"(%k, %k, %k, %initial) ({
  ^step(%S: tensor<8x8xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<8xf32>, %b: index, %h: index, %t: index):
    %z = arith.constant dense<0.0> : tensor<8xf32>
    %out = linalg.matvec ins(%S, %vt : tensor<8x8xf32>, tensor<8xf32>) outs(%z : tensor<8xf32>) -> tensor<8xf32>
    "attn.step_yield"(%S, %out) : (tensor<8x8xf32>, tensor<8xf32>) -> ()
  }) : (tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x?x8xf32>, tensor<2x3x8x8xf32>)
    -> (tensor<2x3x?x8xf32>, tensor<2x3x8x8xf32>)
  return %o, %final : tensor<2x3x?x8xf32>, tensor<2x3x8x8xf32>
}

// -----

// With offsets the grid is over sequences, the batch index is 0, and o starts as zeros.
// CHECK-LABEL: func.func @packed
// CHECK-SAME:    %[[OFFSETS:[^ ]+]]: tensor<?xi32>
// CHECK:         %[[ZEROS:[^ ]+]] = linalg.fill {{.*}} -> tensor<1x?x?x3xf32>
// CHECK:         scf.forall (%[[N:[^ ]+]], %[[H:[^ ]+]]) in {{.*}} shared_outs(%[[O:[^ ]+]] = %[[ZEROS]]
// CHECK:           tensor.extract %[[OFFSETS]]
// CHECK:           %[[LOW:[^ ]+]] = arith.minsi
// CHECK:           tensor.extract %[[OFFSETS]]
// CHECK:           %[[HIGH:[^ ]+]] = arith.minsi
// CHECK:           %[[COUNT:[^ ]+]] = arith.maxsi
// CHECK:           tensor.extract_slice %[[O]][0, %[[H]], %[[LOW]], 0] [1, 1, %[[COUNT]], 3]
// CHECK:           scf.for %[[T:[^ ]+]] = %[[LOW]] to %[[HIGH]]
// CHECK:             %[[PLACE:[^ ]+]] = arith.subi %[[T]], %[[LOW]]
// CHECK:             tensor.insert_slice %{{.+}} into %{{.+}}[%[[PLACE]], 0] [1, 3]
// CHECK:           tensor.parallel_insert_slice %{{.+}} into %[[O]][0, %[[H]], %[[LOW]], 0] [1, 1, %[[COUNT]], 3]
func.func @packed(%q: tensor<1x?x?x2xf32>, %v: tensor<1x?x?x3xf32>, %initial: tensor<?x?x2x3xf32>, %offsets: tensor<?xi32>)
    -> (tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>) {
  %o, %final = "attn.recurrence"(%q, %q, %v, %initial, %offsets) ({
  ^step(%S: tensor<2x3xf32>, %qt: tensor<2xf32>, %kt: tensor<2xf32>, %vt: tensor<3xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<2x3xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<2x3xf32>, tensor<3xf32>) -> ()
  }) : (tensor<1x?x?x2xf32>, tensor<1x?x?x2xf32>, tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>, tensor<?xi32>)
    -> (tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>)
  return %o, %final : tensor<1x?x?x3xf32>, tensor<?x?x2x3xf32>
}

// -----

// One position: a state is read from the pool and written to it, no rows of it where there is no such slot.
// CHECK-LABEL: func.func @step
// CHECK-SAME:    %[[Q:[^ ]+]]: tensor<?x4x1x8xf32>, %[[V:[^ ]+]]: tensor<?x4x1x6xf32>, %[[POOL:[^ ]+]]: tensor<?x4x8x6xf32>, %[[SLOTS:[^ ]+]]: tensor<?xi32>
// CHECK:         %[[COUNT:[^ ]+]] = tensor.dim %[[POOL]]
// CHECK:         %[[R:[^ ]+]]:2 = scf.forall (%[[B:[^ ]+]], %[[H:[^ ]+]]) in (%{{.+}}, 4) shared_outs(%[[O:[^ ]+]] = %{{.+}}, %[[STATES:[^ ]+]] = %[[POOL]])
// CHECK:           %[[SLOT:[^ ]+]] = tensor.extract %[[SLOTS]]
// CHECK:           %[[N:[^ ]+]] = arith.index_cast %[[SLOT]]
// CHECK:           arith.cmpi sge, %[[N]]
// CHECK:           arith.cmpi slt, %[[N]], %[[COUNT]]
// CHECK:           %[[EXISTS:[^ ]+]] = arith.andi
// CHECK:           %[[PLACE:[^ ]+]] = arith.select %[[EXISTS]], %[[N]], %c0
// CHECK:           %[[ROWS:[^ ]+]] = arith.select %[[EXISTS]], %c8, %c0
// CHECK:           %[[HELD:[^ ]+]] = tensor.extract_slice %[[STATES]][%[[PLACE]], %[[H]], 0, 0] [1, 1, %[[ROWS]], 6]
// CHECK:           tensor.pad %[[HELD]]
// CHECK-NOT:       scf.for
// CHECK:           %[[S1:[^ ]+]] = arith.negf %{{.+}} : tensor<8x6xf32>
// CHECK-NEXT:      %[[WRITTEN:[^ ]+]] = tensor.extract_slice %[[S1]][0, 0] [%[[ROWS]], 6]
// CHECK:           arith.select %[[EXISTS]], %{{.+}}, %{{.+}} : f32
// CHECK:           tensor.parallel_insert_slice %{{.+}} into %[[O]][%[[B]], %[[H]], 0, 0] [1, 1, 1, 6]
// CHECK:           tensor.parallel_insert_slice %[[WRITTEN]] into %[[STATES]][%[[PLACE]], %[[H]], 0, 0] [1, 1, %[[ROWS]], 6]

// BLOCKS-LABEL: func.func @step
// BLOCKS:         scf.forall (%{{.+}}, %{{.+}}, %{{.+}}) in (%{{.+}}, 4, 3)
// BLOCKS:           arith.negf %{{.+}} : tensor<8x2xf32>
func.func @step(%q: tensor<?x4x1x8xf32>, %v: tensor<?x4x1x6xf32>, %pool: tensor<?x4x8x6xf32>, %slots: tensor<?xi32>)
    -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>) {
  %o, %updated = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
  ^step(%S: tensor<8x6xf32>, %qt: tensor<8xf32>, %kt: tensor<8xf32>, %vt: tensor<6xf32>, %b: index, %h: index, %t: index):
    %S1 = arith.negf %S : tensor<8x6xf32>
    "attn.step_yield"(%S1, %vt) : (tensor<8x6xf32>, tensor<6xf32>) -> ()
  }) : (tensor<?x4x1x8xf32>, tensor<?x4x1x8xf32>, tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>, tensor<?xi32>)
    -> (tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>)
  return %o, %updated : tensor<?x4x1x6xf32>, tensor<?x4x8x6xf32>
}
