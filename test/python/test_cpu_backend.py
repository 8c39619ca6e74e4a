"""Numerics of the CPU against closed forms: every dtype, odd sizes, every edge."""

import re

import ml_dtypes
import numpy as np
import pytest
from cpu_numerics import DECAY, DTYPES, TOLERANCE, assert_close, compiled, program, qkv, random, wide
from ir_programs import CAUSAL, WEIGHTS, attention, recurrence

import aecompiler as aec
from aecompiler.backends.cpu.backend import CpuBackend
from aecompiler.backends.cpu.schedule import CpuSchedule, pipeline_for
from aecompiler.reference import oracles

INF, NAN = np.inf, np.nan
NEVER = "%keep = arith.constant false\n    yield %keep"


# ---- sizes and types ----


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("element", DTYPES)
def test_softmax_in_every_dtype(element, opt_level):
    kernel = compiled(program(mask=CAUSAL, element=element, dqk=16, dv=8), opt_level=opt_level)
    q, k, v = qkv(2, 3, 3, 33, 33, 16, 8, DTYPES[element])
    o, lse = kernel(q, k, v)
    assert o.dtype == DTYPES[element]
    assert lse.dtype == (np.float64 if element == "f64" else np.float32)
    want_o, want_lse = oracles.softmax(*wide(q, k, v), 1.0, np.tri(33, dtype=bool))
    assert_close(o, want_o, TOLERANCE[element])
    assert_close(lse, want_lse, TOLERANCE["f64" if element == "f64" else "f32"])


@pytest.mark.parametrize("block_q", [1, 3, 32])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 5), (31, 1), (32, 33), (33, 32), (67, 13)])
def test_odd_sizes(sizes, block_q, monkeypatch):
    usual = pipeline_for(CpuSchedule(), CpuBackend.target)
    pipeline = re.sub(r"block-q=\d+", f"block-q={block_q}", usual)  # the schedule takes whole vectors only
    monkeypatch.setattr(CpuBackend, "pipeline", lambda self, schedule: pipeline)
    kernel = compiled(program())
    arrays = qkv(1, 2, 2, *sizes)
    for got, want in zip(kernel(*arrays), oracles.softmax(*wide(*arrays), 1.0), strict=True):
        assert_close(got, want, 1e-5)


@pytest.mark.parametrize(("hq", "hkv"), [(1, 1), (4, 4), (6, 2), (5, 1), (12, 3)])
def test_grouped_heads(hq, hkv):
    text = attention(q=f"?x{hq}x?x4", k=f"?x{hkv}x?x4", v=f"?x{hkv}x?x3", element="f32")
    arrays = qkv(2, hq, hkv)
    for got, want in zip(compiled(text)(*arrays), oracles.softmax(*wide(*arrays), 1.0), strict=True):
        assert_close(got, want, 1e-5)


@pytest.mark.parametrize("sizes", [(0, 2, 5, 7), (2, 0, 5, 7), (1, 2, 0, 7)])
def test_no_rows_at_all(sizes):
    b, h, sq, skv = sizes
    o, lse = compiled(program())(*qkv(b, h, h, sq, skv))
    assert o.shape == (b, h, sq, 3)
    assert lse.shape == (b, h, sq)


def test_no_keys_gives_zero_and_lse_minus_infinity():
    o, lse = compiled(program())(*qkv(skv=0))
    np.testing.assert_array_equal(o, np.zeros_like(o))
    np.testing.assert_array_equal(lse, np.full_like(lse, -INF))


@pytest.mark.parametrize("zero", ["B", "H", "Sq", "Skv", "Dqk", "Dv"])
def test_static_size_zero(zero):
    b, h, sq, skv, dqk, dv = (0 if name == zero else 3 for name in ("B", "H", "Sq", "Skv", "Dqk", "Dv"))
    text = attention(
        q=f"{b}x{h}x{sq}x{dqk}", k=f"{b}x{h}x{skv}x{dqk}", v=f"{b}x{h}x{skv}x{dv}", element="f32"
    )
    arrays = qkv(b, h, h, sq, skv, dqk, dv)
    want = [np.zeros((b, h, sq, dv)), np.full((b, h, sq), -INF)]
    if h and skv:
        want = oracles.softmax(*wide(*arrays), 1.0)
    for got, expected in zip(compiled(text)(*arrays), want, strict=True):
        assert_close(got, expected, 1e-5)


def test_wide_output_of_narrow_inputs():
    text = program(element="bf16", normalize=WEIGHTS)
    text = text.replace("-> (tensor<?x?x?x3xbf16>)", "-> (tensor<?x?x?x3xf32>)")
    text = text.replace("return %r0 : tensor<?x?x?x3xbf16>", "return %r0 : tensor<?x?x?x3xf32>")
    arrays = qkv(dtype=ml_dtypes.bfloat16)
    o = compiled(text)(*arrays)
    assert o.dtype == np.float32
    assert_close(o, oracles.softmax(*wide(*arrays), 1.0)[0], 4e-3)  # weights may be rounded to v's type


# ---- views ----


def test_bshd_views_are_taken_as_they_are():
    kernel = compiled(program())
    q, k, v = qkv(2, 3, 3)
    views = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for x in (q, k, v)]
    assert not any(view.flags.c_contiguous for view in views)
    for got, want in zip(kernel(*views), kernel(q, k, v), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", ["every second row", "reversed", "expanded", "fortran", "unaligned"])
def test_strides_of_every_kind(kind):
    kernel = compiled(program())
    q, k, v = qkv(2, 2, 2, 6, 6, 4, 3)
    views = {
        "every second row": lambda x: x[:, :, ::2],
        "reversed": lambda x: x[:, :, ::-1, ::-1],
        "expanded": lambda x: np.broadcast_to(x[:, :1], x.shape),
        "fortran": np.asfortranarray,
        "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
    }[kind]
    arrays = [views(x) for x in (q, k, v)]
    want = kernel(*[np.ascontiguousarray(x) for x in arrays])
    for got, expected in zip(kernel(*arrays), want, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_captured_tensor_may_be_a_view():
    score = """%bias = tensor.extract %biases[%i, %j] : tensor<?x?xf32>
    %r = arith.addf %s, %bias : f32
    yield %r"""
    arrays = qkv(sq=5, skv=5)
    bias = random(10, 5, seed=9)[::2].T
    o, _ = compiled(program(score, captures="%biases: tensor<?x?xf32>"))(*arrays, bias)
    want = oracles.additive_bias(*wide(*arrays), 1.0, bias.astype(np.float64))
    assert_close(o, want, 1e-5)


@pytest.mark.parametrize("element", DTYPES)
def test_inputs_are_unchanged(element):
    step = DECAY.replace("f32", "f64") if element == "f64" else DECAY
    text = recurrence(step, "%gate: tensor<?x?x?xf32>", dk=4, dv=3, element=element)
    if element == "f64":
        text = text.replace("%gate: tensor<?x?x?xf32>", "%gate: tensor<?x?x?xf64>")
    acc = np.float64 if element == "f64" else np.float32
    q, k, v = (x.astype(DTYPES[element]) for x in qkv(sq=6, skv=6))
    arguments = [q, k, v, random(1, 2, 4, 3, dtype=acc), -np.abs(random(1, 2, 6, dtype=acc))]
    before = [x.copy() for x in arguments]
    compiled(text)(*arguments)
    compiled(program(element=element))(q, k, v)
    for now, then in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(now.view(np.uint8), then.view(np.uint8))


def test_a_function_that_returns_its_argument_returns_a_copy():
    kernel = compiled("func.func @f(%x: tensor<?x3xf32>) -> tensor<?x3xf32> { return %x : tensor<?x3xf32> }")
    x = random(4, 3)
    y = kernel(x)
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)


def test_a_value_that_is_returned_twice():
    text = """func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, f32) {
      %c = arith.constant 2.0 : f32
      %y = arith.addf %x, %x : tensor<?xf32>
      return %y, %y, %c : tensor<?xf32>, tensor<?xf32>, f32
    }"""
    x = random(4)
    first, second, scalar = compiled(text)(x)
    np.testing.assert_array_equal(first, 2 * x)
    np.testing.assert_array_equal(second, 2 * x)
    assert not np.shares_memory(first, second)
    assert scalar.shape == ()
    assert scalar == 2.0


# ---- masks, infinities, NaN ----


def test_rows_without_a_key_among_others():
    arrays = qkv(sq=5, skv=5)
    o, lse = compiled(program(mask=CAUSAL.replace("sge", "sgt")))(*arrays)
    want = oracles.softmax(*wide(*arrays), 1.0, np.tri(5, k=-1, dtype=bool))
    assert_close(o, want[0], 1e-5)
    assert_close(lse, want[1], 1e-5)
    assert (o[:, :, 0] == 0).all()
    assert (lse[:, :, 0] == -INF).all()


KINDS = "".join(
    f'\n    %{kind} = "attn.row_reduce"(%s) {{kind = "{kind}"}} : (f64) -> f64'
    for kind in ("max", "min", "sum", "prod")
)


def test_reductions_of_empty_rows_are_identities_and_nan_is_zero():
    normalize = (
        KINDS + "\n    %nan = arith.subf %max, %max : f64\n    yield %s, %max, %min, %sum, %prod, %nan"
    )
    results = compiled(program(mask=NEVER, normalize=normalize))(*qkv())
    for result, identity in zip(results, (0.0, -INF, INF, 0.0, 1.0, 0.0), strict=True):
        np.testing.assert_array_equal(result, np.full_like(result, identity))


def test_reductions_take_unmasked_elements_only():
    arrays = qkv(sq=6, skv=6)
    mask = np.tri(6, dtype=bool)
    results = compiled(program(mask=CAUSAL, normalize=KINDS + "\n    yield %s, %max, %min, %sum, %prod"))(
        *arrays
    )
    s = oracles.scores(*wide(*arrays[:2]))
    for result, (function, identity) in zip(
        results[1:], ((np.max, -INF), (np.min, INF), (np.sum, 0.0), (np.prod, 1.0)), strict=True
    ):
        assert_close(result, function(np.where(mask, s, identity), axis=-1), 1e-5)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_masked_keys_and_values_may_hold_anything(bad):
    kernel = compiled(program(mask=CAUSAL))
    q, k, v = qkv(sq=4, skv=7)
    want = kernel(q, k, v)
    k[:, :, 4:], v[:, :, 4:] = bad, bad
    # The products of a tile with such a v are left out one by one, which rounds otherwise.
    for got, expected in zip(kernel(q, k, v), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_score_of_minus_infinity_is_masked():
    score = """%bias = tensor.extract %biases[%j] : tensor<?xf32>
    %r = arith.addf %s, %bias : f32
    yield %r"""
    q, k, v = qkv()
    allowed = np.arange(7) != 2
    v[:, :, 2] = NAN
    o, lse = compiled(program(score, captures="%biases: tensor<?xf32>"))(
        q, k, v, np.where(allowed, 0, -INF).astype(np.float32)
    )
    v[:, :, 2] = 0
    want = oracles.softmax(*wide(q, k, v), 1.0, np.broadcast_to(allowed, (5, 7)))
    assert_close(o, want[0], 1e-5)
    assert_close(lse, want[1], 1e-5)


def test_infinite_keys_are_masked_also_where_every_key_is_attended_to():
    normalize = """%one = arith.constant 1.0 : f64
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f32) -> f64
    %size = math.absf %s : f64
    %total = "attn.row_reduce"(%size) {kind = "sum"} : (f32) -> f64
    yield %s, %n, %total"""
    q, k, v = qkv(skv=150)
    q, k[:, :, ::3] = np.abs(q), -INF
    shapes = {"q": "?x2x?x4", "k": "?x2x?x4", "v": "?x2x?x3"}
    o, n, total = compiled(attention(normalize=normalize, **shapes, element="f32"))(q, k, v)
    s = np.where(np.arange(150) % 3 == 0, 0.0, oracles.scores(*wide(q, np.where(np.isfinite(k), k, 0.0))))
    np.testing.assert_array_equal(n, np.full_like(n, 100.0))
    assert_close(total, np.abs(s).sum(axis=-1), 1e-5)
    assert_close(o, oracles.attend(s, *wide(v)), 1e-5)


@pytest.mark.parametrize("lowest", [-1e6, -1e10, -3.4e38])
def test_rows_masked_by_large_finite_numbers_are_uniform(lowest):
    score = """%bias = tensor.extract %biases[%i, %j] : tensor<?x?xf32>
    %r = arith.addf %s, %bias : f32
    yield %r"""
    q, k, v = qkv(sq=3, skv=150, hq=2)
    biases = np.full((3, 150), lowest, np.float32)
    biases[1:, 70:] = 0
    shapes = {"q": "?x2x?x4", "k": "?x2x?x4", "v": "?x2x?x3"}
    kernel = compiled(attention(score, captures="%biases: tensor<?x?xf32>", **shapes, element="f32"))
    q[:, :, 0] = 0  # what is left of other scores beside a large number is rounding
    o, lse = kernel(q, k, v, biases)
    want = oracles.softmax(*wide(q, k, v), 1.0, biases == biases.max(axis=1, keepdims=True))
    assert_close(o, want[0], 1e-5)
    assert_close(lse[..., 1:], want[1][..., 1:], 1e-5)
    np.testing.assert_allclose(lse[..., 0], lowest + np.log(150), rtol=1e-6)


def test_nan_in_an_unmasked_score_spreads_over_its_row():
    q, k, v = qkv()
    q[0, 0, 2, 0] = NAN
    for kind in ("max", "min", "sum", "prod"):
        normalize = f'%r = "attn.row_reduce"(%s) {{kind = "{kind}"}} : (f64) -> f64\n    yield %r, %r'
        o, r = compiled(program(normalize=normalize))(q, k, v)
        assert np.isnan(r[0, 0, 2])
        assert np.isnan(o[0, 0, 2]).all()
        assert np.isnan(r).sum() == 1


def test_infinite_value_with_weight_zero_is_nan_when_unmasked():
    q, k, v = qkv()
    v[0, 0, 3] = INF
    weights = "%w = arith.constant 0.0 : f64\n    yield %w"
    o = compiled(program(normalize=weights))(q, k, v)
    assert np.isnan(o[0, 0]).all()
    assert (o[0, 1] == 0).all()


def test_uniform_weights_count_the_unmasked_keys():
    normalize = """%one = arith.constant 1.0 : f64
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f64) -> f64
    %w = arith.divf %one, %n : f64
    yield %w, %n"""
    q, k, v = qkv(sq=6, skv=6)
    o, n = compiled(program(mask=CAUSAL, normalize=normalize))(q, k, v)
    np.testing.assert_array_equal(n, np.broadcast_to(np.arange(1.0, 7), (1, 2, 6)))
    assert_close(o, np.cumsum(wide(v)[0], 2) / np.arange(1, 7)[:, None], 1e-5)


def test_cascade_of_dependent_reductions():
    normalize = """%one = arith.constant 1.0 : f64
    %n = "attn.row_reduce"(%one) {kind = "sum"} : (f64) -> f64
    %sum = "attn.row_reduce"(%s) {kind = "sum"} : (f64) -> f64
    %mean = arith.divf %sum, %n : f64
    %c = arith.subf %s, %mean : f64
    %cc = arith.mulf %c, %c : f64
    %squares = "attn.row_reduce"(%cc) {kind = "sum"} : (f64) -> f64
    %variance = arith.divf %squares, %n : f64
    %deviation = math.sqrt %variance : f64
    %x = arith.divf %c, %deviation : f64
    %e = math.exp %x : f64
    %l = "attn.row_reduce"(%e) {kind = "sum"} : (f64) -> f64
    %p = arith.divf %e, %l : f64
    yield %p, %mean"""
    arrays = qkv(sq=6, skv=9)
    o, mean = compiled(program(normalize=normalize))(*arrays)
    s = oracles.scores(*wide(*arrays[:2]))
    assert_close(mean, s.mean(-1), 1e-5)
    e = np.exp((s - s.mean(-1, keepdims=True)) / s.std(-1, keepdims=True))
    assert_close(o, oracles.attend(e / e.sum(-1, keepdims=True), wide(arrays[2])[0]), 1e-5)


# ---- captures ----


READ = """%x = tensor.extract %t[{index}] : tensor<{shape}xf32>
    %r = arith.addf %s, %x : f32
    yield %r"""


@pytest.mark.parametrize("shape", ["?", "3"])
def test_captured_indices_are_clamped(shape):
    shift = "%two = arith.constant 2 : index\n    %n = arith.subi %j, %two : index\n    "
    score = shift + READ.format(index="%n", shape=shape)
    kernel = compiled(program(score, captures=f"%t: tensor<{shape}xf32>"))
    arrays, t = qkv(), random(3, seed=5)
    o, _ = kernel(*arrays, t)
    bias = t[np.clip(np.arange(7) - 2, 0, 2)].astype(np.float64)
    want = oracles.additive_bias(*wide(*arrays), 1.0, np.broadcast_to(bias, (5, 7)))
    assert_close(o, want, 1e-5)
    assert aec.check(kernel, *arrays, t).out_of_bounds > 0


@pytest.mark.parametrize(("shape", "size"), [("?x2", (0, 2)), ("0x2", (0, 2)), ("?x?", (3, 0))])
def test_empty_captured_tensors_read_as_zero(shape, size):
    text = program(READ.format(index="%i, %j", shape=shape), captures=f"%t: tensor<{shape}xf32>")
    arrays = qkv()
    o, _ = compiled(text)(*arrays, np.ones(size, np.float32))
    assert_close(o, oracles.softmax(*wide(*arrays), 1.0)[0], 1e-5)


def test_empty_captured_tensor_that_the_program_computes():
    text = program(READ.format(index="%j", shape="?"), captures="%u: tensor<?xf32>").replace(
        "%r0, %r1 = ", "%t = math.exp %u : tensor<?xf32>\n  %r0, %r1 = "
    )
    arrays = qkv()
    o, _ = compiled(text)(*arrays, np.ones(0, np.float32))
    assert_close(o, oracles.softmax(*wide(*arrays), 1.0)[0], 1e-5)


@pytest.mark.parametrize("op", ["divsi", "remsi", "divui", "remui", "floordivsi", "ceildivsi", "ceildivui"])
def test_integer_division_never_traps(op):
    text = f"""func.func @f(%a: tensor<?xi32>, %b: tensor<?xi32>) -> tensor<?xi32> {{
      %r = arith.{op} %a, %b : tensor<?xi32>
      return %r : tensor<?xi32>
    }}"""
    low, high = -(2**31), 2**31 - 1
    a, b = (x.ravel() for x in np.meshgrid([low, -7, -1, 0, 1, 7, high], [low, -2, -1, 0, 1, 3, high]))
    got = compiled(text)(a.astype(np.int32), b.astype(np.int32))
    if op.endswith("ui"):
        a, b = a % 2**32, b % 2**32
    with np.errstate(divide="ignore"):
        quotient = {
            "div": lambda: np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(np.where(b == 0, 1, b))),
            "flo": lambda: a // np.where(b == 0, 1, b),
            "cei": lambda: -(-a // np.where(b == 0, 1, b)),
            "rem": lambda: a - b * (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(np.where(b == 0, 1, b)))),
        }[op[:3]]()
    want = np.where(b == 0, a if op.startswith("rem") else 0, quotient)
    np.testing.assert_array_equal(got.astype(np.int64) % 2**32, want % 2**32)


def test_floats_outside_of_an_integer_saturate():
    text = """func.func @f(%a: tensor<?xf32>) -> tensor<?xi32> {
      %r = arith.fptosi %a : tensor<?xf32> to tensor<?xi32>
      return %r : tensor<?xi32>
    }"""
    got = compiled(text, opt_level=2)(np.array([NAN, INF, -INF, 3e9, -3e9, 2.9, -2.9], np.float32))
    np.testing.assert_array_equal(got, [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2, -2])


def test_row_position_of_padding_rows_is_clamped():
    # 33 rows in blocks of 32: rows past the end are evaluated, and must not be stored.
    score = "%n = arith.index_cast %i : index to i64\n    %f = arith.sitofp %n : i64 to f32\n    yield %f"
    normalize = '%m = "attn.row_reduce"(%s) {kind = "max"} : (f64) -> f64\n    yield %s, %m'
    _, m = compiled(program(score, normalize=normalize))(*qkv(sq=33))
    np.testing.assert_array_equal(m, np.broadcast_to(np.arange(33.0), (1, 2, 33)))


# ---- around the op ----


def test_operations_around_attention():
    text = attention(
        q="?x2x?x4",
        k="?x2x?x4",
        v="?x2x?x3",
        element="f32",
        normalize=WEIGHTS,
        before="%two = arith.addf %k, %k : tensor<?x2x?x4xf32>",
    ).replace('"attn.attention"(%q, %k, %v)', '"attn.attention"(%q, %two, %v)')
    q, k, v = qkv()
    assert_close(compiled(text)(q, k, v), oracles.softmax(*wide(q, 2 * k, v), 1.0)[0], 1e-5)


@pytest.mark.parametrize(("features", "v_features"), [(0, 3), (4, 0), (0, 0)])
def test_vectors_without_features(features, v_features):
    shapes = {"q": f"?x2x?x{features}", "k": f"?x2x?x{features}", "v": f"?x2x?x{v_features}"}
    kernel = compiled(attention(**shapes, element="f32", normalize=WEIGHTS))
    for sq, skv in ((5, 7), (1, 0), (0, 3)):
        q, k = random(1, 2, sq, features), random(1, 2, skv, features, seed=1)
        assert aec.check(kernel, q, k, random(1, 2, skv, v_features, seed=2)).max_rel_error <= 1e-5
