// RUN: aec-opt %s --cpu-outline-parallel | FileCheck %s

// Without parallel loops no runtime is added; only public functions take a ticket, which they don't use.
// CHECK-LABEL: module
// CHECK-NEXT:    func.func @public(%{{[^ ]+}}: memref<4xf32> {llvm.noalias}, %{{[^ ]+}}: !llvm.ptr) attributes {llvm.emit_c_interface} {
// CHECK-NEXT:      call @private(%{{[^ ]+}}) : (memref<4xf32>) -> ()
// CHECK-NEXT:      return
// CHECK-NEXT:    }
// CHECK-NEXT:    func.func private @private(%{{[^ ]+}}: memref<4xf32>) {
// CHECK-NEXT:      return
// CHECK-NEXT:    }
// CHECK-NEXT:  }
func.func @public(%x: memref<4xf32> {llvm.noalias}) attributes {llvm.emit_c_interface} {
  func.call @private(%x) : (memref<4xf32>) -> ()
  return
}

func.func private @private(%x: memref<4xf32>) {
  return
}
