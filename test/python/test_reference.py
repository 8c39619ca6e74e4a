"""Every mechanism as a textual program, evaluated, against its closed form."""

import math

import numpy as np
import pytest
from ir_programs import ALL, CAUSAL, SOFTMAX, WEIGHTS, attention, run

from aecompiler.reference import oracles

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
B, HQ, HKV, SQ, SKV, DQK, DV = 2, 4, 2, 7, 11, 8, 5
SCALE = DQK**-0.5
Q, K, V = f"?x{HQ}x?x{DQK}", f"?x{HKV}x?x{DQK}", f"?x{HKV}x?x{DV}"

SCALED = f"""
    %scale = arith.constant {SCALE!r} : f64
    %scaled = arith.mulf %s, %scale : f64
"""

DISTANCE = """
    %distance = arith.subi %j, %i : index
    %steps = arith.index_cast %distance : index to i64
    %float = arith.sitofp %steps : i64 to f64
"""

WINDOW = """
    %zero = arith.constant 0 : index
    %width = arith.constant 3 : index
    %back = arith.subi %i, %j : index
    %past = arith.cmpi sge, %back, %zero : index
    %near = arith.cmpi slt, %back, %width : index
    %keep = arith.andi %past, %near : i1
    yield %keep"""

PREFIX = """
    %prefix = tensor.extract %lengths[%b] : tensor<?xi32>
    %bound = arith.index_castui %prefix : i32 to index
    %past = arith.cmpi sge, %i, %j : index
    %early = arith.cmpi ult, %j, %bound : index
    %keep = arith.ori %past, %early : i1
    yield %keep"""

DOCUMENT = """
    %mine = tensor.extract %q_documents[%b, %i] : tensor<?x?xi32>
    %other = tensor.extract %kv_documents[%b, %j] : tensor<?x?xi32>
    %keep = arith.cmpi eq, %mine, %other : i32
    yield %keep"""

CHUNKED = """
    %size = arith.constant 4 : index
    %mine = arith.floordivsi %i, %size : index
    %other = arith.divui %j, %size : index
    %same = arith.cmpi eq, %mine, %other : index
    %past = arith.cmpi sge, %i, %j : index
    %keep = arith.andi %same, %past : i1
    yield %keep"""

DILATED = """
    %zero = arith.constant 0 : index
    %dilation = arith.constant 3 : index
    %back = arith.subi %i, %j : index
    %rest = arith.remsi %back, %dilation : index
    %hit = arith.cmpi eq, %rest, %zero : index
    %past = arith.cmpi sge, %i, %j : index
    %keep = arith.andi %hit, %past : i1
    yield %keep"""

GLOBAL_LOCAL = """
    %width = arith.constant 2 : index
    %count = arith.constant 1 : index
    %back = arith.subi %i, %j : index
    %away = math.absi %back : index
    %near = arith.cmpi slt, %away, %width : index
    %from = arith.cmpi slt, %i, %count : index
    %to = arith.cmpi slt, %j, %count : index
    %either = arith.ori %from, %to : i1
    %keep = arith.ori %near, %either : i1
    yield %keep"""

BLOCKS = f"""
    %size_q = arith.constant 2 : index
    %size_kv = arith.constant 3 : index
    %row = arith.floordivsi %i, %size_q : index
    %column = arith.floordivsi %j, %size_kv : index
    %keep = tensor.extract %blocks[%b, %h, %row, %column] : tensor<?x{HQ}x?x?xi1>
    yield %keep"""


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def qkv(rng):
    return (
        rng.standard_normal((B, HQ, SQ, DQK)),
        rng.standard_normal((B, HKV, SKV, DQK)),
        rng.standard_normal((B, HKV, SKV, DV)),
    )


ROWS, COLUMNS = np.arange(SQ)[:, None], np.arange(SKV)[None, :]
CAUSAL_MASK = oracles.causal_mask(ROWS, COLUMNS)


def program(score="yield %scaled", mask=ALL, normalize=SOFTMAX, captures="", **options):
    return attention(SCALED + score, mask, normalize, captures, q=Q, k=K, v=V, **options)


def check(results, *expected):
    assert results.out_of_bounds == 0
    for result, want in zip(results, expected, strict=True):
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, want, **TOLERANCE)


# ---- softmax and its scores ----


def test_softmax_causal_grouped_heads(qkv):
    check(run(program(mask=CAUSAL), *qkv), *oracles.softmax(*qkv, SCALE, CAUSAL_MASK))


def test_softmax_unmasked(qkv):
    check(run(program(), *qkv), *oracles.softmax(*qkv, SCALE))


def test_softmax_in_blocks_of_rows(qkv, monkeypatch):
    from aecompiler.reference import attention as module

    for elements in (1, 2 * SKV, 5 * SKV, SQ * SKV, 3 * SQ * SKV):
        monkeypatch.setattr(module, "BLOCK_ELEMENTS", elements)
        check(run(program(mask=CAUSAL), *qkv), *oracles.softmax(*qkv, SCALE, CAUSAL_MASK))


@pytest.mark.parametrize("element", ["f16", "bf16", "f32"])
def test_narrow_operands_are_widened_and_the_rest_is_exact(qkv, element):
    import ml_dtypes

    dtype = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}[element]
    narrow = [x.astype(dtype) for x in qkv]
    text = attention("yield %s", CAUSAL, q=Q, k=K, v=V, element=element)
    wide = [x.astype(np.float64) for x in narrow]
    check(run(text, *narrow), *oracles.softmax(*wide, 1.0, CAUSAL_MASK))


def test_mla_absorbed_reads_values_from_the_latent(rng):
    q, latent = rng.standard_normal((B, 6, 1, 12)), rng.standard_normal((B, 1, 9, 12))
    lengths = np.array([4, 9])
    mask = """
    %length = tensor.extract %lengths[%b] : tensor<?xi32>
    %bound = arith.index_cast %length : i32 to index
    %keep = arith.cmpi slt, %j, %bound : index
    yield %keep"""
    before = """
    %zero = arith.constant 0 : index
    %two = arith.constant 2 : index
    %batch = tensor.dim %k, %zero : tensor<?x1x?x12xf64>
    %keys = tensor.dim %k, %two : tensor<?x1x?x12xf64>
    %v = tensor.extract_slice %k[0, 0, 0, 0] [%batch, 1, %keys, 8] [1, 1, 1, 1]
        : tensor<?x1x?x12xf64> to tensor<?x1x?x8xf64>"""
    text = attention(
        "yield %s",
        mask,
        WEIGHTS,
        "%lengths: tensor<?xi32>",
        before=before,
        parameters="qk",
        q="?x6x?x12",
        k="?x1x?x12",
        v="?x1x?x8",
    )
    check(run(text, q, latent, lengths), oracles.mla(q, latent, 8, 1.0, lengths))


def test_alibi(qkv):
    slopes = 2.0 ** (-8 * np.arange(1, HQ + 1) / HQ)
    score = f"""{DISTANCE}
    %slope = tensor.extract %slopes[%h] : tensor<{HQ}xf64>
    %bias = arith.mulf %slope, %float : f64
    %biased = arith.addf %scaled, %bias : f64
    yield %biased"""
    results = run(program(score, CAUSAL, WEIGHTS, f"%slopes: tensor<{HQ}xf64>"), *qkv, slopes)
    check(results, oracles.alibi(*qkv, SCALE, slopes, CAUSAL_MASK))


def test_softcap(qkv):
    score = """
    %cap = arith.constant 3.0 : f64
    %inner = arith.divf %scaled, %cap : f64
    %tanh = math.tanh %inner : f64
    %capped = arith.mulf %cap, %tanh : f64
    yield %capped"""
    mask = oracles.window_mask(ROWS, COLUMNS, 3)
    check(run(program(score, WINDOW, WEIGHTS), *qkv), oracles.softcap(*qkv, SCALE, 3.0, mask))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_t5_relative_bias_by_bucket(rng, bidirectional):
    q, k, v = (rng.standard_normal((1, 2, 40, 4)) for _ in range(3))
    table = rng.standard_normal((2, 32))
    i, j = np.arange(40)[:, None], np.arange(40)[None, :]
    bucket = oracles.t5_bucket(j - i, 32, 20, bidirectional)
    assert len(np.unique(bucket)) > 20
    buckets, exact = (16, 8) if bidirectional else (32, 16)
    distance = {
        True: """
    %distance = math.absi %ahead : i64
    %later = arith.cmpi sgt, %ahead, %zero : i64
    %side = arith.constant 16 : i64
    %offset = arith.select %later, %side, %zero : i64""",
        False: """
    %back = arith.subi %zero, %ahead : i64
    %distance = arith.maxsi %back, %zero : i64
    %offset = arith.constant 0 : i64""",
    }[bidirectional]
    score = f"""
    %zero = arith.constant 0 : i64
    %one = arith.constant 1 : i64
    %difference = arith.subi %j, %i : index
    %ahead = arith.index_cast %difference : index to i64
    {distance}
    %exact = arith.constant {exact} : i64
    %last = arith.constant {buckets - 1} : i64
    %near = arith.cmpi slt, %distance, %exact : i64
    %some = arith.maxsi %distance, %one : i64
    %some_float = arith.sitofp %some : i64 to f64
    %exact_float = arith.constant {exact}.0 : f64
    %ratio = arith.divf %some_float, %exact_float : f64
    %log = math.log %ratio : f64
    %range = arith.constant {math.log(20 / exact)!r} : f64
    %count = arith.constant {buckets - exact}.0 : f64
    %part = arith.divf %log, %range : f64
    %step = arith.mulf %part, %count : f64
    %base = arith.addf %exact_float, %step : f64
    %far_float = math.floor %base : f64
    %far_whole = arith.fptosi %far_float : f64 to i64
    %far = arith.minsi %far_whole, %last : i64
    %within = arith.select %near, %distance, %far : i64
    %bucket = arith.addi %offset, %within : i64
    %index = arith.index_cast %bucket : i64 to index
    %bias = tensor.extract %table[%h, %index] : tensor<2x32xf64>
    %biased = arith.addf %s, %bias : f64
    yield %biased"""
    shape = "?x2x?x4"
    text = attention(score, ALL, WEIGHTS, "%table: tensor<2x32xf64>", q=shape, k=shape, v=shape)
    check(run(text, q, k, v, table), oracles.relative_bias(q, k, v, table, bucket))


def test_additive_bias_tensor(qkv, rng):
    bias = rng.standard_normal((1, HQ, SQ, SKV))
    bias[0, :, :, 3] = -np.inf
    score = f"""
    %zero = arith.constant 0 : index
    %bias = tensor.extract %biases[%zero, %h, %i, %j] : tensor<1x{HQ}x?x?xf64>
    %biased = arith.addf %scaled, %bias : f64
    yield %biased"""
    text = program(score, ALL, WEIGHTS, f"%biases: tensor<1x{HQ}x?x?xf64>")
    check(run(text, *qkv, bias), oracles.additive_bias(*qkv, SCALE, bias))


# ---- masks ----


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        pytest.param(WINDOW, oracles.window_mask(ROWS, COLUMNS, 3), id="window"),
        pytest.param(CHUNKED, oracles.chunked_mask(ROWS, COLUMNS, 4), id="chunked"),
        pytest.param(DILATED, oracles.dilated_mask(ROWS, COLUMNS, 3), id="dilated"),
        pytest.param(GLOBAL_LOCAL, oracles.global_local_mask(ROWS, COLUMNS, 2, 1), id="global-local"),
    ],
)
def test_mask_of_positions(qkv, text, mask):
    check(run(program(mask=text), *qkv), *oracles.softmax(*qkv, SCALE, mask))


def test_mask_prefix_lm(qkv):
    lengths = np.array([2, 9], np.int32)
    mask = oracles.prefix_mask(ROWS, COLUMNS, lengths)
    check(
        run(program(mask=PREFIX, captures="%lengths: tensor<?xi32>"), *qkv, lengths),
        *oracles.softmax(*qkv, SCALE, mask),
    )


def test_mask_document(qkv, rng):
    mine = np.sort(rng.integers(0, 3, (B, SQ)).astype(np.int32))
    other = np.sort(rng.integers(0, 3, (B, SKV)).astype(np.int32))
    captures = "%q_documents: tensor<?x?xi32>, %kv_documents: tensor<?x?xi32>"
    check(
        run(program(mask=DOCUMENT, captures=captures), *qkv, mine, other),
        *oracles.softmax(*qkv, SCALE, oracles.document_mask(mine, other)),
    )


def test_mask_block_sparse_at_run_time(qkv, rng):
    blocks = rng.random((B, HQ, 4, 4)) < 0.5
    check(
        run(program(mask=BLOCKS, captures=f"%blocks: tensor<?x{HQ}x?x?xi1>"), *qkv, blocks),
        *oracles.softmax(*qkv, SCALE, oracles.block_mask(blocks, ROWS, COLUMNS, 2, 3)),
    )


# ---- normalisers ----


def test_softmax_with_sink(qkv, rng):
    sinks = rng.standard_normal(HQ)
    normalize = f"""
    %sink = tensor.extract %sinks[%h] : tensor<{HQ}xf64>
    %top = "attn.row_reduce"(%s) {{kind = "max"}} : (f64) -> f64
    %m = arith.maximumf %top, %sink : f64
    %d = arith.subf %s, %m : f64
    %e = math.exp %d : f64
    %l = "attn.row_reduce"(%e) {{kind = "sum"}} : (f64) -> f64
    %sd = arith.subf %sink, %m : f64
    %se = math.exp %sd : f64
    %total = arith.addf %l, %se : f64
    %p = arith.divf %e, %total : f64
    %log = math.log %total : f64
    %lse = arith.addf %m, %log : f64
    yield %p, %lse"""
    p, lse = oracles.softmax_weights(
        oracles.masked(oracles.scores(*qkv[:2]) * SCALE, CAUSAL_MASK), sinks[:, None, None]
    )
    results = run(program("yield %scaled", CAUSAL, normalize, f"%sinks: tensor<{HQ}xf64>"), *qkv, sinks)
    check(results, oracles.attend(p, qkv[2]), lse)


def test_softmax_off_by_one(qkv):
    normalize = """
    %zero = arith.constant 0.0 : f64
    %top = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64
    %m = arith.maximumf %top, %zero : f64
    %d = arith.subf %s, %m : f64
    %e = math.exp %d : f64
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f64) -> f64
    %nm = arith.negf %m : f64
    %one = math.exp %nm : f64
    %total = arith.addf %l, %one : f64
    %p = arith.divf %e, %total : f64
    yield %p"""
    e = np.where(CAUSAL_MASK, np.exp(oracles.scores(*qkv[:2]) * SCALE), 0.0)
    p = e / (1 + e.sum(axis=-1, keepdims=True))
    check(run(program(mask=CAUSAL, normalize=normalize), *qkv), oracles.attend(p, qkv[2]))


def test_sigmoid(qkv):
    score = f"""
    %bias = arith.constant {-math.log(SKV)!r} : f64
    %biased = arith.addf %scaled, %bias : f64
    yield %biased"""
    normalize = """
    %half = arith.constant 0.5 : f64
    %one = arith.constant 1.0 : f64
    %x = arith.mulf %s, %half : f64
    %t = math.tanh %x : f64
    %u = arith.addf %t, %one : f64
    %p = arith.mulf %u, %half : f64
    yield %p"""
    expected = oracles.sigmoid(*qkv, SCALE, -math.log(SKV), CAUSAL_MASK)
    check(run(program(score, CAUSAL, normalize), *qkv), expected)


@pytest.mark.parametrize(("power", "result"), [(1, "%r"), (2, "%p")])
def test_relu(qkv, power, result):
    normalize = f"""
    %zero = arith.constant 0.0 : f64
    %r = arith.maximumf %s, %zero : f64
    %p = arith.mulf %r, %r : f64
    yield {result}"""
    check(run(program(normalize=normalize), *qkv), oracles.relu(*qkv, SCALE, power))


def test_softpick(qkv):
    # Written with the row maximum, which the closed form has no need of.
    normalize = """
    %zero = arith.constant 0.0 : f64
    %top = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64
    %m = arith.maximumf %top, %zero : f64
    %d = arith.subf %s, %m : f64
    %e = math.exp %d : f64
    %nm = arith.negf %m : f64
    %one = math.exp %nm : f64
    %x = arith.subf %e, %one : f64
    %a = math.absf %x : f64
    %l = "attn.row_reduce"(%a) {kind = "sum"} : (f64) -> f64
    %pos = arith.maximumf %x, %zero : f64
    %p = arith.divf %pos, %l : f64
    yield %p"""
    expected = oracles.softpick(*qkv, SCALE, CAUSAL_MASK)
    check(run(program(mask=CAUSAL, normalize=normalize), *qkv), expected)


def test_retention_parallel(qkv):
    gamma = 1 - 2.0 ** (-5 - np.arange(HQ))
    score = f"""{DISTANCE}
    %back = arith.negf %float : f64
    %gamma = tensor.extract %gammas[%h] : tensor<{HQ}xf64>
    %decay = math.powf %gamma, %back : f64
    %x = arith.mulf %scaled, %decay : f64
    yield %x"""
    normalize = """
    %one = arith.constant 1.0 : f64
    %a = math.absf %s : f64
    %sum = "attn.row_reduce"(%a) {kind = "sum"} : (f64) -> f64
    %norm = arith.maximumf %sum, %one : f64
    %p = arith.divf %s, %norm : f64
    yield %p"""
    text = program(score, CAUSAL, normalize, f"%gammas: tensor<{HQ}xf64>")
    check(run(text, *qkv, gamma), oracles.retention(*qkv, SCALE, gamma))


def test_cascade_of_four_reductions(qkv):
    normalize = """
    %one = arith.constant 1.0 : f64
    %eps = arith.constant 1.0e-6 : f64
    %count = "attn.row_reduce"(%one) {kind = "sum"} : (f64) -> f64
    %total = "attn.row_reduce"(%s) {kind = "sum"} : (f64) -> f64
    %mean = arith.divf %total, %count : f64
    %centred = arith.subf %s, %mean : f64
    %square = arith.mulf %centred, %centred : f64
    %squares = "attn.row_reduce"(%square) {kind = "sum"} : (f64) -> f64
    %variance = arith.divf %squares, %count : f64
    %safe = arith.addf %variance, %eps : f64
    %factor = math.rsqrt %safe : f64
    %x = arith.mulf %centred, %factor : f64
    %m = "attn.row_reduce"(%x) {kind = "max"} : (f64) -> f64
    %d = arith.subf %x, %m : f64
    %e = math.exp %d : f64
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f64) -> f64
    %p = arith.divf %e, %l : f64
    yield %p, %count, %mean"""
    s = oracles.scores(*qkv[:2])
    count = np.broadcast_to(CAUSAL_MASK.sum(axis=-1), s.shape[:3])
    results = run(attention("yield %s", CAUSAL, normalize, q=Q, k=K, v=V), *qkv)
    mean = np.where(CAUSAL_MASK, s, 0).sum(axis=-1) / count
    check(results, oracles.standardized_softmax(*qkv, CAUSAL_MASK), count, mean)


def test_reductions_min_and_prod(qkv):
    normalize = """
    %low = "attn.row_reduce"(%s) {kind = "min"} : (f64) -> f64
    %all = "attn.row_reduce"(%s) {kind = "prod"} : (f64) -> f64
    yield %s, %low, %all"""
    s = oracles.scores(*qkv[:2])
    results = run(attention("yield %s", CAUSAL, normalize, q=Q, k=K, v=V), *qkv)
    expected = np.where(CAUSAL_MASK, s, 0.0)
    low = np.where(CAUSAL_MASK, s, np.inf).min(axis=-1)
    check(results, oracles.attend(expected, qkv[2]), low, np.where(CAUSAL_MASK, s, 1.0).prod(axis=-1))


def test_differential_attention_as_two_ops_and_arithmetic(rng):
    q1, q2, k1, k2, v = (rng.standard_normal((B, 3, 6, 4)) for _ in range(5))
    type_ = "tensor<?x3x?x4xf64>"
    region = f"""({{
  ^bb0(%s: f64, %b: index, %h: index, %i: index, %j: index):
    "attn.yield"(%s) : (f64) -> ()
  }}, {{
  ^bb0(%b: index, %h: index, %i: index, %j: index):
    %keep = arith.cmpi sge, %i, %j : index
    "attn.yield"(%keep) : (i1) -> ()
  }}, {{
  ^bb0(%s: f64, %b: index, %h: index, %i: index, %j: index):
    {WEIGHTS.replace("yield %p", '"attn.yield"(%p) : (f64) -> ()')}
  }}) : ({type_}, {type_}, {type_}) -> {type_}"""
    text = f"""
func.func @differential(%q1: {type_}, %q2: {type_}, %k1: {type_}, %k2: {type_}, %v: {type_}, %lambda: f64)
    -> {type_} {{
  %o1 = "attn.attention"(%q1, %k1, %v) {region}
  %o2 = "attn.attention"(%q2, %k2, %v) {region}
  %zero = arith.constant 0 : index
  %two = arith.constant 2 : index
  %batch = tensor.dim %q1, %zero : {type_}
  %length = tensor.dim %q1, %two : {type_}
  %weight = tensor.splat %lambda[%batch, %length] : {type_}
  %scaled = arith.mulf %weight, %o2 : {type_}
  %o = arith.subf %o1, %scaled : {type_}
  return %o : {type_}
}}"""
    mask = np.tri(6, dtype=bool)
    check(
        run(text, q1, q2, k1, k2, v, 0.8),
        oracles.differential((q1, q2), (k1, k2), v, 1.0, 0.8, mask),
    )
