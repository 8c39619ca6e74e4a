// RUN: aec-opt %s --cpu-outline-parallel --split-input-file | FileCheck %s
// RUN: aec-opt %s --cpu-outline-parallel=least-work=7 --split-input-file | FileCheck %s --check-prefix=LEAST

// One dimension. The scalar and the buffer travel in the context, the constant is repeated in the body.
// CHECK-LABEL: func.func @fill(
// CHECK-SAME:    %[[OUT:[^ ]+]]: memref<?xf32>, %[[X:[^ ]+]]: f32, %[[N:[^ ]+]]: index, %[[TICKET:[^ ]+]]: !llvm.ptr)
// CHECK:         %[[CONTEXT:.+]] = llvm.alloca %{{.+}} x !llvm.struct<(i64, array<7 x i64>, i64, i64, ptr, i64, f32, struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>)> {alignment = 64 : i64}
// CHECK:         %[[TRIPS:.+]] = arith.maxsi %[[N]], %{{.+}} : index
// CHECK:         %[[BOUND:.+]] = arith.constant 400000 : index
// CHECK:         %[[WORTH:.+]] = arith.cmpi sge, %{{.+}}, %[[BOUND]] : index
// CHECK:         %[[DESCRIPTOR:.+]] = builtin.unrealized_conversion_cast %[[OUT]] : memref<?xf32> to !llvm.struct
// CHECK:         %[[F:.+]] = constant @fill.parallel0 : (!llvm.ptr, index) -> ()
// CHECK:         %[[BODY:.+]] = builtin.unrealized_conversion_cast %[[F]]
// CHECK:         %[[ITEMS:.+]] = arith.index_cast %{{.+}} : index to i64
// CHECK:         llvm.store %[[ITEMS]], %{{.+}} : i64, !llvm.ptr
// CHECK:         llvm.store %[[BODY]], %{{.+}} : !llvm.ptr, !llvm.ptr
// CHECK:         llvm.store %[[X]], %{{.+}} : f32, !llvm.ptr
// CHECK:         llvm.store %[[DESCRIPTOR]], %{{.+}}
// CHECK:         llvm.call @aecrt.run(%[[TICKET]], %[[CONTEXT]], %[[ITEMS]], %[[WORTH]])
// CHECK-NEXT:    return
// CHECK-LABEL: func.func private @fill.parallel0(
// CHECK-SAME:    %[[SHARED:[^ ]+]]: !llvm.ptr, %[[ITEM:[^ ]+]]: index)
// CHECK:         %[[X:.+]] = llvm.load %{{.+}} : !llvm.ptr -> f32
// CHECK:         %[[LOADED:.+]] = llvm.load %{{.+}} : !llvm.ptr -> !llvm.struct
// CHECK:         %[[OUT:.+]] = builtin.unrealized_conversion_cast %[[LOADED]] : {{.+}} to memref<?xf32>
// CHECK:         %[[TWO:.+]] = arith.constant 2.000000e+00 : f32
// CHECK:         %[[I:.+]] = arith.addi %{{.+}}, %{{.+}} : index
// CHECK-NEXT:    %[[Y:.+]] = arith.mulf %[[X]], %[[TWO]] : f32
// CHECK-NEXT:    memref.store %[[Y]], %[[OUT]][%[[I]]] : memref<?xf32>
// CHECK-NEXT:    return
// CHECK:       llvm.func internal @_mlir_memref_to_llvm_alloc(
// CHECK:       llvm.func internal @_mlir_memref_to_llvm_free(
// CHECK:       llvm.func @aecrt.call(
// CHECK:       llvm.func internal @aecrt.work(
// CHECK:       llvm.func @aecrt.help(
// CHECK:       llvm.func internal @aecrt.run(

// LEAST:       %[[BOUND:.+]] = arith.constant 7 : index
// LEAST:       arith.cmpi sge, %{{.+}}, %[[BOUND]]
func.func @fill(%out: memref<?xf32>, %x: f32, %n: index) attributes {llvm.emit_c_interface} {
  %two = arith.constant 2.0 : f32
  scf.forall (%i) in (%n) {
    %y = arith.mulf %x, %two : f32
    memref.store %y, %out[%i] : memref<?xf32>
  }
  return
}

// -----

// Items are numbered row by row; lower bounds and steps come in when the indices are found.
// CHECK-LABEL: func.func @grid(
// CHECK-SAME:    %{{[^ ]+}}: memref<?x?xindex>, %[[LOW:[^ ]+]]: index, %[[M:[^ ]+]]: index, %[[N:[^ ]+]]: index,
// CHECK:         %[[ROWS:.+]] = arith.subi %[[M]], %[[LOW]] : index
// CHECK:         arith.maxsi %[[ROWS]]
// CHECK:         arith.divui
// CHECK-LABEL: func.func private @grid.parallel0(
// CHECK-SAME:    %{{.+}}: !llvm.ptr, %[[ITEM:[^ ]+]]: index)
// CHECK:         %[[COLUMN:.+]] = arith.remui %[[ITEM]], %[[COLUMNS:.+]] : index
// CHECK-NEXT:    %[[ROW:.+]] = arith.divui %[[ITEM]], %[[COLUMNS]] : index
// CHECK:         arith.muli %[[ROW]]
// CHECK:         arith.muli %[[COLUMN]]
// CHECK:         memref.store
func.func @grid(%out: memref<?x?xindex>, %low: index, %m: index, %n: index) attributes {llvm.emit_c_interface} {
  scf.forall (%i, %j) = (%low, 0) to (%m, %n) step (2, 1) {
    memref.store %i, %out[%i, %j] : memref<?x?xindex>
  }
  return
}

// -----

// The work is counted with the trips of the inner loop, which are known before the outer one: here 1 + 3 n.
// CHECK-LABEL: func.func @estimate(
// CHECK-SAME:    %{{[^ ]+}}: memref<?x?xf32>, %[[N:[^ ]+]]: index,
// CHECK:         %[[TRIPS:.+]] = arith.maxsi %[[N]], %{{.+}} : index
// CHECK:         %[[TURNS:.+]] = arith.maxsi %[[N]], %{{.+}} : index
// CHECK:         %[[BODY:.+]] = arith.constant 3 : index
// CHECK:         %[[LOOP:.+]] = arith.muli %[[TURNS]], %[[BODY]] : index
// CHECK:         %[[ITEM:.+]] = arith.addi %{{.+}}, %[[LOOP]] : index
// CHECK:         %[[WORK:.+]] = arith.muli %{{.+}}, %[[ITEM]] : index
// CHECK:         arith.cmpi sge, %[[WORK]], %{{.+}} : index
func.func @estimate(%x: memref<?x?xf32>, %n: index) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.forall (%i) in (%n) {
    scf.for %j = %c0 to %n step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x?xf32>
      memref.store %v, %x[%j, %i] : memref<?x?xf32>
    }
  }
  return
}

// -----

// A parallel loop inside another one, and a function called from inside, run on the thread that meets them.
// CHECK-LABEL: func.func private @callee(
// CHECK-SAME:    %{{[^ ]+}}: memref<?xf32>, %[[TICKET:[^ ]+]]: !llvm.ptr)
// CHECK:         llvm.call @aecrt.run(%[[TICKET]],
func.func private @callee(%x: memref<?xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    memref.store %zero, %x[%i] : memref<?xf32>
  }
  return
}

// CHECK-LABEL: func.func @caller(
// CHECK-SAME:    %[[X:[^ ]+]]: memref<?xf32>, %[[TICKET:[^ ]+]]: !llvm.ptr)
// CHECK:         call @callee(%[[X]], %[[TICKET]])
// CHECK:         llvm.call @aecrt.run(%[[TICKET]],
// CHECK-LABEL: func.func private @caller.parallel0(
// CHECK:         %[[NULL:.+]] = llvm.mlir.zero : !llvm.ptr
// CHECK:         call @callee(%{{.+}}, %[[NULL]])
// CHECK:         scf.forall
func.func @caller(%x: memref<?xf32>) attributes {llvm.emit_c_interface} {
  func.call @callee(%x) : (memref<?xf32>) -> ()
  scf.forall (%i) in (8) {
    func.call @callee(%x) : (memref<?xf32>) -> ()
    scf.forall (%j) in (2) {
      %v = memref.load %x[%j] : memref<?xf32>
      memref.store %v, %x[%i] : memref<?xf32>
    }
  }
  return
}

// -----

// What a context holds: indices as i64, buffers as descriptors, vectors as LLVM's; names are not taken twice.
// CHECK-LABEL: func.func @kinds(
// CHECK:         llvm.alloca %{{.+}} x !llvm.struct<(i64, array<7 x i64>, i64, i64, ptr, i64, array<2 x vector<4xf32>>, vector<4xf32>, struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>, i64, struct<(ptr, ptr, i64)>, i1)>
// CHECK:       func.func private @kinds.parallel1(
// CHECK:         builtin.unrealized_conversion_cast %{{.+}} to vector<2x4xf32>
// CHECK:         builtin.unrealized_conversion_cast %{{.+}} to memref<?x?xf32, strided<[?, ?], offset: ?>>
// CHECK:         arith.index_cast %{{.+}} : i64 to index
func.func private @kinds.parallel0()
func.func @kinds(%v: vector<4xf32>, %w: vector<2x4xf32>, %x: memref<?x?xf32, strided<[?, ?], offset: ?>>, %n: index,
                 %cell: memref<index>, %b: i1) attributes {llvm.emit_c_interface} {
  scf.forall (%i) in (16) {
    %row = vector.extract %w[1] : vector<4xf32> from vector<2x4xf32>
    %sum = arith.addf %v, %row : vector<4xf32>
    %e = vector.extract %sum[0] : f32 from vector<4xf32>
    memref.store %e, %x[%i, %n] : memref<?x?xf32, strided<[?, ?], offset: ?>>
    scf.if %b {
      memref.store %i, %cell[] : memref<index>
    }
  }
  return
}

// -----

// The work of a callee counts, its bounds found from what is passed to it. A bound that depends on the iteration
// is taken for the nearest that does not: here the inner loop turns m times, at most.
// CHECK-LABEL: func.func private @tile(
func.func private @tile(%x: memref<?x?xf32>, %i: index, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %end = arith.addi %i, %c1 : index
  %stop = arith.minsi %end, %n : index
  scf.for %j = %c0 to %stop step %c1 {
    %v = memref.load %x[%i, %j] : memref<?x?xf32>
    memref.store %v, %x[%j, %i] : memref<?x?xf32>
  }
  return
}

// CHECK-LABEL: func.func @called(
// CHECK-SAME:    %[[X:[^ ]+]]: memref<?x?xf32>, %[[N:[^ ]+]]: index,
// CHECK:         %[[M:.+]] = memref.dim %[[X]],
// CHECK:         %[[ITEMS:.+]] = arith.muli
// CHECK:         %[[TURNS:.+]] = arith.maxsi %[[M]], %{{.+}} : index
// CHECK:         %[[BODY:.+]] = arith.constant 3 : index
// CHECK:         %[[LOOP:.+]] = arith.muli %[[TURNS]], %[[BODY]] : index
// CHECK:         %[[ITEM:.+]] = arith.addi %{{.+}}, %[[LOOP]] : index
// CHECK:         %[[WORK:.+]] = arith.muli %[[ITEMS]], %[[ITEM]] : index
// CHECK:         arith.cmpi sge, %[[WORK]], %{{.+}} : index
func.func @called(%x: memref<?x?xf32>, %n: index) attributes {llvm.emit_c_interface} {
  %c1 = arith.constant 1 : index
  %m = memref.dim %x, %c1 : memref<?x?xf32>
  scf.forall (%i) in (%n) {
    func.call @tile(%x, %i, %m) : (memref<?x?xf32>, index, index) -> ()
  }
  return
}

// -----

// A function that calls itself, and one without a body.
// CHECK-LABEL: func.func private @itself(
func.func private @unknown(%x: memref<?xf32>)
func.func private @itself(%x: memref<?xf32>, %more: i1) {
  scf.if %more {
    func.call @itself(%x, %more) : (memref<?xf32>, i1) -> ()
  }
  func.call @unknown(%x) : (memref<?xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @recursive(
// CHECK:         %[[ITEM:.+]] = arith.constant 132 : index
// CHECK:         arith.muli %{{.+}}, %[[ITEM]] : index
func.func @recursive(%x: memref<?xf32>, %more: i1, %n: index) attributes {llvm.emit_c_interface} {
  scf.forall (%i) in (%n) {
    func.call @itself(%x, %more) : (memref<?xf32>, i1) -> ()
  }
  return
}

// -----

// Of two branches the larger counts.
// CHECK-LABEL: func.func @branches(
// CHECK:         %[[ITEM:.+]] = arith.constant 43 : index
// CHECK:         arith.muli %{{.+}}, %[[ITEM]] : index
func.func @branches(%x: memref<?xf32>, %c: i1, %n: index) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c20 = arith.constant 20 : index
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    scf.if %c {
      memref.store %zero, %x[%i] : memref<?xf32>
    } else {
      scf.for %j = %c0 to %c20 step %c1 {
        memref.store %zero, %x[%j] : memref<?xf32>
      }
    }
  }
  return
}

// -----

// Without parallel loops, the runtime is what allocations need.
// CHECK-LABEL: func.func @allocates(
// CHECK:       llvm.func internal @_mlir_memref_to_llvm_alloc(
// CHECK:       llvm.func internal @_mlir_memref_to_llvm_free(
// CHECK:       llvm.func @aecrt.call(
// CHECK-NOT:   llvm.func {{.*}}@aecrt.run(
func.func @allocates(%out: memref<f32>, %n: index, %i: index) attributes {llvm.emit_c_interface} {
  %x = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %x[%i] : memref<?xf32>
  memref.store %v, %out[] : memref<f32>
  memref.dealloc %x : memref<?xf32>
  return
}
