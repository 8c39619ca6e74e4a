// RUN: aec-opt %s --pass-pipeline='builtin.module(gpu.module(amd-expand-divisions))' | FileCheck %s

// A workgroup's number by a parameter, and the remainder: one quotient, a product in f64.
// CHECK-LABEL: gpu.func @shared(
// CHECK-SAME:    %[[D:[^ ]+]]: i32,
// CHECK:         %[[N:.+]] = arith.index_cast %{{.*}} : index to i32
// CHECK-DAG:     %[[ONE:.+]] = arith.constant 1.000000e+00 : f64
// CHECK-DAG:     %[[HALF:.+]] = arith.constant 5.000000e-01 : f64
// CHECK:         %[[F:.+]] = arith.uitofp %[[D]] : i32 to f64
// CHECK:         %[[GUESS:.+]] = llvm.call_intrinsic "llvm.amdgcn.rcp.f64"(%[[F]]) : (f64) -> f64
// CHECK:         %[[LESS:.+]] = arith.negf %[[F]] : f64
// CHECK:         %[[OFF:.+]] = math.fma %[[LESS]], %[[GUESS]], %[[ONE]] : f64
// CHECK:         %[[R:.+]] = math.fma %[[GUESS]], %[[OFF]], %[[GUESS]] : f64
// CHECK:         %[[M:.+]] = arith.uitofp %[[N]] : i32 to f64
// CHECK:         %[[MORE:.+]] = arith.addf %[[M]], %[[HALF]] : f64
// CHECK:         %[[P:.+]] = arith.mulf %[[MORE]], %[[R]] : f64
// CHECK:         %[[U:.+]] = arith.fptoui %[[P]] : f64 to i32
// CHECK:         %[[Q:.+]] = rocdl.readfirstlane %[[U]] : i32
// CHECK:         %[[BACK:.+]] = arith.muli %[[Q]], %[[D]] : i32
// CHECK:         %[[REST:.+]] = arith.subi %[[N]], %[[BACK]] : i32
// CHECK:         llvm.store %[[Q]],
// CHECK:         llvm.store %[[REST]],
// CHECK:         scf.for
// CHECK:           llvm.call_intrinsic "llvm.amdgcn.rcp.f64"
gpu.module @kernels {
  gpu.func @shared(%d: i32, %o: !llvm.ptr<1>) kernel {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %block = gpu.block_id x
    %n = arith.index_cast %block : index to i32
    %q = arith.divui %n, %d : i32
    %r = arith.remui %n, %d : i32
    llvm.store %q, %o : i32, !llvm.ptr<1>
    llvm.store %r, %o : i32, !llvm.ptr<1>
    scf.for %t = %c0 to %d step %c1 : i32 {
      %s = arith.divui %t, %d : i32
      llvm.store %s, %o : i32, !llvm.ptr<1>
    }
    gpu.return
  }

  // Constants, other types, signs, and numbers of a lane or that a loop carries divide as before.
  // CHECK-LABEL: gpu.func @others(
  // CHECK-NOT:     f64
  // CHECK:         gpu.return
  gpu.func @others(%d: i32, %w: i64, %o: !llvm.ptr<1>) kernel {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c10 = arith.constant 10 : i32
    %a = arith.divui %d, %c10 : i32
    llvm.store %a, %o : i32, !llvm.ptr<1>
    %b = arith.divui %w, %w : i64
    llvm.store %b, %o : i64, !llvm.ptr<1>
    %c = arith.divsi %a, %d : i32
    llvm.store %c, %o : i32, !llvm.ptr<1>
    %thread = gpu.thread_id x
    %lane = arith.index_cast %thread : index to i32
    %e = arith.remui %lane, %d : i32
    llvm.store %e, %o : i32, !llvm.ptr<1>
    %f = scf.for %t = %c0 to %c10 step %c1 iter_args(%x = %lane) -> (i32) : i32 {
      %y = arith.divui %x, %d : i32
      scf.yield %y : i32
    }
    llvm.store %f, %o : i32, !llvm.ptr<1>
    gpu.return
  }
}
