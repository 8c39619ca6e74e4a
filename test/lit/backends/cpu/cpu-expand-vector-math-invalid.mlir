// RUN: aec-opt %s --cpu-expand-vector-math --split-input-file --verify-diagnostics

func.func @scalable(%x: vector<[4]xf32>) -> vector<[4]xf32> {
  // expected-error @+1 {{'math.sin' op unsupported: a vector whose size is known to the processor alone}}
  %0 = math.sin %x : vector<[4]xf32>
  return %0 : vector<[4]xf32>
}
