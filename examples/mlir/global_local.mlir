// Global and local attention: a window around each query, and a few positions that see and are seen by all.
//
//     keep j where |i - j| < window or j < globals or i < globals
//
// Beltagy, Peters and Cohan, "Longformer", 2020, https://arxiv.org/abs/2004.05150
// Zaheer et al., "Big Bird", 2020, https://arxiv.org/abs/2007.14062
//
// In Python: examples/global_local.py
//
// Run: aec-run examples/mlir/global_local.mlir --dim B=2 --dim S=53 --check

func.func @global_local(
    %q: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "q"},
    %k: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.dims = ["B", "", "S", ""], attn.name = "v"}
) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = "attn.attention"(%q, %k, %v) ({
  ^score(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %scale = arith.constant 0.25 : f32
    %scaled = arith.mulf %s, %scale : f32
    "attn.yield"(%scaled) : (f32) -> ()
  }, {
  ^mask(%b: index, %h: index, %i: index, %j: index):
    %distance = arith.subi %i, %j : index
    %distance_size = math.absi %distance : index
    %window = arith.constant 8 : index
    %near = arith.cmpi slt, %distance_size, %window : index
    %globals = arith.constant 4 : index
    %global_key = arith.cmpi slt, %j, %globals : index
    %near_or_global = arith.ori %near, %global_key : i1
    %global_query = arith.cmpi slt, %i, %globals : index
    %keep = arith.ori %near_or_global, %global_query : i1
    "attn.yield"(%keep) : (i1) -> ()
  }, {
  ^normalize(%s: f32, %b: index, %h: index, %i: index, %j: index):
    %max = "attn.row_reduce"(%s) {kind = "max"} : (f32) -> f32
    %shifted = arith.subf %s, %max : f32
    %exp = math.exp %shifted : f32
    %total = "attn.row_reduce"(%exp) {kind = "sum"} : (f32) -> f32
    %weight = arith.divf %exp, %total : f32
    "attn.yield"(%weight) : (f32) -> ()
  }) : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
