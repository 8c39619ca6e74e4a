"""The recurrent mechanisms as textual programs, evaluated, against their closed forms."""

import numpy as np
import pytest
from ir_programs import recurrence, run

from aecompiler.reference import oracles

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
B, H, T, DK, DV = 2, 4, 6, 3, 5

OUTER = """
    %space = tensor.empty() : $S
    %rows = linalg.broadcast ins(%kt : $K) outs(%space : $S) dimensions = [1]
    %columns = linalg.broadcast ins(%vt : $V) outs(%space : $S) dimensions = [0]
    %kv = arith.mulf %rows, %columns : $S"""

READ = """
    %nothing = arith.constant dense<0.0> : $V
    %out = linalg.vecmat ins(%qt, %S1 : $K, $S) outs(%nothing : $V) -> $V
    yield %S1, %out"""

DECAY_ALL = """
    %all = tensor.splat %a : $S
    %kept = arith.mulf %all, %S : $S"""

DECAY_ROWS = """
    %a = math.exp %g : $K
    %empty = tensor.empty() : $S
    %wide = linalg.broadcast ins(%a : $K) outs(%empty : $S) dimensions = [1]
    %kept = arith.mulf %wide, %S : $S"""

ADD = "\n    %S1 = arith.addf %kept, %kv : $S"

GATE = "%gate: tensor<?x?x?xf64>"
GATE_ROWS = f"%gates: tensor<?x?x?x{DK}xf64>"
READ_GATE = "\n    %g = tensor.extract %gate[%b, %h, %t] : tensor<?x?x?xf64>"
READ_GATE_ROW = f"""
    %g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, {DK}] [1, 1, 1, 1]
        : tensor<?x?x?x{DK}xf64> to tensor<{DK}xf64>"""

# (I - beta k k^T) %kept + beta k v^T = %kept + beta k (v - k^T %kept)
DELTA = """
    %beta = tensor.extract %betas[%b, %h, %t] : tensor<?x?x?xf64>
    %none = arith.constant dense<0.0> : $V
    %seen = linalg.vecmat ins(%kt, %kept : $K, $S) outs(%none : $V) -> $V
    %new = arith.subf %vt, %seen : $V
    %strength = tensor.splat %beta : $V
    %scaled = arith.mulf %strength, %new : $V
    %space = tensor.empty() : $S
    %rows = linalg.broadcast ins(%kt : $K) outs(%space : $S) dimensions = [1]
    %columns = linalg.broadcast ins(%scaled : $V) outs(%space : $S) dimensions = [0]
    %update = arith.mulf %rows, %columns : $S
    %S1 = arith.addf %kept, %update : $S"""


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def operands(rng):
    q, k, v = (rng.standard_normal((B, H, T, d)) for d in (DK, DK, DV))
    return q, k, v, rng.standard_normal((B, H, DK, DV))


def check(results, expected):
    assert results.out_of_bounds == 0
    for result, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, want, **TOLERANCE)


def program(step, captures="", **options):
    return recurrence(step, captures, dk=DK, dv=DV, **options)


def test_linear_attention_equals_its_parallel_form(operands):
    q, k, v, initial = operands
    step = f"{OUTER}\n    %S1 = arith.addf %S, %kv : $S{READ}"
    o, final = run(program(step), q, k, v, np.zeros_like(initial))
    np.testing.assert_allclose(o, oracles.linear_attention(q, k, v), **TOLERANCE)
    np.testing.assert_allclose(final, np.einsum("bhtd,bhte->bhde", k, v), **TOLERANCE)


def test_retnet_equals_its_unrolled_form(operands):
    q, k, v, initial = operands
    gamma = 1 - 2.0 ** (-5 - np.arange(H))
    scale = DK**-0.5
    step = f"""{OUTER}
    %a = tensor.extract %gammas[%h] : tensor<?xf64>{DECAY_ALL}{ADD}
    %factor = arith.constant dense<{scale!r}> : $K
    %nothing = arith.constant dense<0.0> : $V
    %scaled = arith.mulf %qt, %factor : $K
    %out = linalg.vecmat ins(%scaled, %S1 : $K, $S) outs(%nothing : $V) -> $V
    yield %S1, %out"""
    results = run(program(step, "%gammas: tensor<?xf64>"), *operands, gamma)
    check(results, oracles.retnet(q, k, v, gamma, initial, scale))


SCALAR_GATED = f"{OUTER}{READ_GATE}\n    %a = math.exp %g : f64{DECAY_ALL}{ADD}{READ}"


def test_gated_retention(operands, rng):
    g = -rng.random((B, H, T))
    check(run(program(SCALAR_GATED, GATE), *operands, g), oracles.scalar_gated(*operands[:3], g, operands[3]))


def test_mamba2_with_shared_keys_and_skip(rng):
    q, k = (rng.standard_normal((B, 1, T, DK)) for _ in range(2))
    v, initial = rng.standard_normal((B, H, T, DV)), rng.standard_normal((B, H, DK, DV))
    a, skip, dt = -rng.random(H), rng.standard_normal(H), np.log1p(np.exp(rng.standard_normal((B, H, T))))
    step = f"""
    %dt = tensor.extract %dts[%b, %h, %t] : tensor<?x?x?xf64>
    %rate = tensor.extract %rates[%h] : tensor<?xf64>
    %log = arith.mulf %rate, %dt : f64
    %a = math.exp %log : f64{DECAY_ALL}
    %dts_k = tensor.splat %dt : $K
    %key = arith.mulf %dts_k, %kt : $K
    {OUTER.replace("%kt", "%key")}{ADD}
    %skip = tensor.extract %skips[%h] : tensor<?xf64>
    %skip_v = tensor.splat %skip : $V
    %direct = arith.mulf %skip_v, %vt : $V
    %out = linalg.vecmat ins(%qt, %S1 : $K, $S) outs(%direct : $V) -> $V
    yield %S1, %out"""
    captures = "%dts: tensor<?x?x?xf64>, %rates: tensor<?xf64>, %skips: tensor<?xf64>"
    text = program(step, captures, heads=("1", "1", "4", "4"))
    check(run(text, q, k, v, initial, dt, a, skip), oracles.mamba2(q, k, v, a, dt, skip, initial))


def test_gla(operands, rng):
    g = -rng.random((B, H, T, DK))
    step = f"{OUTER}{READ_GATE_ROW}{DECAY_ROWS}{ADD}{READ}"
    check(run(program(step, GATE_ROWS), *operands, g), oracles.gla(*operands[:3], g, operands[3]))


def test_rwkv6_reads_before_the_update(operands, rng):
    w, u = -rng.random((B, H, T, DK)), rng.standard_normal((H, DK))
    step = f"""{OUTER}{READ_GATE_ROW}{DECAY_ROWS}{ADD}
    %u = tensor.extract_slice %bonus[%h, 0] [1, {DK}] [1, 1] : tensor<?x{DK}xf64> to $K
    %space_u = tensor.empty() : $S
    %wide_u = linalg.broadcast ins(%u : $K) outs(%space_u : $S) dimensions = [1]
    %extra = arith.mulf %wide_u, %kv : $S
    %before = arith.addf %S, %extra : $S
    %nothing = arith.constant dense<0.0> : $V
    %out = linalg.vecmat ins(%qt, %before : $K, $S) outs(%nothing : $V) -> $V
    yield %S1, %out"""
    text = program(step, f"{GATE_ROWS}, %bonus: tensor<?x{DK}xf64>")
    check(run(text, *operands, w, u), oracles.rwkv6(*operands[:3], w, u, operands[3]))


@pytest.mark.parametrize("kind", ["plain", "gated", "kda"])
def test_delta_rule(operands, rng, kind):
    q, k, v, initial = operands
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    beta = rng.random((B, H, T))
    g = {"plain": None, "gated": -rng.random((B, H, T)), "kda": -rng.random((B, H, T, DK))}[kind]
    decay, captures = {
        "plain": ("", ""),
        "gated": (f"{READ_GATE}\n    %a = math.exp %g : f64{DECAY_ALL}", f", {GATE}"),
        "kda": (f"{READ_GATE_ROW}{DECAY_ROWS}", f", {GATE_ROWS}"),
    }[kind]
    delta = DELTA if decay else DELTA.replace("%kept", "%S")
    text = program(f"{decay}{delta}{READ}", f"%betas: tensor<?x?x?xf64>{captures}")
    results = run(text, q, k, v, initial, beta, *([] if g is None else [g]))
    check(results, oracles.delta_rule(q, k, v, beta, initial, g))


def test_grouped_heads_read_the_head_of_their_group(rng):
    q, k = rng.standard_normal((B, 2, T, DK)), rng.standard_normal((B, 1, T, DK))
    v, initial = rng.standard_normal((B, 4, T, DV)), rng.standard_normal((B, 4, DK, DV))
    g = -rng.random((B, 4, T))
    text = program(SCALAR_GATED, GATE, heads=("2", "1", "4", "4"))
    wide = np.repeat(q, 2, axis=1), np.repeat(k, 4, axis=1), v
    check(run(text, q, k, v, initial, g), oracles.scalar_gated(*wide, g, initial))


@pytest.mark.parametrize(
    "offsets",
    [
        pytest.param([0, 2, 6], id="exact"),
        pytest.param([0, 0, 6, 6], id="empty-sequences"),
        pytest.param([1, 3, 4], id="gaps-at-the-ends"),
        pytest.param([0, 5, 2, 4], id="decreasing"),
        pytest.param([-3, 2, 99], id="out-of-range"),
        pytest.param([0], id="no-sequence"),
    ],
)
def test_variable_length(rng, offsets):
    q, k, v = (rng.standard_normal((1, H, T, d)) for d in (DK, DK, DV))
    initial = rng.standard_normal((len(offsets) - 1, H, DK, DV))
    g = -rng.random((1, H, T))
    text = program(SCALAR_GATED, GATE, varlen=True)
    results = run(text, q, k, v, initial, np.array(offsets, np.int32), g)

    def mechanism(q, k, v, initial, g):
        return oracles.scalar_gated(q, k, v, g, initial)

    check(results, oracles.packed(mechanism, (q, k, v), np.array(offsets), initial, g=g))


def test_batch_rows_in_blocks(operands, rng, monkeypatch):
    from aecompiler.reference import recurrence as module

    g = -rng.random((B, H, T))
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 1)
    check(run(program(SCALAR_GATED, GATE), *operands, g), oracles.scalar_gated(*operands[:3], g, operands[3]))


def test_gates_out_of_bounds_are_clamped_and_counted(operands, rng):
    g = -rng.random((B, H, T - 2))
    results = run(program(SCALAR_GATED, GATE), *operands, g)
    clamped = g[:, :, np.minimum(np.arange(T), T - 3)]
    o, final = oracles.scalar_gated(*operands[:3], clamped, operands[3])
    np.testing.assert_allclose(results[0], o, **TOLERANCE)
    np.testing.assert_allclose(results[1], final, **TOLERANCE)
    assert results.out_of_bounds == 2 * B * H


@pytest.mark.parametrize(("b", "h", "t"), [(0, 4, 6), (2, 0, 6), (2, 4, 0), (2, 4, 1)])
def test_sizes_zero_and_one(rng, b, h, t):
    q, k, v = (rng.standard_normal((b, h, t, d)) for d in (DK, DK, DV))
    initial, g = rng.standard_normal((b, h, DK, DV)), -rng.random((b, h, t))
    o, final = run(program(SCALAR_GATED, GATE), q, k, v, initial, g)
    assert o.shape == (b, h, t, DV)
    if t == 0:
        np.testing.assert_array_equal(final, initial)


def test_disagreeing_sizes_are_an_error(operands):
    q, k, v, initial = operands
    step = f"{OUTER}\n    %S1 = arith.addf %S, %kv : $S{READ}"
    with pytest.raises(ValueError, match="expects equal sequence lengths of q, k and v, got 6 and 5 and 6"):
        run(program(step), q, k[:, :, :5], v, initial)


STEP_OF_SLOTS = """
  func.func @f(%q: tensor<?x2x1x3xf64>, %v: tensor<?x2x1x2xf64>, %pool: tensor<?x2x3x2xf64>,
               %slots: tensor<?xi32>, %table: tensor<?xf64>, %ids: tensor<?xindex>)
      -> (tensor<?x2x1x2xf64>, tensor<?x2x3x2xf64>) {
    %o, %updated = "attn.recurrence_step"(%q, %q, %v, %pool, %slots) ({
    ^step(%S: tensor<3x2xf64>, %qt: tensor<3xf64>, %kt: tensor<3xf64>, %vt: tensor<2xf64>,
          %b: index, %h: index, %t: index):
      %id = tensor.extract %ids[%b] : tensor<?xindex>
      %a = tensor.extract %table[%id] : tensor<?xf64>
      %all = tensor.splat %a : tensor<3x2xf64>
      %S1 = arith.mulf %all, %S : tensor<3x2xf64>
      "attn.step_yield"(%S1, %vt) : (tensor<3x2xf64>, tensor<2xf64>) -> ()
    }) : (tensor<?x2x1x3xf64>, tensor<?x2x1x3xf64>, tensor<?x2x1x2xf64>, tensor<?x2x3x2xf64>, tensor<?xi32>)
        -> (tensor<?x2x1x2xf64>, tensor<?x2x3x2xf64>)
    return %o, %updated : tensor<?x2x1x2xf64>, tensor<?x2x3x2xf64>
  }"""


@pytest.mark.parametrize(
    ("slots", "misses"), [([4, -1, 0], 0), ([4, 5, 0], 0), ([4, 2, 0], 2), ([-1] * 3, 0)]
)
def test_rows_that_are_padding_are_not_computed(rng, slots, misses):
    q, v, pool = rng.random((3, 2, 1, 3)), rng.random((3, 2, 1, 2)), rng.random((5, 2, 3, 2))
    table, ids = np.array([2.0, 3.0]), np.array([0, 99, 1])
    results = run(STEP_OF_SLOTS, q, v, pool, np.array(slots, np.int32), table, ids)
    expected_o, expected_pool = np.zeros_like(v), pool.copy()
    for row, slot in enumerate(slots):
        if 0 <= slot < 5:
            expected_o[row] = v[row]
            expected_pool[slot] *= table[min(ids[row], 1)]
    np.testing.assert_array_equal(results[0], expected_o)
    np.testing.assert_array_equal(results[1], expected_pool)
    assert results.out_of_bounds == misses
