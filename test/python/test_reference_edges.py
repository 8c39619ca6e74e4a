"""The edges that the dialect defines, in the reference: masked rows, infinities, clamped reads, size 0."""

import numpy as np
import pytest
from ir_programs import ALL, CAUSAL, SOFTMAX, WEIGHTS, attention, run

from aecompiler.errors import UnsupportedError
from aecompiler.reference import oracles

INF, NAN = np.inf, np.nan
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
B, H, SQ, SKV, D = 1, 2, 4, 5, 3
SHAPE = f"?x?x?x{D}"
NEVER = "%keep = arith.constant false\n    yield %keep"

SINK = """
    %sink = tensor.extract %sinks[%h] : tensor<?xf64>
    %top = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64
    %m = arith.maximumf %top, %sink : f64
    %d = arith.subf %s, %m : f64
    %e = math.exp %d : f64
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f64) -> f64
    %sd = arith.subf %sink, %m : f64
    %se = math.exp %sd : f64
    %total = arith.addf %l, %se : f64
    %p = arith.divf %e, %total : f64
    %log = math.log %total : f64
    %lse = arith.addf %m, %log : f64
    yield %p, %lse"""

REDUCTIONS = "".join(
    f'\n    %{kind} = "attn.row_reduce"(%s) {{kind = "{kind}"}} : (f64) -> f64'
    for kind in ("max", "min", "sum", "prod")
)
KINDS = f"{REDUCTIONS}\n    yield %s, %max, %min, %sum, %prod"

READ_BIAS = """
    %bias = tensor.extract %biases[{index}] : tensor<{shape}xf64>
    %biased = arith.addf %s, %bias : f64
    yield %biased"""


@pytest.fixture
def qkv():
    rng = np.random.default_rng(3)
    return [rng.standard_normal((B, H, s, D)) for s in (SQ, SKV, SKV)]


def program(score="yield %s", mask=ALL, normalize=SOFTMAX, captures="", **options):
    return attention(score, mask, normalize, captures, q=SHAPE, k=SHAPE, v=SHAPE, **options)


# ---- masked elements and rows ----


def test_rows_without_a_key_give_zero_and_lse_minus_infinity(qkv):
    o, lse = run(program(mask=NEVER), *qkv)
    np.testing.assert_array_equal(o, np.zeros((B, H, SQ, D)))
    np.testing.assert_array_equal(lse, np.full((B, H, SQ), -INF))


def test_rows_without_a_key_among_others(qkv):
    # Key j is seen by queries i > j only: row 0 is empty.
    o, lse = run(program(mask=CAUSAL.replace("sge", "sgt")), *qkv)
    mask = np.tri(SQ, SKV, -1, dtype=bool)
    want_o, want_lse = oracles.softmax(*qkv, 1.0, mask)
    np.testing.assert_allclose(o, want_o, **TOLERANCE)
    np.testing.assert_allclose(lse, want_lse, **TOLERANCE)
    assert (o[:, :, 0] == 0).all()
    assert (lse[:, :, 0] == -INF).all()


def test_reductions_of_an_empty_row_are_their_identities(qkv):
    results = run(program(mask=NEVER, normalize=KINDS), *qkv)
    for result, identity in zip(results, (0.0, -INF, INF, 0.0, 1.0), strict=True):
        np.testing.assert_array_equal(result, np.full_like(result, identity))


def test_extra_that_is_nan_in_an_empty_row_is_zero(qkv):
    normalize = f"{REDUCTIONS}\n    %difference = arith.subf %max, %max : f64\n    yield %s, %difference"
    _, extra = run(program(mask=NEVER, normalize=normalize), *qkv)
    np.testing.assert_array_equal(extra, np.zeros((B, H, SQ)))


def test_extra_that_is_nan_in_another_row_stays(qkv):
    qkv[1][0, 0, 1, 0] = NAN
    normalize = f"{REDUCTIONS}\n    %difference = arith.subf %max, %max : f64\n    yield %s, %difference"
    _, extra = run(program(normalize=normalize), *qkv)
    assert np.isnan(extra[0, 0]).all()
    assert (extra[0, 1] == 0).all()


def test_sink_on_an_empty_row_gives_the_sink(qkv):
    sinks = np.array([0.25, -3.0])
    o, lse = run(program(mask=NEVER, normalize=SINK, captures="%sinks: tensor<?xf64>"), *qkv, sinks)
    np.testing.assert_array_equal(o, np.zeros((B, H, SQ, D)))
    np.testing.assert_allclose(lse, np.broadcast_to(sinks[:, None], (B, H, SQ)), **TOLERANCE)


def test_sink_of_minus_infinity_is_softmax(qkv):
    results = run(program(normalize=SINK, captures="%sinks: tensor<?xf64>"), *qkv, np.full(H, -INF))
    for result, want in zip(results, oracles.softmax(*qkv, 1.0), strict=True):
        np.testing.assert_allclose(result, want, **TOLERANCE)


def test_score_of_minus_infinity_is_masked_for_every_normaliser(qkv):
    bias = np.where(np.arange(SKV) == 2, -INF, 0.0)
    score = READ_BIAS.format(index="%j", shape="?")
    results = run(program(score, normalize=KINDS, captures="%biases: tensor<?xf64>"), *qkv, bias)
    mask = np.isfinite(bias)
    s = oracles.scores(*qkv[:2])
    np.testing.assert_allclose(results[0], oracles.attend(np.where(mask, s, 0.0), qkv[2]), **TOLERANCE)
    np.testing.assert_allclose(results[1], np.where(mask, s, -INF).max(-1), **TOLERANCE)
    np.testing.assert_allclose(results[3], np.where(mask, s, 0.0).sum(-1), **TOLERANCE)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_masked_elements_ignore_what_k_and_v_hold(qkv, bad):
    want = oracles.softmax(*qkv, 1.0, np.tri(SQ, SKV, dtype=bool))
    qkv[1][:, :, SQ:] = bad
    qkv[2][:, :, SQ:] = bad
    for result, expected in zip(run(program(mask=CAUSAL), *qkv), want, strict=True):
        np.testing.assert_allclose(result, expected, **TOLERANCE)


def test_nan_in_v_reaches_the_rows_that_see_it(qkv):
    qkv[2][0, 1, 2, 1] = NAN
    o, _ = run(program(mask=CAUSAL), *qkv)
    expected = np.zeros((B, H, SQ, D), bool)
    expected[0, 1, 2:, 1] = True
    np.testing.assert_array_equal(np.isnan(o), expected)


def test_nan_in_v_reaches_rows_that_give_it_weight_zero(qkv):
    qkv[2][0, 0, 1, 0] = NAN
    normalize = "%zero = arith.constant 0.0 : f64\n    yield %zero"
    (o,) = run(program(mask=CAUSAL, normalize=normalize), *qkv)
    assert np.isnan(o[0, 0, 1:, 0]).all()
    assert (np.nan_to_num(o) == 0).all()


def test_nan_in_k_reaches_the_rows_that_see_it(qkv):
    qkv[1][0, 0, 2] = NAN
    o, lse = run(program(mask=CAUSAL), *qkv)
    assert np.isnan(o[0, 0, 2:]).all()
    assert np.isnan(lse[0, 0, 2:]).all()
    assert np.isfinite(o[0, 0, :2]).all()
    assert np.isfinite(o[0, 1]).all()


def test_score_of_plus_infinity_follows_ieee(qkv):
    score = READ_BIAS.format(index="%j", shape="?")
    bias = np.where(np.arange(SKV) == 2, INF, 0.0)
    o, lse = run(program(score, captures="%biases: tensor<?xf64>"), *qkv, bias)
    assert np.isnan(o).all()
    assert np.isnan(lse).all()


# ---- captures ----


@pytest.mark.parametrize(
    ("length", "misses"), [(SKV, 0), (SKV + 3, 0), (SKV - 2, 2 * B * H * SQ), (1, 4 * B * H * SQ)]
)
def test_capture_is_clamped_and_misses_are_counted(qkv, length, misses):
    bias = np.random.default_rng(5).standard_normal(length)
    results = run(
        program(READ_BIAS.format(index="%j", shape="?"), captures="%biases: tensor<?xf64>"), *qkv, bias
    )
    clamped = bias[np.minimum(np.arange(SKV), length - 1)]
    np.testing.assert_allclose(results[0], oracles.additive_bias(*qkv, 1.0, clamped), **TOLERANCE)
    assert results.out_of_bounds == misses


def test_misses_at_masked_elements_do_not_count(qkv):
    text = program(READ_BIAS.format(index="%j", shape="?"), CAUSAL, captures="%biases: tensor<?xf64>")
    assert run(text, *qkv, np.zeros(SQ)).out_of_bounds == 0
    assert run(text, *qkv, np.zeros(SQ - 1)).out_of_bounds == B * H


def test_negative_index_is_clamped_to_the_first_element(qkv):
    score = "%back = arith.subi %j, %i : index" + READ_BIAS.format(index="%back", shape="?")
    bias = np.random.default_rng(5).standard_normal(SKV)
    results = run(program(score, captures="%biases: tensor<?xf64>"), *qkv, bias)
    distance = np.arange(SKV)[None] - np.arange(SQ)[:, None]
    want = oracles.additive_bias(*qkv, 1.0, bias[np.maximum(distance, 0)])
    np.testing.assert_allclose(results[0], want, **TOLERANCE)
    assert results.out_of_bounds == B * H * (distance < 0).sum()


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_capture_without_elements_reads_as_zero(qkv, shape):
    index, types = (("%j", "?"), ("%i, %j", "?x?"))[len(shape) - 1]
    text = program(READ_BIAS.format(index=index, shape=types), captures=f"%biases: tensor<{types}xf64>")
    results = run(text, *qkv, np.zeros(shape))
    np.testing.assert_allclose(results[0], oracles.softmax(*qkv, 1.0)[0], **TOLERANCE)
    assert results.out_of_bounds == B * H * SQ * SKV


def test_mask_that_misses_counts_where_it_keeps(qkv):
    mask = "%keep = tensor.extract %kept[%j] : tensor<?xi1>\n    yield %keep"
    text = program(mask=mask, captures="%kept: tensor<?xi1>")
    assert run(text, *qkv, np.array([True, True])).out_of_bounds == B * H * SQ * (SKV - 2)
    assert run(text, *qkv, np.array([True, False])).out_of_bounds == 0


def test_captured_scalar_is_rounded_to_its_type(qkv):
    text = program("%y = arith.mulf %s, %x : f32\n    yield %y", captures="%x: f32", element="f32")
    narrow = [x.astype(np.float32) for x in qkv]
    want = oracles.softmax(*(x.astype(np.float64) for x in narrow), float(np.float32(0.1)))
    np.testing.assert_allclose(run(text, *narrow, 0.1)[0], want[0], **TOLERANCE)


def test_division_by_zero_gives_zero_and_remainder_the_dividend(qkv):
    score = """
    %zero = arith.constant 0 : index
    %quotient = arith.divsi %j, %zero : index
    %rest = arith.remsi %j, %zero : index
    %index = arith.addi %quotient, %rest : index""" + READ_BIAS.format(index="%index", shape="?")
    bias = np.arange(SKV, dtype=float)
    results = run(program(score, captures="%biases: tensor<?xf64>"), *qkv, bias)
    np.testing.assert_allclose(results[0], oracles.additive_bias(*qkv, 1.0, bias)[0:], **TOLERANCE)


# ---- sizes ----


@pytest.mark.parametrize(
    ("b", "h", "sq", "skv"),
    [(0, 2, 4, 5), (2, 0, 4, 5), (2, 2, 0, 5), (2, 2, 4, 0), (1, 1, 1, 1), (0, 0, 0, 0)],
)
def test_sizes_zero_and_one(b, h, sq, skv):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((b, h, s, D)) for s in (sq, skv, skv))
    o, lse = run(program(), q, k, v)
    assert o.shape == (b, h, sq, D)
    assert lse.shape == (b, h, sq)
    if skv == 0:
        assert (o == 0).all()
        assert (lse == -INF).all()


@pytest.mark.parametrize("feature", ["qk", "v"])
def test_feature_size_zero(qkv, feature):
    q, k, v = qkv
    shapes = {"qk": ("?x?x?x0", "?x?x?x0", SHAPE), "v": (SHAPE, SHAPE, "?x?x?x0")}[feature]
    text = attention(normalize=WEIGHTS, q=shapes[0], k=shapes[1], v=shapes[2])
    if feature == "qk":
        (o,) = run(text, q[..., :0], k[..., :0], v)
        np.testing.assert_allclose(o, np.broadcast_to(v.mean(2, keepdims=True), o.shape), **TOLERANCE)
    else:
        assert run(text, q, k, v[..., :0])[0].shape == (B, H, SQ, 0)


# ---- what is refused ----


def test_wrong_arguments_are_named(qkv):
    with pytest.raises(ValueError, match="expects 3 arguments, got 2"):
        run(program(), *qkv[:2])
    with pytest.raises(ValueError, match=r"expects argument 1 to have shape \?x\?x\?x3, got \(1, 2, 5, 2\)"):
        run(program(), qkv[0], qkv[1][..., :2], qkv[2])
    with pytest.raises(ValueError, match="expects equal sequence lengths of k and v, got 5 and 4"):
        run(program(), qkv[0], qkv[1], qkv[2][:, :, :4])
    with pytest.raises(ValueError, match="expects equal batch sizes of q, k and v, got 1 and 2 and 2"):
        run(program(), qkv[0], np.concatenate([qkv[1]] * 2), np.concatenate([qkv[2]] * 2))


def test_unknown_op_is_named_with_its_location():
    text = """func.func @f(%x: f64) -> f64 {
  %y = func.call @f(%x) : (f64) -> f64
  return %y : f64
}"""
    with pytest.raises(UnsupportedError, match=r"unsupported: 'func.call' op .* at loc\(\"-\":2:"):
        run(text, 1.0)


def test_type_that_is_not_held_is_refused():
    text = "func.func @f(%x: i128) -> i128 {\n  return %x : i128\n}"
    with pytest.raises(UnsupportedError, match="unsupported: type i128"):
        run(text, 1)


def test_inputs_are_not_written(qkv):
    copies = [x.copy() for x in qkv]
    run(program(mask=CAUSAL), *qkv)
    for x, copy in zip(qkv, copies, strict=True):
        np.testing.assert_array_equal(x, copy)
