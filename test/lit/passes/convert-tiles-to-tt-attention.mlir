// RUN: aec-opt %s --split-input-file --allow-unregistered-dialect --pass-pipeline='builtin.module(attn-derive-online,attn-tile{block-q=16 block-kv=32 rows-last=false masked-values=check-result},canonicalize,cse,convert-tiles-to-tt,canonicalize,cse)' | FileCheck %s

// Causal attention with a bias by key. Full tiles are read without a mask, partial ones with one, and their scores are
// compared with positions; the weights are rounded to the type of v.
// CHECK-LABEL: func.func @causal
// CHECK-SAME:    %[[Q:[^:]+]]: tensor<?x8x?x64xbf16>, %[[K:[^:]+]]: tensor<?x2x?x64xbf16>, %[[V:[^:]+]]: tensor<?x2x?x64xbf16>, %[[BIAS:[^:]+]]: tensor<?xf16>
// An empty bias is replaced before the launch, so that each place that is read exists.
// CHECK:         %[[SOME:[^ ]+]] = scf.if
// CHECK:         %[[O:[^ ]+]] = "tt_host.launch"({{.*}}%[[Q]], {{.*}}%[[SOME]], {{.*}}) {kernel = @causal_0
// CHECK:         return %[[O]]
// CHECK:       "tt.func"()
// CHECK-DAG:     %[[LOWEST:[^ ]+]] = arith.constant 0xFF800000 : f32
// The rows of q are read once, with a mask.
// CHECK:         %[[QT:[^ ]+]] = "tt.load"({{.*}} -> tensor<16x64xbf16>
// A row's maximum and sum, and the result, go through the loop; its bounds have 32 bits.
// CHECK:         %[[FULL:[^ ]+]]:3 = scf.for %{{.+}} = %{{.+}} to %[[BOUND:[^ ]+]] step %{{.+}} iter_args({{.*}}) -> (tensor<16xf32>, tensor<16xf32>, tensor<16x64xf32>)  : i32 {
// CHECK:           %[[KT:[^ ]+]] = "tt.load"(%{{[^ ,]+}}) {{.*}} -> tensor<32x64xbf16>
// CHECK:           %[[KTT:[^ ]+]] = "tt.trans"(%[[KT]])
// CHECK:           %[[S:[^ ]+]] = "tt.dot"(%[[QT]], %[[KTT]], %{{[^ ]+}}) {{.*}} -> tensor<16x32xf32>
// The bias is read once for each key, and not where the score is.
// CHECK:           "tt.load"(%{{[^ ,]+}}) {{.*}} : (tensor<32x!tt.ptr<f16>>) -> tensor<32xf16>
// CHECK-NOT:       arith.select {{.*}}%[[LOWEST]]
// CHECK:           "tt.reduce"
// CHECK:             arith.maximumf
// CHECK:           %[[P:[^ ]+]] = math.exp %{{.+}} : tensor<16x32xf32>
// CHECK:           "tt.reduce"(%[[P]])
// CHECK:           %[[VT:[^ ]+]] = "tt.load"(%{{[^ ,]+}}) {{.*}} -> tensor<32x64xbf16>
// CHECK:           %[[PN:[^ ]+]] = arith.truncf %[[P]] : tensor<16x32xf32> to tensor<16x32xbf16>
// CHECK:           %[[ACC:[^ ]+]] = "tt.dot"(%[[PN]], %[[VT]], %{{[^ ]+}})
// CHECK:           scf.yield %{{[^ ]+}}, %{{[^ ]+}}, %[[ACC]]
// CHECK:         scf.for {{.*}} iter_args(%{{.+}} = %[[FULL]]#0, %{{.+}} = %[[FULL]]#1, %{{.+}} = %[[FULL]]#2)
// CHECK:           "tt.load"(%{{[^ ,]+}}, %{{[^ ,]+}}, %{{[^ ,]+}}) {{.*}} -> tensor<32x64xbf16>
// CHECK:           "tt.dot"
// CHECK:           %[[SEEN:[^ ]+]] = arith.cmpi sle, %{{.+}} : tensor<16x32xi32>
// CHECK:           %[[NONE:[^ ]+]] = "tt.splat"(%[[LOWEST]]) : (f32) -> tensor<16x32xf32>
// CHECK:           arith.select %{{[^ ]+}}, %{{[^ ]+}}, %[[NONE]]
// CHECK:           "tt.load"(%{{[^ ,]+}}, %{{[^ ,]+}}, %{{[^ ,]+}}) {{.*}} -> tensor<32x64xbf16>
// CHECK:           "tt.dot"
// Where the result is not finite, the keys are visited a second time, one by one, and those without weight left out.
// CHECK:         %[[FINITE:[^ ]+]] = arith.cmpf oeq
// CHECK:         %[[LAST:[^ :]+]]:3 = scf.if %[[FINITE]] -> (tensor<16xf32>, tensor<16xf32>, tensor<16x64xf32>) {
// CHECK-NEXT:      scf.yield
// CHECK-NEXT:    } else {
// CHECK:           scf.for
// CHECK:             scf.for {{.*}} : i32 {
// CHECK:               "tt.reduce"
// CHECK:             }
// CHECK:         }
// CHECK:         %[[R:[^ ]+]] = arith.truncf %{{.+}} : tensor<16x64xf32> to tensor<16x64xbf16>
// CHECK:         "tt.store"(%{{[^ ]+}}, %[[R]], %{{[^ ]+}})
// CHECK:       sym_name = "causal_0"
func.func @causal(%q: tensor<?x8x?x64xbf16>, %k: tensor<?x2x?x64xbf16>, %v: tensor<?x2x?x64xbf16>, %bias: tensor<?xf16>) -> tensor<?x8x?x64xbf16> {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %y = tensor.extract %bias[%j] : tensor<?xf16>
    %z = arith.extf %y : f16 to f32
    %r = arith.addf %s, %z : f32
    "attn.yield"(%r) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %m = arith.cmpi sle, %j, %i : index
    "attn.yield"(%m) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %m = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %d = arith.subf %s, %m : f32
    %e = math.exp %d : f32
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f32) -> f32
    %p = arith.divf %e, %l : f32
    "attn.yield"(%p) : (f32) -> ()
  }) : (tensor<?x8x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>) -> tensor<?x8x?x64xbf16>
  return %o : tensor<?x8x?x64xbf16>
}
