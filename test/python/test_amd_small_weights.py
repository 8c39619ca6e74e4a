"""Small weights in f16 on chips whose matrix instructions take denormal numbers for 0, in the simulator."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from amd_road import CHIPS, attention, check, compiled

import aecompiler as aec
from aecompiler.accuracy import compare
from aecompiler.backends.amd import backend
from aecompiler.backends.amd.schedule import pipeline_for
from aecompiler.backends.amd.target import named_target
from aecompiler.tools.tolerances import default_tolerance

pytest.importorskip("triton")

TILES = {"block_q": 16, "block_kv": 64, "waves": 1}
SOFTMAX = aec.normalizers.softmax(lse=True)


def with_an_outlier(kernel: aec.Kernel, rows: int, keys: int, gap: float = 10.0) -> list[np.ndarray]:
    """q, k and v of rows with one key whose score is larger than all others' by `gap`, and whose v is 0."""
    random = np.random.default_rng(keys)
    heads, kv_heads = kernel.arguments[0].shape[1], kernel.arguments[1].shape[1]
    features, width = kernel.arguments[0].shape[3], kernel.arguments[2].shape[3]
    q = random.standard_normal((1, heads, rows, features)) / 4
    k = random.standard_normal((1, kv_heads, keys, features)) / 4
    v = 1 + random.standard_normal((1, kv_heads, keys, width)) / 4
    q[..., 0], k[..., 0] = 8, -gap * features**0.5 / 8
    k[:, :, 0, 0], v[:, :, 0] = 0, 0
    return [x.astype(np.float16) for x in (q, k, v)]


def error_of(kernel: aec.Kernel, inputs: list[np.ndarray]) -> float:
    """The error of o relative to the reference."""
    got, *_ = kernel(*inputs)
    want, *_ = kernel.evaluate_reference(*inputs)
    return compare("o", got, want).max_rel_error


def unscaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile without `tt-scale-weights`."""
    monkeypatch.setattr(
        backend, "pipeline_for", lambda *given: pipeline_for(*given).replace(" scale-weights=true", "")
    )


def test_targets_say_which_kernels_need_it():
    for chip in CHIPS:
        target = named_target(f"amd:{chip}")
        text = compiled(attention(1), chip, **TILES).artifact.manifest["pipeline"]
        assert ("scale-weights=true" in text) == target.matrix_flushes_denormals == (chip == "gfx90a")


FORMS = {
    "softmax": ({}, {}),
    "causal": ({"mask": aec.masks.causal(align="end")}, {}),
    "mask": ({"mask": lambda i, j: j % 7 != 1}, {}),
    "split": ({}, {"split": "keys"}),
    "heads": ({"heads": 4}, {"pack": "heads"}),
    "two pieces of v": ({"dv": 48}, {}),
    "waves": ({}, {"waves": 4, "block_q": 64, "block_kv": 32}),
    "triton": ({}, {"road": "triton"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_many_small_weights_are_not_lost(name):
    program, options = FORMS[name]
    heads = program.get("heads", 1)
    kernel = compiled(
        attention(**{"heads": heads, "normalize": SOFTMAX, **program}), "gfx90a", **{**TILES, **options}
    )
    check(kernel, with_an_outlier(kernel, 16, 512))


@pytest.mark.parametrize("gap", [12.0, 16.0])
def test_weights_of_any_size_that_counts(gap):
    """2000 weights of e^-16 are all that there is in o: the largest weight is that of a v of 0."""
    kernel = compiled(attention(1, normalize=SOFTMAX), "gfx90a", **TILES)
    check(kernel, with_an_outlier(kernel, 16, 2000, gap))


def test_scores_with_terms_of_their_own():
    """A bias, whose maximum is not that of q k, and a slope that is moved out of the scores."""

    def program(q, k, v, bias, slope):
        biased = aec.attention(q, k, v, score=lambda s, i, j: s / 4 + bias[i, j])
        sloped = aec.attention(q, k, v, score=lambda s, i, j: s / 4 + slope[0] * aec.cast(j - i, "f32"))
        return biased, sloped

    specs = {name: aec.tensor(1, 1, "S", 16, dtype="f16") for name in "qkv"}
    traced = aec.trace(
        program, **specs, bias=aec.tensor("S", "S", dtype="f32"), slope=aec.tensor(1, dtype="f32")
    )
    kernel = compiled(traced, "gfx90a", **TILES)
    bias = np.random.default_rng(0).uniform(-1, 0, (256, 256)).astype(np.float32)
    check(kernel, [*with_an_outlier(kernel, 256, 256), bias, np.float32([-(2.0**-8)])])


def test_keys_of_one_tile():
    """There is no loop then, and the accumulator starts with a product of 0 and a power."""
    traced = aec.trace(
        lambda q, k, v: aec.attention(q, k, v, score=aec.scores.scale(), normalize=SOFTMAX),
        **{name: aec.tensor(1, 1, 64, 16, dtype="f16") for name in "qkv"},
    )
    kernel = compiled(traced, "gfx90a", **TILES)
    check(kernel, with_an_outlier(kernel, 64, 64, 12.0))


def test_they_are_lost_otherwise(monkeypatch):
    unscaled(monkeypatch)
    program = attention(1, normalize=SOFTMAX)
    for chip, is_lost in (("gfx90a", True), ("gfx942", False)):
        kernel = compiled(program, chip, **TILES)
        error = error_of(kernel, with_an_outlier(kernel, 16, 512))
        assert (error > 0.5) == is_lost
        assert is_lost or error <= default_tolerance(kernel.arguments)


def test_nothing_else_changes(monkeypatch):
    """Where no weight is denormal, results are the same to the bit."""
    program = attention(2, mask=aec.masks.causal(), normalize=SOFTMAX)
    make = functools.partial(compiled, program, "gfx90a", **TILES)
    scaled = make()
    inputs = [x[:, :1] for x in with_an_outlier(scaled, 96, 96, gap=6.0)]
    inputs[0] = np.repeat(inputs[0], 2, axis=1)
    got = scaled(*inputs)
    unscaled(monkeypatch)
    for one, other in zip(got, make()(*inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [2.0**20, 2.0**23, 2.0**26])
def test_rounding_of_large_scores_does_not_overflow(size):
    """The largest weights are up to 2^8, as s and m are rounded: times 2^15 that is beyond f16."""
    scores = aec.scores.scale(size / 1.1)
    kernel = compiled(
        aec.trace(
            lambda q, k, v: aec.attention(q, k, v, score=scores, normalize=SOFTMAX),
            **{name: aec.tensor(1, 1, "S", 16, dtype="f16") for name in "qkv"},
        ),
        "gfx90a",
        **TILES,
    )
    random = np.random.default_rng(1)
    q, k = np.zeros((2, 1, 1, 32, 16), np.float16)
    q[..., 0] = 1 + np.arange(32) / 32
    k[..., 0] = 1 - np.arange(32)[::-1] / 32
    v = random.standard_normal((1, 1, 32, 16)).astype(np.float16)
    o, _ = kernel(q, k, v)
    np.testing.assert_allclose(np.asarray(o)[0, 0], np.broadcast_to(v[0, 0, 31], (32, 16)), rtol=2e-3)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(number):
    kernel = compiled(attention(1, mask=aec.masks.causal(align="end")), "gfx90a", **TILES)
    inputs = with_an_outlier(kernel, 24, 96)
    inputs[2][0, 0, 90, 3] = number
    check(kernel, inputs)
