// RUN: aec-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(amd-finish-kernels))'

gpu.module @kernels {
  llvm.func @operation_of_another_dialect(%x: i32) -> i32 {
    // expected-error @+1 {{'math.ipowi' op unsupported: it has no lowering to LLVM}}
    %r = math.ipowi %x, %x : i32
    llvm.return %r : i32
  }
}

// -----

// Where a type stopped a conversion, the type is what is said.
gpu.module @kernels {
  llvm.func @type_that_is_left(%x: i64) -> i64 {
    // expected-error @+1 {{'builtin.unrealized_conversion_cast' op unsupported: type tensor<2xf32> has no lowering to LLVM}}
    %c = builtin.unrealized_conversion_cast %x : i64 to tensor<2xf32>
    %r = builtin.unrealized_conversion_cast %c : tensor<2xf32> to i64
    llvm.return %r : i64
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{'func.func' op unsupported: it has no lowering to LLVM}}
  func.func private @function_of_another_dialect()
}

// -----

// As of memref.alloc: the code would be linked nevertheless.
gpu.module @kernels {
  llvm.func @malloc(i64) -> !llvm.ptr
  llvm.func @call_of_what_nobody_has(%n: i64) -> !llvm.ptr {
    // expected-error @+1 {{'llvm.call' op unsupported: a call of 'malloc', which is defined nowhere}}
    %p = llvm.call @malloc(%n) : (i64) -> !llvm.ptr
    llvm.return %p : !llvm.ptr
  }
}

// -----

// As of memref.alloca.
gpu.module @kernels {
  llvm.func @memory_of_a_lane(%n: i32) {
    // expected-error @+1 {{'llvm.alloca' op unsupported: memory of a lane that is not in its own address space}}
    %p = llvm.alloca %n x f32 : (i32) -> !llvm.ptr
    llvm.return
  }
}
