// RUN: aec-run %s --function causal --shape q=2x1x5x4 --check | FileCheck %s
// RUN: aec-run %s --function causal --shape q=1x1x2x4 --input q=arange --input k=zeros --print | FileCheck %s --check-prefix=PRINT
// RUN: not aec-run %s --shape q=1x1x2x4 2>&1 | FileCheck %s --check-prefix=SEVERAL
// RUN: not aec-run %s --function causal 2>&1 | FileCheck %s --check-prefix=SIZE
// RUN: not aec-run %s --function causal --shape q=1x1x2x4 --input x=1 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not aec-run %s --function causal --shape q=1x1x2x4 --check --tolerance 1e-30 | FileCheck %s --check-prefix=FAILED

// The arguments are called as they are written, the results by their attributes; k's sizes follow from q's.
// CHECK: o: f32 [2, 1, 5, 4]
// CHECK: check o: ok: error {{.+}} of the largest value (tolerance 2.0e-05)

// Equal scores give equal weights: the mean of the keys so far, which are 0 1 2 3 and 4 5 6 7.
// PRINT:      o: f32 [1, 1, 2, 4]
// PRINT-NEXT: 0. 1. 2. 3.
// PRINT-NEXT: 2. 3. 4. 5.

// SEVERAL: aec-run: error: expects a program with one public function, got 2 (causal, other): name one with --function
// SIZE:    aec-run: error: argument 'q': the size of dimension 0 is not known; give --shape q=SIZExSIZExSIZExSIZE
// NAME:    aec-run: error: --input: the program has no argument 'x' (arguments: q, k)
// FAILED:  check o: FAILED: error {{.+}} (tolerance 1.0e-30)

func.func @causal(%q: tensor<?x1x?x4xf32>, %k: tensor<?x1x?x4xf32>) -> (tensor<?x1x?x4xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %q) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sle, %j, %i : index
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  return %o : tensor<?x1x?x4xf32>
}

func.func @other(%q: tensor<?xf32>) -> tensor<?xf32> {
  return %q : tensor<?xf32>
}
