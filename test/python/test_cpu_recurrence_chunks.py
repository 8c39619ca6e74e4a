"""Recurrences of the library through the chunked road of the CPU, with gates of any size."""

import warnings

import numpy as np
import pytest
from cpu_numerics import assert_close

import aecompiler as aec
from aecompiler.algebra import chunked
from aecompiler.backends.cpu import pipelines
from aecompiler.backends.cpu.host import host_target
from aecompiler.backends.cpu.schedule import CpuSchedule, pipeline_for
from aecompiler.library import recurrences

HEADS, FEATURES, VALUES = 2, 16, 24
GATE = aec.tensor("B", HEADS, "T")
GATES = aec.tensor("B", HEADS, "T", FEATURES)

PROGRAMS = {
    "linear_attention": ({}, {"scale": 0.25}),
    "retnet": ({"gamma": aec.tensor(HEADS)}, {}),
    "gated_retention": ({"g": GATE}, {}),
    "mamba2_ssd": ({"A": aec.tensor(HEADS), "dt": GATE, "D": aec.tensor(HEADS)}, {}),
    "gla": ({"g": GATES}, {}),
    "rwkv6": ({"w": GATES, "u": aec.tensor(HEADS, FEATURES)}, {}),
    "delta_rule": ({"beta": GATE}, {"normalize_keys": True}),
    "gated_delta_rule": ({"g": GATE, "beta": GATE}, {"normalize_keys": True}),
    "kda": ({"g": GATES, "beta": GATE}, {"normalize_keys": True}),
}


def program(name, dtype="f32"):
    specs, options = PROGRAMS[name]
    x = aec.tensor("B", HEADS, "T", FEATURES, dtype=dtype)
    v = aec.tensor("B", HEADS, "T", VALUES, dtype=dtype)
    initial = aec.tensor("B", HEADS, FEATURES, VALUES, dtype="f64" if dtype == "f64" else "f32")

    def traced(q, k, v, initial, **gates):
        step = getattr(recurrences, name)(**gates, **options)
        return aec.recurrence(q, k, v, step, initial=initial)

    return aec.trace(traced, q=x, k=x, v=v, initial=initial, **specs)


def draw(name, batch, length, logs, seed=0):
    """Arrays by name; logarithms of decays are some of `logs`."""
    rng = np.random.default_rng([seed, length])
    shapes = {"B": batch, "T": length}
    arrays = {
        "q": rng.standard_normal((batch, HEADS, length, FEATURES)),
        "k": rng.standard_normal((batch, HEADS, length, FEATURES)),
        "v": rng.standard_normal((batch, HEADS, length, VALUES)),
        "initial": rng.standard_normal((batch, HEADS, FEATURES, VALUES)),
    }
    for gate, spec in PROGRAMS[name][0].items():
        shape = [shapes.get(size, size) for size in spec.shape]
        x = rng.standard_normal(shape)
        if gate in ("g", "w"):
            x = rng.choice(logs, size=shape)
        elif gate == "gamma":
            x = np.exp(rng.choice(np.maximum(logs, -80), size=shape))
        elif gate == "A":
            x = rng.choice(np.maximum(logs, -1e30), size=shape)
        elif gate == "dt":
            x = np.abs(x)
        elif gate == "beta":
            x = 1 / (1 + np.exp(-x))
        arrays[gate] = x
    return {gate: array.astype(np.float32) for gate, array in arrays.items()}


def check(kernel, arrays, tolerance=1e-5):
    got = kernel(*arrays.values())
    with np.errstate(all="ignore"):
        want = kernel.evaluate_reference(*arrays.values())
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, tolerance)


def compiled(name, **options):
    kernel = aec.compile(program(name), **options)
    assert kernel.artifact.metadata["not_vectorized"] == []
    return kernel


@pytest.mark.parametrize("chunk", [0, 37, 64])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_length(name, chunk):
    kernel, size = compiled(name, chunk=chunk), chunk or 16
    for length in (0, 1, size - 1, size, size + 1, 3 * size + 5):
        check(kernel, draw(name, 2, length, [-0.01, -0.3, -2.0]))


LOGS = {
    "decays of 0 and 1": [-np.inf, 0.0],
    "decays of 0 beside weak ones": [-np.inf, -0.01, -0.5],
    "gates of -10^4": [-1e4, -0.1],
    "decays of 10^-30": [-69.0, -1e-4, -1.0],
    "strong decays": [-20.0, -50.0, -88.0, -104.0],
    "decays above 1": [0.05, -0.05],
}


@pytest.mark.parametrize("logs", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize(
    "name", [name for name in PROGRAMS if name not in ("linear_attention", "delta_rule")]
)
def test_decays_of_any_size(name, logs):
    check(compiled(name, chunk=64), draw(name, 1, 150, logs))


@pytest.mark.parametrize("name", ["gated_retention", "gla", "gated_delta_rule", "kda"])
def test_state_erased_by_a_decay_of_0_does_not_come_back(name):
    """Decays above 1 follow, whose product is 10^32, and keys of 0: all but the first output are 0."""
    arrays = draw(name, 1, 40, [0.0])
    arrays["k"][:, :, 1:] = 0
    arrays["g"][:, :, 1] = -np.inf
    arrays["g"][:, :, 2:6] = np.log(1e8)
    o, final = compiled(name, chunk=64)(*arrays.values())
    assert o[:, :, 0].any()
    assert not o[:, :, 1:].any()
    assert not final.any()


@pytest.mark.parametrize("name", ["gated_retention", "kda"])
def test_gates_of_another_layout_are_vectorized(name):
    """Gates [B, T, H] and [B, T, H, features], as models often have them."""
    x = aec.tensor("B", HEADS, "T", FEATURES)
    diagonal = name == "kda"
    spec = aec.tensor("B", "T", HEADS, *([FEATURES] if diagonal else []))

    @aec.program(q=x, k=x, v=x, g=spec)
    def gated(q, k, v, g):
        def step(S, q, k, v, b, h, t):
            decay = aec.exp(g[b, t, h])
            S = (decay[:, None] if diagonal else decay) * S + aec.outer(k, v)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    kernel = aec.compile(gated)
    assert kernel.artifact.metadata["not_vectorized"] == []
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, HEADS, 45, FEATURES)).astype(np.float32)
    shape = (2, 45, HEADS, FEATURES) if diagonal else (2, 45, HEADS)
    check(kernel, {"q": q, "k": k, "v": v, "g": -np.abs(rng.standard_normal(shape)).astype(np.float32)})


def test_values_of_a_head_are_computed_as_vectors():
    x = aec.tensor("B", HEADS, "T", FEATURES)

    @aec.program(q=x, k=x, v=x, w=aec.tensor(HEADS, FEATURES), d=aec.tensor(HEADS, FEATURES))
    def of_heads(q, k, v, w, d):
        def step(S, q, k, v, h):
            S = aec.exp(-aec.abs(w[h]))[:, None] * S + aec.outer(k, v)
            return S, q @ S + aec.tanh(d[h]) * v

        return aec.recurrence(q, k, v, step)

    kernel = aec.compile(of_heads)
    assert kernel.artifact.metadata["not_vectorized"] == []
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, HEADS, 45, FEATURES)).astype(np.float32)
    w, d = rng.standard_normal((2, HEADS, FEATURES)).astype(np.float32)
    check(kernel, {"q": q, "k": k, "v": v, "w": w, "d": d})


def test_chunks_that_no_stack_holds_are_named():
    with pytest.warns(UserWarning, match="chosen chunk are not vectorized: tiles larger than a stack"):
        aec.compile(program("kda"), chunk=256)


@pytest.mark.parametrize("name", ["gated_retention", "gla", "rwkv6", "kda"])
@pytest.mark.parametrize("operand", ["q", "k", "v", "gate"])
def test_what_is_not_finite_reaches_back_no_further_than_its_chunk(name, operand):
    chunk, place = 16, 40
    trouble = np.inf if operand == "v" else np.nan
    arrays = draw(name, 2, 70, [-0.1, -1.0])
    kernel = compiled(name, chunk=chunk)
    clean = kernel(*arrays.values())
    gate = next(iter(PROGRAMS[name][0]))
    arrays[gate if operand == "gate" else operand][1, 0, place] = trouble
    o, final = kernel(*arrays.values())
    first = place - place % chunk
    np.testing.assert_array_equal(o[0], clean[0][0])
    np.testing.assert_array_equal(o[:, 1], clean[0][:, 1])
    np.testing.assert_array_equal(o[1, 0, :first], clean[0][1, 0, :first])
    np.testing.assert_array_equal(final[0], clean[1][0])
    np.testing.assert_array_equal(final[:, 1], clean[1][:, 1])
    assert not np.isfinite(o[1, 0, place : place + 2]).all()  # rwkv6 reads before


def without_chunks():
    """A program with a decay for each value feature."""
    x = aec.tensor("B", HEADS, "T", FEATURES)

    @aec.program(q=x, k=x, v=x, g=x)
    def program(q, k, v, g):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(g[b, h, t])[None, :] * S + aec.outer(k, v)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    return program


def test_chosen_chunk_of_a_step_without_a_chunked_form_is_warned_of():
    with pytest.warns(UserWarning, match="not taken in the chosen chunk: unsupported: a decay that varies"):
        kernel = aec.compile(without_chunks(), chunk=32)
    (reason,) = kernel.artifact.metadata["not_chunked"]
    assert reason.startswith("unsupported: a decay that varies over the value feature")


def test_step_without_a_chunked_form_is_no_warning_by_itself():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert aec.compile(without_chunks()).artifact.metadata["not_proved"] == []


def test_chunked_form_that_is_not_proved_is_warned_of(monkeypatch):
    monkeypatch.setattr(chunked, "proved", lambda decay: False)
    with pytest.warns(UserWarning, match="position by position: unsupported: a step of which it can't be"):
        kernel = aec.compile(program("gated_retention"))
    check(kernel, draw("gated_retention", 1, 20, [-0.1]))


def test_chunk_of_one_goes_from_position_to_position():
    assert " chunk=1 " in pipeline_for(CpuSchedule(chunk=1), host_target())
    assert "attn-derive-chunked" not in pipelines.cpu(chunk=1)
    assert aec.check(aec.compile(program("gla"), chunk=1), **draw("gla", 2, 37, [-0.1])).max_rel_error < 1e-5


def test_chunk_out_of_range():
    with pytest.raises(ValueError, match="expects chunk to be 1 to 1024, or 0 to choose, got 2000"):
        aec.compile(program("kda"), chunk=2000)
