"""`attn.chunked_recurrence` evaluated by its meaning, against the closed forms of the same mechanisms."""

import numpy as np
import pytest
from ir_programs import run

from aecompiler.dialect.chunked import PARTS
from aecompiler.reference import oracles

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
B, H, T, DK, DV = 2, 4, 6, 3, 5
GATE, GATES = "%gate: tensor<?x?x?xf64>", f"%gates: tensor<?x?x?x{DK}xf64>"
READ_GATE = "%g = tensor.extract %gate[%b, %h, %t] : tensor<?x?x?xf64>"
READ_GATES = f"""%g = tensor.extract_slice %gates[%b, %h, %t, 0] [1, 1, 1, {DK}] [1, 1, 1, 1]
    : tensor<?x?x?x{DK}xf64> to tensor<{DK}xf64>"""
READ_BETA = "%beta = tensor.extract %betas[%b, %h, %t] : tensor<?x?x?xf64>"


def program(body, captures="", *, reads="after", erase_reads=None, varlen=False, **parts):
    """A function around one chunked recurrence whose region is `body` and hands over `parts`."""
    vector, value = f"tensor<{DK}xf64>", f"tensor<{DV}xf64>"
    parts = {"query": "%qt", "key": "%kt", "value": "%vt", **parts}
    present = [name for name in PARTS if name in parts]
    types = {**dict.fromkeys(("query", "key", "erase"), vector), "value": value, "skip": value}
    if "tensor.extract_slice %gates" in body:
        types["log_decay"] = types["sign"] = vector
    sizes = ", ".join(str(int(name in parts)) for name in PARTS)
    handed_over = ", ".join(types.get(name, "f64") for name in present)
    attributes = f'chunk = 4 : i64, reads = "{reads}", exponents = "any"'
    if erase_reads:
        attributes += f', erase_reads = "{erase_reads}"'
    batch = "1" if varlen else "?"
    row, wide = (f"tensor<{batch}x?x?x{size}xf64>" for size in (DK, DV))
    state = f"tensor<?x?x{DK}x{DV}xf64>"
    operands, operand_types = "%q, %k, %v, %initial", f"{row}, {row}, {wide}, {state}"
    arguments = f"%q: {row}, %k: {row}, %v: {wide}, %initial: {state}"
    if varlen:
        operands, operand_types = f"{operands}, %offsets", f"{operand_types}, tensor<?xi32>"
        arguments += ", %offsets: tensor<?xi32>"
    arguments += f", {captures}" if captures else ""
    return f"""
func.func @program({arguments}) -> ({wide}, {state}) {{
  %o, %final = "attn.chunked_recurrence"({operands}) ({{
  ^position(%qt: {vector}, %kt: {vector}, %vt: {value}, %b: index, %h: index, %t: index):
    {body}
    "attn.position_yield"({", ".join(parts[name] for name in present)})
      {{operandSegmentSizes = array<i32: {sizes}>}} : ({handed_over}) -> ()
  }}) {{{attributes}}} : ({operand_types}) -> ({wide}, {state})
  return %o, %final : {wide}, {state}
}}"""


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.fixture
def operands(rng):
    q, k, v = (rng.standard_normal((B, H, T, d)) for d in (DK, DK, DV))
    return q, k, v, rng.standard_normal((B, H, DK, DV))


def check(results, expected):
    assert results.out_of_bounds == 0
    for result, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, want, **TOLERANCE)


def test_no_decay_is_linear_attention(operands):
    q, k, v, initial = operands
    o, final = run(program(""), q, k, v, np.zeros_like(initial))
    np.testing.assert_allclose(o, oracles.linear_attention(q, k, v), **TOLERANCE)
    np.testing.assert_allclose(final, np.einsum("bhtd,bhte->bhde", k, v), **TOLERANCE)


def test_scalar_decay(operands, rng):
    g = -rng.random((B, H, T))
    text = program(READ_GATE, GATE, log_decay="%g")
    check(run(text, *operands, g), oracles.scalar_gated(*operands[:3], g, operands[3]))


def test_diagonal_decay(operands, rng):
    g = -rng.random((B, H, T, DK))
    text = program(READ_GATES, GATES, log_decay="%g")
    check(run(text, *operands, g), oracles.gla(*operands[:3], g, operands[3]))


def test_reads_before_the_update(operands, rng):
    """What a read after the update gives, less what the update adds to it."""
    q, k, v, _ = operands
    g = np.zeros((B, H, T))
    after = run(program(READ_GATE, GATE, log_decay="%g"), *operands, g)
    before = run(program(READ_GATE, GATE, log_decay="%g", reads="before"), *operands, g)
    np.testing.assert_allclose(
        before[0], after[0] - (q * k).sum(-1, keepdims=True) * v, rtol=1e-10, atol=1e-10
    )
    np.testing.assert_array_equal(before[1], after[1])


def test_erase_of_the_decayed_state_is_the_gated_delta_rule(operands, rng):
    g, beta = -rng.random((B, H, T)), rng.random((B, H, T))
    text = program(
        f"{READ_GATE}\n    {READ_BETA}",
        f"{GATE}, %betas: tensor<?x?x?xf64>",
        erase_reads="decayed",
        log_decay="%g",
        key_scale="%beta",
        erase="%kt",
    )
    results = run(text, *operands, g, beta)
    check(results, oracles.delta_rule(*operands[:3], beta, operands[3], g))


def test_erase_of_the_state_before_the_decay(operands, rng):
    """A decay of the same size beside it makes the difference: that of the erase's scale."""
    g = -rng.random((B, H, T))
    inverse = f"{READ_GATE}\n    %minus = arith.negf %g : f64\n    %a = math.exp %minus : f64"
    state = run(program(READ_GATE, GATE, erase_reads="state", log_decay="%g", erase="%kt"), *operands, g)
    text = program(inverse, GATE, erase_reads="decayed", log_decay="%g", erase="%kt", erase_scale="%a")
    check(run(text, *operands, g), state)


def test_signs_scales_and_skip(operands):
    q, k, v, initial = operands
    body = """
    %zero = arith.constant 0.0 : f64
    %minus = arith.constant -1.0 : f64
    %two = arith.constant 2.0 : f64
    %three = arith.constant 3.0 : f64"""
    text = program(body, log_decay="%zero", sign="%minus", query_scale="%two", key_scale="%three", skip="%vt")
    o, final = run(text, q, k, v, initial)
    state = initial
    for t in range(T):
        state = -state + 3 * k[:, :, t, :, None] * v[:, :, t, None, :]
        want = 2 * np.einsum("bhd,bhde->bhe", q[:, :, t], state) + v[:, :, t]
        np.testing.assert_allclose(o[:, :, t], want, **TOLERANCE)
    np.testing.assert_allclose(final, state, **TOLERANCE)


def test_packed_sequences_are_taken_one_by_one(rng):
    offsets = np.array([0, 2, 2, 5], np.int32)
    q, k, v = (rng.standard_normal((1, H, T, d)) for d in (DK, DK, DV))
    initial = rng.standard_normal((3, H, DK, DV))
    o, final = run(program("", varlen=True), q, k, v, initial, offsets)
    for n, (start, stop) in enumerate(((0, 2), (2, 2), (2, 5))):
        part = slice(start, stop)
        want = run(program(""), q[:, :, part], k[:, :, part], v[:, :, part], initial[n : n + 1])
        np.testing.assert_allclose(o[:, :, part], want[0], **TOLERANCE)
        np.testing.assert_allclose(final[n], want[1][0], **TOLERANCE)
    assert not o[:, :, 5:].any()
