// Passes of MLIR and ours, nested anchors, named pipelines; flags in order of appearance.
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --pass-pipeline='builtin.module(cse, func.func(test-mark{text="a b" sizes=1,2}, canonicalize{max-iterations=3}))' | FileCheck %s --check-prefix=MIX
// MIX: func.func @f(%{{.+}}: f32) -> f32 attributes {test.mark = "a b 1 2"}
// MIX-NEXT: return

// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --cse --test-mark='text=x sizes=3' --llvm-request-c-wrappers --canonicalize=max-iterations=2 --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=FLAGS
// FLAGS: Pass Manager with 4 passes:
// FLAGS-NEXT: builtin.module(cse,func.func(test-mark{text=x sizes=3},llvm-request-c-wrappers),canonicalize{max-iterations=2})
// FLAGS: func.func @f{{.+}}llvm.emit_c_interface, test.mark = "x 3"

// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --test-pipeline=text=y --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=NAMED
// RUN: aec-opt %s --load-pass-module=%S/Inputs/bad_passes.py --pass-pipeline='test-pipeline{text=y}' --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=NAMED
// NAMED: builtin.module(func.func(test-mark{text=y},canonicalize),cse)
// NAMED: test.mark = "y"

// A flag with a space in its options is no file, wherever it stands.
// RUN: aec-opt %s --canonicalize='max-iterations=2 top-down=false' --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=SPACE
// RUN: aec-opt --canonicalize='max-iterations=2 top-down=false' %s --dump-pass-pipeline 2>&1 | FileCheck %s --check-prefix=SPACE
// RUN: not aec-opt --canonicalize='max-iterations=2 top-down=false' -o - -- %s --cse 2>&1 | FileCheck %s --check-prefix=FILES
// SPACE: builtin.module(canonicalize{max-iterations=2 top-down=false})
// SPACE-NOT: arith.mulf
// FILES: aec-opt: error: expects one input file, got {{.+}}opt-pipelines.mlir and --cse

func.func @f(%x: f32) -> f32 {
  %c = arith.constant 1.0 : f32
  %0 = arith.mulf %x, %c : f32
  return %0 : f32
}
