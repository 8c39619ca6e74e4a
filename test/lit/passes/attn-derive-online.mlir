// RUN: aec-opt %s --split-input-file --attn-derive-online | FileCheck %s
// RUN: aec-opt %s --split-input-file --attn-derive-online --attn-verify-online -o /dev/null
// RUN: aec-opt %s --split-input-file --attn-derive-online=lazy-rescale=8 --attn-verify-online | FileCheck %s --check-prefix=LAZY
// RUN: aec-opt %s --split-input-file --explain attn-derive-online | FileCheck %s --check-prefix=WHY

// Softmax with its log-sum-exp: the maximum and the sum, with the maximum as reference. The factor of a merge or a
// tile is exp(old - new), where a new maximum of -inf counts as 0 and an old one does not.
// CHECK-LABEL: func.func @softmax
// CHECK:         "attn.online_attention"
// CHECK:           %[[MINUS:[^ ]+]] = arith.constant 0xFF800000 : f32
// CHECK-NEXT:      %[[ZERO:[^ ]+]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:      "attn.yield"(%[[MINUS]], %[[ZERO]]) : (f32, f32) -> ()
// CHECK:         ^{{.*}}(%[[M:[^ ]+]]: f32, %[[L:[^ ]+]]: f32, %[[S:[^ ]+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[TILE:[^ ]+]] = "attn.row_reduce"(%[[S]]) {kind = "max"} : (f32) -> f32
// CHECK-NEXT:      %[[NEW:[^ ]+]] = arith.maximumf %[[M]], %[[TILE]] : f32
// CHECK:           %[[NONE:[^ ]+]] = arith.cmpf oeq, %[[NEW]], %{{.+}} : f32
// CHECK:           %[[REF:[^ ]+]] = arith.select %[[NONE]], %{{.+}}, %[[NEW]] : f32
// CHECK-NEXT:      %[[OLD:[^ ]+]] = arith.subf %[[M]], %[[REF]] : f32
// CHECK-NEXT:      %[[RESCALE:[^ ]+]] = math.exp %[[OLD]] : f32
// CHECK-NEXT:      %[[KEPT:[^ ]+]] = arith.mulf %[[RESCALE]], %[[L]] : f32
// CHECK-NEXT:      %[[D:[^ ]+]] = arith.subf %[[S]], %[[REF]] : f32
// CHECK-NEXT:      %[[W:[^ ]+]] = math.exp %[[D]] : f32
// CHECK-NEXT:      %[[SUM:[^ ]+]] = "attn.row_reduce"(%[[W]]) {kind = "sum"} : (f32) -> f32
// CHECK-NEXT:      %[[TOTAL:[^ ]+]] = arith.addf %[[KEPT]], %[[SUM]] : f32
// CHECK-NEXT:      "attn.yield"(%[[NEW]], %[[TOTAL]], %[[RESCALE]], %[[W]])
// CHECK:         ^{{.*}}(%[[MA:[^ ]+]]: f32, %[[LA:[^ ]+]]: f32, %[[MB:[^ ]+]]: f32, %[[LB:[^ ]+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[BOTH:[^ ]+]] = arith.maximumf %[[MA]], %[[MB]] : f32
// CHECK:           %[[RA:[^ ]+]] = math.exp
// CHECK-NEXT:      %[[PA:[^ ]+]] = arith.mulf %[[RA]], %[[LA]] : f32
// CHECK:           %[[RB:[^ ]+]] = math.exp
// CHECK-NEXT:      %[[PB:[^ ]+]] = arith.mulf %[[RB]], %[[LB]] : f32
// CHECK-NEXT:      %[[PARTS:[^ ]+]] = arith.addf %[[PA]], %[[PB]] : f32
// CHECK-NEXT:      "attn.yield"(%[[BOTH]], %[[PARTS]], %[[RA]], %[[RB]])
// CHECK:         ^{{.*}}(%[[FM:[^ ]+]]: f32, %[[FL:[^ ]+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[EMPTY:[^ ]+]] = arith.cmpf oeq, %[[FM]], %{{.+}} : f32
// CHECK:           %[[INVERSE:[^ ]+]] = arith.divf %{{.+}}, %[[FL]] : f32
// CHECK-NEXT:      %[[COEFFICIENT:[^ ]+]] = arith.select %[[EMPTY]], %{{.+}}, %[[INVERSE]] : f32
// CHECK-NEXT:      %[[LOG:[^ ]+]] = math.log %[[FL]] : f32
// CHECK-NEXT:      %[[LSE:[^ ]+]] = arith.addf %[[FM]], %[[LOG]] : f32
// CHECK-NEXT:      "attn.yield"(%[[COEFFICIENT]], %[[LSE]])
// CHECK:         accumulators = 1 : i64, attn.passes = 1 : i64, attn.proof = [

// The reference follows when it lags by more than 8.
// LAZY-LABEL: func.func @softmax
// LAZY:         ^{{.*}}(%[[M:[^ ]+]]: f32, %[[L:[^ ]+]]: f32, %[[S:[^ ]+]]: f32,
// LAZY-NEXT:      %[[TILE:[^ ]+]] = "attn.row_reduce"(%[[S]]) {kind = "max"}
// LAZY-NEXT:      %[[EIGHT:[^ ]+]] = arith.constant 8.000000e+00 : f32
// LAZY-NEXT:      %[[LIMIT:[^ ]+]] = arith.addf %[[M]], %[[EIGHT]] : f32
// LAZY-NEXT:      %[[LAG:[^ ]+]] = arith.cmpf ugt, %[[TILE]], %[[LIMIT]] : f32
// LAZY-NEXT:      %[[MAX:[^ ]+]] = arith.maximumf %[[M]], %[[TILE]] : f32
// LAZY-NEXT:      %[[NEW:[^ ]+]] = arith.select %[[LAG]], %[[MAX]], %[[M]] : f32

// WHY:      attn.attention 0 in @softmax: 1 pass
// WHY-NEXT:   passes: 1, every reduction separates
// WHY-NEXT:   cascade: r0 = max_j s
// WHY-NEXT:   separation: r0 = x0
// WHY-NEXT:   cascade: r1 = sum_j exp(s - r0)
// WHY-NEXT:   separation: exp(s - x0) = exp(s) * exp(-x0)
// WHY-NEXT:   separation: r1 = x1
// WHY-NEXT:   state: x0 = max_j s; x0' = max(x0, max_j s)
// WHY-NEXT:   state: x1 = sum_j exp(s - x0); x1' = exp(x0 - x0') * x1 + sum_j exp(s - x0')
// WHY-NEXT:   reference: -inf, before there is an element, counts as 0 where it is subtracted
// WHY-NEXT:   accumulator: sum_j exp(s - x0) v_j, rescaled by exp(x0 - x0')
// WHY-NEXT:   output: o = select(x0 == -inf, 0, 1 / x1) * acc0
// WHY-NEXT:   output: extra0 = x0 + log(x1)
// WHY-NEXT:   proved: identity: x0 = -inf, x1 = 0 of nothing, and of nothing merged with nothing
// WHY-NEXT:   proved: union: x0 of A and B is max(max_A(s), max_B(s))
// WHY-NEXT:   proved: union: x1 of A and B is {{.*}}sum_A(exp(s)) + {{.*}}sum_B(exp(s))
// WHY-NEXT:   proved: union: acc0 of A and B is {{.*}}sum_{{[AB]}}(exp(s) * v)
// WHY-NEXT:   proved: union: it is that of one tile, of two tiles and of a merge
// WHY-NEXT:   proved: neutral: an empty tile, and a merge with the initial state, change nothing
// WHY-NEXT:   proved: empty row: acc0 is 0, and is multiplied by 0
// WHY-NEXT:   proved: range: exponents are at most 80: x0 - x0', s - x0', a0 - x0', b0 - x0'
func.func @softmax(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>) {
  %o:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %g = math.log %l : f32
    %z = arith.addf %m, %g : f32
    "attn.yield"(%p, %z) : (f32, f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>)
  return %o#0, %o#1 : tensor<1x2x?x32xf32>, tensor<1x2x?xf32>
}

// -----

// A capped score is bounded: no maximum, no rescale, and a sum of 0 tells an empty row.
// CHECK-LABEL: func.func @softcap
// CHECK:         ^{{.*}}(%[[L:[^ ]+]]: f32, %[[S:[^ ]+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NEXT:      %[[W:[^ ]+]] = math.exp %[[S]] : f32
// CHECK-NEXT:      %[[SUM:[^ ]+]] = "attn.row_reduce"(%[[W]]) {kind = "sum"}
// CHECK-NEXT:      %[[TOTAL:[^ ]+]] = arith.addf %[[L]], %[[SUM]]
// CHECK-NEXT:      %[[ONE:[^ ]+]] = arith.constant 1.000000e+00
// CHECK-NEXT:      "attn.yield"(%[[TOTAL]], %[[ONE]], %[[W]])
// WHY-LABEL: in @softcap: 1 pass
// WHY:         bounded: exponent s needs no reference
// WHY:         output: o = select(x0 == 0, 0, 1 / x0) * acc0
func.func @softcap(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %cap = arith.constant 30.0 : f32
    %x = arith.divf %s, %cap : f32
    %t = math.tanh %x : f32
    %y = arith.mulf %t, %cap : f32
    "attn.yield"(%y) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// The range of f16 is small: weights of a capped score could leave it.
// CHECK-LABEL: func.func @softcap_f16
// CHECK:         "attn.row_reduce"(%{{.+}}) {kind = "max"}
func.func @softcap_f16(%q: tensor<1x2x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x32xf16>, %true: i1) -> tensor<1x2x?x32xf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %cap = arith.constant 30.0 : f32
    %x = arith.divf %s, %cap : f32
    %t = math.tanh %x : f32
    %y = arith.mulf %t, %cap : f32
    "attn.yield"(%y) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x32xf16>) -> tensor<1x2x?x32xf16>
  return %o : tensor<1x2x?x32xf16>
}

// -----

// Powers of 2 stay powers of 2.
// CHECK-LABEL: func.func @base2
// CHECK-NOT:     math.exp %
// CHECK:         math.exp2
// CHECK:         math.log2
func.func @base2(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>) {
  %o:2 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp2 %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %g = math.log2 %l : f32
    %z = arith.addf %m, %g : f32
    "attn.yield"(%p, %z) : (f32, f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>)
  return %o#0, %o#1 : tensor<1x2x?x32xf32>, tensor<1x2x?xf32>
}

// -----

// A sink of each head: the coefficient is one power of a difference, never one of the maximum alone.
// CHECK-LABEL: func.func @sink
// CHECK-SAME:    %[[SINKS:[^ ]+]]: tensor<2xf32>
// WHY-LABEL: in @sink: 1 pass
// WHY:         separation: r1 = exp(x0 - max(x0, extract(c0, h))) * x1
// WHY:         output: o = select(x0 == -inf, 0, exp(x0 - max(x0, extract(c0, h))) / (exp(x0 - max(x0, extract(c0, h))) * x1 + exp(extract(c0, h) - max(x0, extract(c0, h))))) * acc0
func.func @sink(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1, %sinks: tensor<2xf32>) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %sink = tensor.extract %sinks[%h] : tensor<2xf32>
    %r = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %m = arith.maximumf %r, %sink : f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %x = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %f = arith.subf %sink, %m : f32
    %g = math.exp %f : f32
    %l = arith.addf %x, %g : f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Softpick: |e^(x-m) - e^-m| = |e^x - 1| e^-m. The references are those of the powers in it, x and 0.
// CHECK-LABEL: func.func @softpick
// WHY-LABEL: in @softpick: 1 pass
// WHY:         separation: |exp(s - max(x0, 0)) - exp(-max(x0, 0))| = |exp(s) - 1| * exp(-max(0, x0))
// WHY:         accumulator: sum_j max(exp(s - max(x0, 0)) - exp(-max(x0, 0)), 0) v_j, rescaled by exp(max(x0, 0) - max(x0', 0))
func.func @softpick(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0.0 : f32
    %r = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %m = arith.maximumf %r, %zero : f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %n = arith.negf %m : f32
    %f = math.exp %n : f32
    %x = arith.subf %e, %f : f32
    %a = math.absf %x : f32
    %l = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %y = arith.maximumf %x, %zero : f32
    %p = arith.divf %y, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Retention: a sum without a power, and a coefficient that needs no care for empty rows.
// CHECK-LABEL: func.func @retention
// CHECK:         ^{{.*}}(%{{[^ ]+}}: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK-NOT:       arith.select
// CHECK:         accumulators
// WHY-LABEL: in @retention: 1 pass
// WHY:         output: o = (1 / max(x0, 1)) * acc0
func.func @retention(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %a = math.absf %s : f32
    %x = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %m = arith.maximumf %x, %one : f32
    %p = arith.divf %s, %m : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// ReLU has no reduction, and so no state.
// CHECK-LABEL: func.func @relu
// CHECK:           "attn.yield"() : () -> ()
// CHECK:         ^{{.*}}(%[[S:[^ ]+]]: f32,
// CHECK:           %[[P:[^ ]+]] = arith.maximumf %[[S]], %{{.+}} : f32
// CHECK:           "attn.yield"(%{{.+}}, %[[P]]) : (f32, f32) -> ()
func.func @relu(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %zero = arith.constant 0.0 : f32
    %p = arith.maximumf %s, %zero : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Logarithms of weights: s times v and 1 times v are two accumulators.
// CHECK-LABEL: func.func @log_softmax
// CHECK:         accumulators = 2 : i64
// WHY-LABEL: in @log_softmax: 1 pass
// WHY:         output: o = acc0 + select(x0 == -inf, 0, -(x0 + log(x1))) * acc1
func.func @log_softmax(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %g = math.log %l : f32
    %z = arith.addf %m, %g : f32
    %w = arith.subf %s, %z : f32
    "attn.yield"(%w) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Softmax does not see that the mean was subtracted: it cancels, and neither sum nor count is a state.
// CHECK-LABEL: func.func @centred
// CHECK:           "attn.yield"(%{{.+}}, %{{.+}}) : (f32, f32) -> ()
// WHY-LABEL: in @centred: 1 pass
// WHY:         separation: r2 = x0 - {{.*}}
// WHY:         output: o = select(x0 == -inf, 0, 1 / x1) * acc0
func.func @centred(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %x = arith.subf %s, %mean : f32
    %m = "attn.row_reduce"(%x) {kind = "max"} : (f32) -> f32
    %d = arith.subf %x, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Standardised scores: exp(s / std) does not separate. The first pass finds mean, deviation and maximum; in the second
// no exponent is above 0, since the maximum is known. The squares are summed about an anchor, which follows the mean.
// CHECK-LABEL: func.func @standardized
// CHECK:         %[[STATS:[^ ]+]]:3 = "attn.online_reduce"(%{{.+}}, %{{.+}})
// CHECK:         ^{{.*}}(%[[N:[^ ]+]]: f32, %{{.+}}: f32, %[[A:[^ ]+]]: f32, %[[U1:[^ ]+]]: f32, %[[U2:[^ ]+]]: f32, %{{.+}}: f32, %[[S:[^ ]+]]: f32, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index, %{{.+}}: index):
// CHECK:           %[[N1:[^ ]+]] = arith.addf %[[N]], %{{.+}} : f32
// CHECK-NEXT:      %[[SUM:[^ ]+]] = "attn.row_reduce"(%[[S]]) {kind = "sum"}
// CHECK:           %[[SOME:[^ ]+]] = arith.cmpf ogt, %[[N1]], %{{.+}} : f32
// CHECK-NEXT:      %[[NA:[^ ]+]] = arith.mulf %[[N]], %[[A]] : f32
// CHECK-NEXT:      %[[TOTAL:[^ ]+]] = arith.addf %[[NA]], %[[SUM]] : f32
// CHECK-NEXT:      %[[MEAN:[^ ]+]] = arith.divf %[[TOTAL]], %[[N1]] : f32
// CHECK-NEXT:      %[[A1:[^ ]+]] = arith.select %[[SOME]], %[[MEAN]], %[[A]] : f32
// CHECK-NEXT:      %[[D:[^ ]+]] = arith.subf %[[A]], %[[A1]] : f32
// CHECK-NEXT:      %[[DN:[^ ]+]] = arith.mulf %[[D]], %[[N]] : f32
// CHECK-NEXT:      %[[MOVED1:[^ ]+]] = arith.addf %[[U1]], %[[DN]] : f32
// CHECK-NEXT:      %[[X:[^ ]+]] = arith.subf %[[S]], %[[A1]] : f32
// CHECK-NEXT:      %[[NEW1:[^ ]+]] = "attn.row_reduce"(%[[X]]) {kind = "sum"}
// CHECK-NEXT:      arith.addf %[[MOVED1]], %[[NEW1]] : f32
// CHECK:           %[[DDN:[^ ]+]] = arith.mulf %{{.+}}, %[[N]] : f32
// CHECK-NEXT:      %[[MOVED2:[^ ]+]] = arith.addf %{{.+}}, %[[DDN]] : f32
// CHECK-NEXT:      %[[XX:[^ ]+]] = arith.mulf %[[X]], %[[X]] : f32
// CHECK-NEXT:      %[[NEW2:[^ ]+]] = "attn.row_reduce"(%[[XX]]) {kind = "sum"}
// CHECK-NEXT:      arith.addf %[[MOVED2]], %[[NEW2]] : f32
// CHECK:         attn.proof = [
// CHECK-NOT:     attn.passes
// CHECK:         "attn.online_attention"
// CHECK:         ^{{.*}}(%{{.+}}: f32, %{{.+}}: f32, %[[S:[^ ]+]]: f32, %[[B:[^ ]+]]: index, %[[H:[^ ]+]]: index, %[[I:[^ ]+]]: index, %{{[^ ]+}}: index):
// CHECK:           %[[MEAN:[^ ]+]] = tensor.extract %[[STATS]]#0[%[[B]], %[[H]], %[[I]]] : tensor<1x2x?xf32>
// CHECK-NEXT:      arith.subf %[[S]], %[[MEAN]] : f32
// CHECK:         attn.passes = 2 : i64
// WHY-LABEL: in @standardized: 2 passes
// WHY:         passes: 1 of 2
// WHY:         separation: r4 is left to the next pass, s * (1 / sqrt({{.*}})) needs a sum of a part of s and a part of r
// WHY:         deviations: (s - r1 / r0)^2 = (s - a)^2 + 2 * (a - r1 / r0) * (s - a) + (a - r1 / r0)^2, for any a
// WHY-NEXT:    separation: r2 = max(x4 - x3^2 / x0, 0)
// WHY:         anchor: x2 follows the mean of s; x2' = select(x0' > 0, (x0 * x2 + sum_j s) / x0', x2); results do not depend on x2
// WHY-NEXT:    anchor: sums about x2 move to x2' by the binomial theorem, x - x2' = (x - x2) + (x2 - x2')
// WHY-NEXT:    state: x3 = sum_j (s - x2); x3' = x3 + (x2 - x2') * x0 + sum_j (s - x2')
// WHY-NEXT:    state: x4 = sum_j (s - x2)^2; x4' = x4 + 2 * (x2 - x2') * x3 + (x2 - x2')^2 * x0 + sum_j (s - x2')^2
// WHY:         output: statistic 0 = select(x0 == 0, 0, x1 / x0)
// WHY-NEXT:    output: statistic 1 = select(x0 == 0, 0, sqrt(max(x4 - x3^2 / x0, 0) / x0 + 1e-05))
// WHY:         proved: {{.*}} whatever x2 is
// WHY:         passes: 2 of 2
// WHY:         statistic: stat0 = r1 / r0, from an earlier pass
// WHY:         bounded: exponent (s - stat0) / stat1 - stat2 needs no reference
func.func @standardized(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %eps = arith.constant 1.0e-05 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %cc = arith.mulf %c, %c : f32
    %q2 = "attn.row_reduce"(%cc) {kind = "sum"} : (f32) -> f32
    %var = arith.divf %q2, %n : f32
    %var1 = arith.addf %var, %eps : f32
    %std = math.sqrt %var1 : f32
    %x = arith.divf %c, %std : f32
    %m = "attn.row_reduce"(%x) {kind = "max"} : (f32) -> f32
    %d = arith.subf %x, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}

// -----

// Entropy and variance as extras. An entropy of nothing would be 0 * inf: an extra that is not what the formula gives
// for an empty row is selected there.
// CHECK-LABEL: func.func @extras
// CHECK:         accumulators = 1 : i64, attn.passes = 1 : i64
// WHY-LABEL: in @extras: 1 pass
// WHY:         separation: r2 = x2 / x1 - x0 - log(x1)
// WHY:         separation: r5 = max(x6 - x5^2 / x3, 0)
func.func @extras(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>) {
  %o:3 = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    %lp = math.log %p : f32
    %plp = arith.mulf %p, %lp : f32
    %neg = "attn.row_reduce"(%plp) {kind = "sum"} : (f32) -> f32
    %entropy = arith.negf %neg : f32
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %cc = arith.mulf %c, %c : f32
    %q2 = "attn.row_reduce"(%cc) {kind = "sum"} : (f32) -> f32
    %var = arith.divf %q2, %n : f32
    "attn.yield"(%p, %entropy, %var) : (f32, f32, f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>)
  return %o#0, %o#1, %o#2 : tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>
}

// -----

// Reductions that no law closes share a pass: two moments of |s - mean| and the largest one's complement.
// WHY-LABEL: in @deviations: 2 passes
func.func @deviations(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %v: tensor<1x2x?x32xf32>, %true: i1) -> tensor<1x2x?x32xf32> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%true) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %one = arith.constant 1.0 : f32
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f32
    %t = "attn.row_reduce"(%s) {kind = "sum"} : (f32) -> f32
    %mean = arith.divf %t, %n : f32
    %c = arith.subf %s, %mean : f32
    %a = math.absf %c : f32
    %h1 = math.tanh %c : f32
    %x = "attn.row_reduce"(%a) {kind = "sum"} : (f32) -> f32
    %y = "attn.row_reduce"(%h1) {kind = "sum"} : (f32) -> f32
    %w0 = arith.divf %a, %x : f32
    %w = arith.addf %w0, %y : f32
    "attn.yield"(%w) : (f32) -> ()
  }) : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x32xf32>) -> tensor<1x2x?x32xf32>
  return %o : tensor<1x2x?x32xf32>
}
