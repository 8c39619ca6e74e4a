"""Numerics of recurrences on the CPU against loops over time."""

import numpy as np
import pytest
from cpu_numerics import (
    DECAY,
    DTYPES,
    LINEAR,
    READ_FIRST,
    READ_STATE,
    TOLERANCE,
    assert_close,
    compiled,
    qkv,
    random,
    wide,
)
from ir_programs import recurrence


def recur(q, k, v, initial, gate=None, read_first=False):
    """The steps of `cpu_numerics.py` in numpy; q, k, v have the heads of the state."""
    state = initial.copy()
    o = np.zeros(v.shape)
    for t in range(q.shape[2]):
        old = state
        if gate is not None:
            state = np.exp(gate[:, :, t])[..., None, None] * state
        state = state + k[:, :, t, :, None] * v[:, :, t, None, :]
        o[:, :, t] = np.einsum("bhk,bhkv->bhv", q[:, :, t], old if read_first else state)
    return o, state


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("element", DTYPES)
def test_recurrence_in_every_dtype(element, opt_level):
    kernel = compiled(recurrence(LINEAR, dk=4, dv=3, element=element), opt_level=opt_level)
    acc = np.float64 if element == "f64" else np.float32
    q, k, v = qkv(2, sq=9, skv=9, dtype=DTYPES[element])
    initial = random(2, 2, 4, 3, dtype=acc)
    o, final = kernel(q, k, v, initial)
    assert o.dtype == DTYPES[element]
    assert final.dtype == acc
    want_o, want_final = recur(*wide(q, k, v, initial))
    assert_close(o, want_o, TOLERANCE[element])
    assert_close(final, want_final, TOLERANCE["f64" if element == "f64" else "f32"])


@pytest.mark.parametrize("length", [0, 1, 2, 17])
def test_gated_recurrence(length):
    kernel = compiled(recurrence(DECAY, "%gate: tensor<?x?x?xf32>", dk=4, dv=3, element="f32"))
    arrays = [*qkv(2, sq=length, skv=length), random(2, 2, 4, 3), -np.abs(random(2, 2, length))]
    for got, want in zip(kernel(*arrays), recur(*wide(*arrays)), strict=True):
        assert_close(got, want, 1e-5)


def test_recurrence_that_reads_before_the_update():
    kernel = compiled(recurrence(READ_FIRST, dk=4, dv=3, element="f32"))
    arrays = [*qkv(1, sq=6, skv=6), random(1, 2, 4, 3)]
    for got, want in zip(kernel(*arrays), recur(*wide(*arrays), read_first=True), strict=True):
        assert_close(got, want, 1e-5)


def test_recurrence_with_heads_of_each_operand():
    text = recurrence(LINEAR, dk=4, dv=3, heads=("2", "1", "6", "6"), element="f32")
    q, k, v = random(1, 2, 5, 4), random(1, 1, 5, 4, seed=1), random(1, 6, 5, 3, seed=2)
    initial = random(1, 6, 4, 3)
    want = recur(*wide(np.repeat(q, 3, 1), np.repeat(k, 6, 1), v, initial))
    for got, expected in zip(compiled(text)(q, k, v, initial), want, strict=True):
        assert_close(got, expected, 1e-5)


def test_captured_slice_in_a_step_is_clamped():
    step = (
        """%row = tensor.extract_slice %gates[%t, 0] [1, 4] [1, 1] : tensor<?x4xf32> to $K
    %S1 = tensor.cast %S : $S to $S
    """
        + READ_STATE.format(state="%S1").replace("%qt", "%row")
        + "yield %S1, %out"
    )
    gates, initial = random(3, 4), random(1, 1, 4, 3)
    o, _ = compiled(recurrence(step, "%gates: tensor<?x4xf32>", dk=4, dv=3, element="f32"))(
        *qkv(1, 1, 1, 5, 5), initial, gates
    )
    assert_close(o[0, 0], gates[[0, 1, 2, 2, 2]] @ initial[0, 0], 1e-5)


def test_captured_slice_that_reaches_past_the_end_reads_the_last_element():
    step = (
        "%row = tensor.extract_slice %gates[%t] [4] [1] : tensor<?xf32> to $K\n    "
        + READ_STATE.format(state="%S").replace("%qt", "%row")
        + "yield %S, %out"
    )
    gates, initial = random(5), random(1, 1, 4, 3)
    kernel = compiled(recurrence(step, "%gates: tensor<?xf32>", dk=4, dv=3, element="f32"))
    o, _ = kernel(*qkv(1, 1, 1, 4, 4), initial, gates)
    rows = gates[np.minimum(np.arange(4)[:, None] + np.arange(4), 4)]
    assert_close(o[0, 0], rows @ initial[0, 0], 1e-5)
    o, _ = kernel(*qkv(1, 1, 1, 4, 4), initial, gates[:0])
    np.testing.assert_array_equal(o, np.zeros_like(o))


@pytest.mark.parametrize("zero", ["dk", "dv"])
def test_recurrence_with_feature_size_zero(zero):
    sizes = {"dk": 4, "dv": 3, zero: 0}
    kernel = compiled(recurrence(LINEAR, **sizes, element="f32"))
    q, k, v = qkv(1, sq=5, skv=5, dqk=sizes["dk"], dv=sizes["dv"])
    o, final = kernel(q, k, v, random(1, 2, sizes["dk"], sizes["dv"]))
    np.testing.assert_array_equal(o, np.zeros((1, 2, 5, sizes["dv"])))
    assert final.shape == (1, 2, sizes["dk"], sizes["dv"])


@pytest.mark.parametrize(
    "offsets",
    [[0, 7], [0, 2, 7], [0, 0, 3, 3, 7], [0, 5, 3, 7], [2, 4], [-3, 2, 99], [7, 7], [0]],
    ids=["one", "two", "empty ones", "decreasing", "uncovered", "clamped", "none covered", "no sequence"],
)
def test_variable_length_form(offsets):
    kernel = compiled(recurrence(LINEAR, dk=4, dv=3, element="f32", varlen=True))
    count = len(offsets) - 1
    q, k, v = qkv(1, sq=7, skv=7)
    initial = random(count, 2, 4, 3)
    o, final = kernel(q, k, v, initial, np.array(offsets, np.int32))
    want_o, want_final = np.zeros(v.shape), initial.astype(np.float64)
    edges = np.clip(offsets, 0, 7)
    for n in range(count):
        rows = slice(edges[n], max(edges[n], edges[n + 1]))
        parts = wide(*(x[:, :, rows] for x in (q, k, v)), initial[n : n + 1])
        want_o[:, :, rows], state = recur(*parts)
        want_final[n] = state[0]
    assert_close(o, want_o, 1e-5)
    assert_close(final, want_final, 1e-5)
