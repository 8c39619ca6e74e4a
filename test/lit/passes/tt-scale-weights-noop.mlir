// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --tt-scale-weights | FileCheck %s
// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --explain tt-scale-weights --tt-scale-weights | FileCheck %s --check-prefix=WHY

// The maximum is of another tile.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "other_tile"
// WHY: kernel @other_tile:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%t) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "other_tile"} : () -> ()

// -----

// It is of columns, and the weights' rows differ.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "other_axis"
// WHY: kernel @other_axis:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 0 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "other_axis"} : () -> ()

// -----

// It is of rows, and repeated along columns.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "columns"
// WHY: kernel @columns:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 0 : i32} : (tensor<32xf32>) -> tensor<1x32xf32>
  %spread = "tt.broadcast"(%column) : (tensor<1x32xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "columns"} : () -> ()

// -----

// The score is multiplied, and its maximum is not.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "larger"
// WHY: kernel @larger:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %scale = arith.constant dense<2.0> : tensor<32x32xf32>
  %scaled = arith.mulf %s, %scale : tensor<32x32xf32>
  %d = arith.subf %scaled, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "larger"} : () -> ()

// -----

// A negative multiple of the score is at most that of its minimum.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "negative"
// WHY: kernel @negative:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %scale = arith.constant dense<-1.0> : tensor<32x32xf32>
  %scaled = arith.mulf %s, %scale : tensor<32x32xf32>
  %d = arith.subf %scaled, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "negative"} : () -> ()

// -----

// It is a minimum of each row.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "least"
// WHY: kernel @least:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.minimumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "least"} : () -> ()

// -----

// Something less may be subtracted than the maximum.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "lower"
// WHY: kernel @lower:
// WHY-NEXT:   weights 0: as they are, how large they are is not known
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.minimumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%low) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "lower"} : () -> ()

// -----

// Something that is not linear is made of the accumulator in each turn.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "squared"
// WHY: kernel @squared:
// WHY-NEXT:   weights 0: as they are, for 'arith.mulf' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    %square = arith.mulf %new, %new : tensor<32x32xf32>
    scf.yield %square : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "squared"} : () -> ()

// -----

// It is used in each turn as it is.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "stored"
// WHY: kernel @stored:
// WHY-NEXT:   weights 0: as they are, for 'test.use' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    "test.use"(%new) : (tensor<32x32xf32>) -> ()
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "stored"} : () -> ()

// -----

// What is added to it is not scaled.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "added"
// WHY: kernel @added:
// WHY-NEXT:   weights 0: as they are, for 'arith.addf' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    %more = arith.addf %new, %t : tensor<32x32xf32>
    scf.yield %more : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "added"} : () -> ()

// -----

// It starts with something else than 0.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "started"
// WHY: kernel @started:
// WHY-NEXT:   weights 0: as they are, for 'scf.for' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %t) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "started"} : () -> ()

// -----

// The rounded weights are used otherwise.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "rounded"
// WHY: kernel @rounded:
// WHY-NEXT:   weights 0: as they are, for 'test.use' needs what is not scaled
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xf16>, tensor<32x32xf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    "test.use"(%w) : (tensor<32x32xf16>) -> ()
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "rounded"} : () -> ()

// -----

// Weights of bf16 have the exponents of f32.
// CHECK-LABEL: "tt.func"
// CHECK:         %[[P:[^ ]+]] = math.exp2
// CHECK-NOT:     arith.mulf %[[P]]
// CHECK:         sym_name = "wide"
// WHY: kernel @wide: no weights of f16
"tt.func"() ({
^bb0(%s: tensor<32x32xf32>, %t: tensor<32x32xf32>, %v: tensor<32x32xbf16>, %old: tensor<32xf32>, %n: i32):
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zeros = arith.constant dense<0.0> : tensor<32x32xf32>
  %row = "tt.reduce"(%s) ({
  ^bb0(%a: f32, %b: f32):
    %x = arith.maximumf %a, %b : f32
    "tt.reduce.return"(%x) : (f32) -> ()
  }) {axis = 1 : i32} : (tensor<32x32xf32>) -> tensor<32xf32>
  %low = arith.maximumf %old, %row : tensor<32xf32>
  %column = "tt.expand_dims"(%row) {axis = 1 : i32} : (tensor<32xf32>) -> tensor<32x1xf32>
  %spread = "tt.broadcast"(%column) : (tensor<32x1xf32>) -> tensor<32x32xf32>
  %d = arith.subf %s, %spread : tensor<32x32xf32>
  %p = math.exp2 %d : tensor<32x32xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %zeros) -> (tensor<32x32xf32>) : i32 {
    %w = arith.truncf %p : tensor<32x32xf32> to tensor<32x32xbf16>
    %new = "tt.dot"(%w, %v, %acc) : (tensor<32x32xbf16>, tensor<32x32xbf16>, tensor<32x32xf32>) -> tensor<32x32xf32>
    scf.yield %new : tensor<32x32xf32>
  }
  "test.use"(%r) : (tensor<32x32xf32>) -> ()
  "tt.return"() : () -> ()
}) {sym_name = "wide"} : () -> ()
