// RUN: aec-opt %s --attn-guard-operations | FileCheck %s

// A division by a constant that is neither 0 nor -1 needs no guard.
// CHECK-LABEL: func.func @by_constant
// CHECK-NEXT:    arith.constant
// CHECK-NEXT:    arith.divsi
// CHECK-NEXT:    return
func.func @by_constant(%a: i32) -> i32 {
  %c = arith.constant 7 : i32
  %r = arith.divsi %a, %c : i32
  return %r : i32
}

// CHECK-LABEL: func.func @remainder
// CHECK-SAME:    %[[A:[^ ]+]]: tensor<?xi32>, %[[B:[^ ]+]]: tensor<?xi32>
// CHECK:         %[[ZERO:[^ ]+]] = arith.cmpi eq, %[[B]], %{{.+}} : tensor<?xi32>
// CHECK:         %[[DIVISOR:[^ ]+]] = arith.select %[[ZERO]], %{{.+}}, %[[B]]
// CHECK:         %[[R:[^ ]+]] = arith.remui %[[A]], %[[DIVISOR]]
// CHECK:         %[[SAFE:[^ ]+]] = arith.select %[[ZERO]], %[[A]], %[[R]]
// CHECK:         return %[[SAFE]]
func.func @remainder(%a: tensor<?xi32>, %b: tensor<?xi32>) -> tensor<?xi32> {
  %r = arith.remui %a, %b : tensor<?xi32>
  return %r : tensor<?xi32>
}

// CHECK-LABEL: func.func @read
// CHECK-SAME:    %[[T:[^ ]+]]: tensor<?x3xf32>, %[[N:[^ ]+]]: index
// CHECK:         %[[SAFE:[^ ]+]] = scf.if %{{.+}} -> (tensor<?x?xf32>)
// CHECK:         %[[LOW:[^ ]+]] = arith.minsi %[[N]], %{{.+}}
// CHECK:         %[[I:[^ ]+]] = arith.maxsi %[[LOW]], %{{.+}}
// CHECK:         tensor.extract %[[SAFE]][%[[I]], %{{.+}}]
func.func @read(%t: tensor<?x3xf32>, %n: index) -> f32 {
  %r = tensor.extract %t[%n, %n] : tensor<?x3xf32>
  return %r : f32
}

// CHECK-LABEL: func.func @cast
// CHECK:         %[[IN:[^ ]+]] = arith.andi
// CHECK:         %[[X:[^ ]+]] = arith.select %[[IN]]
// CHECK:         arith.fptosi %[[X]] : f32 to i32
// CHECK-COUNT-2: arith.select
func.func @cast(%a: f32) -> i32 {
  %r = arith.fptosi %a : f32 to i32
  return %r : i32
}

// A shift by the width or more.
// CHECK-LABEL: func.func @shift
// CHECK-SAME:    %[[A:[^ ]+]]: i8, %[[B:[^ ]+]]: i8
// CHECK:         %[[IN:[^ ]+]] = arith.cmpi ult, %[[B]], %{{.+}}
// CHECK:         %[[BY:[^ ]+]] = arith.select %[[IN]], %[[B]], %{{.+}}
// CHECK:         %[[R:[^ ]+]] = arith.shli %[[A]], %[[BY]]
// CHECK:         arith.select %[[IN]], %[[R]], %{{.+}}
func.func @shift(%a: i8, %b: i8) -> i8 {
  %r = arith.shli %a, %b : i8
  return %r : i8
}

// The regions of attn operations are left to their lowering.
// CHECK-LABEL: func.func @region
// CHECK-NOT:     arith.select
// CHECK:         arith.remsi
// CHECK-NOT:     arith.select
func.func @region(%q: tensor<1x1x?x4xf32>, %k: tensor<1x1x?x4xf32>, %v: tensor<1x1x?x4xf32>, %n: index) -> tensor<1x1x?x4xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %r = arith.remsi %j, %n : index
    %keep = arith.cmpi sge, %i, %r : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }) : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<1x1x?x4xf32>
  return %o : tensor<1x1x?x4xf32>
}

// A slice whose offset is read from memory is read element by element, with clamped indices; a caller checks
// those that follow from arguments.
// CHECK-LABEL: func.func @slices
// CHECK-SAME:    %[[X:[^ ]+]]: tensor<8x4xf32>, %[[N:[^ ]+]]: index
// CHECK:         tensor.extract_slice %[[X]][%[[N]], 0] [2, 4] [1, 1]
// CHECK:         linalg.generic
// CHECK:           arith.minsi
// CHECK:           arith.maxsi
// CHECK:           tensor.extract %[[X]]
func.func @slices(%x: tensor<8x4xf32>, %n: index, %t: tensor<1xindex>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %c0 = arith.constant 0 : index
  %m = tensor.extract %t[%c0] : tensor<1xindex>
  %a = tensor.extract_slice %x[%n, 0] [2, 4] [1, 1] : tensor<8x4xf32> to tensor<2x4xf32>
  %b = tensor.extract_slice %x[%m, 0] [2, 4] [1, 1] : tensor<8x4xf32> to tensor<2x4xf32>
  return %a, %b : tensor<2x4xf32>, tensor<2x4xf32>
}

// The last place of two elements by three in eight is 4.
// CHECK-LABEL: func.func @insertion
// CHECK-DAG:     %[[LAST:[^ ]+]] = arith.constant 4 : index
// CHECK:         %[[LOW:[^ ]+]] = arith.minsi %{{.+}}, %[[LAST]]
// CHECK:         %[[I:[^ ]+]] = arith.maxsi %[[LOW]], %{{.+}}
// CHECK:         tensor.insert_slice %{{.+}} into %{{.+}}[%[[I]]] [2] [3]
func.func @insertion(%x: tensor<8xf32>, %y: tensor<2xf32>, %t: tensor<1xindex>) -> tensor<8xf32> {
  %c0 = arith.constant 0 : index
  %m = tensor.extract %t[%c0] : tensor<1xindex>
  %r = tensor.insert_slice %y into %x[%m] [2] [3] : tensor<2xf32> into tensor<8xf32>
  return %r : tensor<8xf32>
}

// CHECK-LABEL: func.func @dimension
// CHECK:         %[[SECOND:[^ ]+]] = arith.cmpi sge
// CHECK:         arith.select %[[SECOND]]
func.func @dimension(%x: tensor<?x?xf32>, %n: index) -> index {
  %r = tensor.dim %x, %n : tensor<?x?xf32>
  return %r : index
}

// CHECK-LABEL: func.func @promises
// CHECK:         arith.addi %{{[^ ]+}}, %{{[^ ]+}} : i32
// CHECK:         arith.extui %{{[^ ]+}} : i32 to i64
// CHECK:         arith.addf %{{[^ ]+}}, %{{[^ ]+}} fastmath<contract> : f32
func.func @promises(%a: i32, %x: f32) -> (i64, f32) {
  %0 = arith.addi %a, %a overflow<nsw> : i32
  %1 = arith.extui %0 nneg : i32 to i64
  %2 = arith.addf %x, %x fastmath<nnan,contract> : f32
  return %1, %2 : i64, f32
}
