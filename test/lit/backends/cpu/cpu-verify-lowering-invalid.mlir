// RUN: aec-opt %s --cpu-verify-lowering --split-input-file --verify-diagnostics

llvm.func @left(%x: f32) -> f32 {
  // expected-error @+1 {{'math.exp' op unsupported: it has no lowering to the CPU}}
  %y = math.exp %x : f32
  llvm.return %y : f32
}

// -----

// expected-error @+1 {{'func.func' op unsupported: it has no lowering to the CPU}}
func.func private @declared()
