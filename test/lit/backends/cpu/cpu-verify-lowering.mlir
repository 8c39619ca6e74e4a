// RUN: aec-opt %s --cpu-verify-lowering -o %t.after
// RUN: aec-opt %s | diff - %t.after

// LLVM's operations alone, in nested modules as well, are what the pass lets through, unchanged.
module @inner {
  llvm.func @f(%x: f32) -> f32 {
    llvm.return %x : f32
  }
}
