"""What is added to whole rows of scores: errors, numbers that stand for -inf, and operations of tiles."""

import functools

import numpy as np
import pytest
from test_tt_fold_exponents import STAND_INS, B, H, data, error, tile_operations, traced
from triton_programs import Kernels

import aecompiler as aec

PER_HEAD = {"table": aec.tensor(H)}
PER_ROW = {"table": aec.tensor("B", "Sq")}
SCORES = {
    "number": ((), lambda: lambda s: s * 0.3 + 2.5),
    "head": (PER_HEAD, lambda table: lambda s, h: s * 0.3 + table[h]),
    "row": (PER_ROW, lambda table: lambda s, b, i: s * 0.3 + table[b, i]),
    "less": (PER_ROW, lambda table: lambda s, b, i: s * 0.3 - table[b, i]),
    "distance": (PER_HEAD, lambda table: lambda s, h, i, j: s * 0.3 + table[h] * aec.cast(j - i, "f32")),
    "distance less": (PER_HEAD, lambda table: lambda s, h, i, j: s * 0.3 - table[h] * aec.cast(i - j, "f32")),
    "softcap": (PER_HEAD, lambda table: lambda s, h: table[h] + 5.0 * aec.tanh(s * 0.2)),
}
NORMALIZERS = {
    "softmax": lambda **_: aec.normalizers.softmax(lse=True),
    "base-2": lambda **_: aec.normalizers.softmax(lse=True, base=2),
    "sink": lambda **_: aec.normalizers.softmax_sink(0.5, lse=True),
}


MASKS = {
    "all": None,
    "causal": lambda **_: aec.masks.causal(align="end"),
    "window": lambda **_: aec.masks.window(9),
}


@functools.cache
def kernels_of(score, normalizer="softmax", dtype="f32", mask="causal"):
    captured, made = SCORES[score]
    return Kernels(traced(made, MASKS[mask], NORMALIZERS[normalizer], captured, dtype))


def values(score, number=0.75):
    """The captured values of a score."""
    if SCORES[score][0] is PER_ROW:
        return [np.random.default_rng(3).standard_normal((B, data()[0].shape[2])).astype(np.float32)]
    return [np.array([number, -1.5], np.float32)] if SCORES[score][0] else []


def run(score, inputs, **how):
    pairs = kernels_of(score, **how).run(inputs)
    return [(got.astype(np.float64), want) for _, got, want in pairs]


@pytest.mark.parametrize(("normalizer", "mask"), [*zip(NORMALIZERS, MASKS, strict=True)])
@pytest.mark.parametrize("score", SCORES)
def test_results_agree_with_the_reference(score, normalizer, mask):
    assert (
        error(run(score, [*data(3.0), *values(score)], normalizer=normalizer, mask=mask)) < 5e-6
    )  # of scores up to 60


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("number", [-x for x in STAND_INS] + STAND_INS)
def test_numbers_that_stand_for_infinities(number, dtype):
    """Rows whose scores are all absorbed: weights are those without the number, or equal, and o is finite."""
    inputs = [x.astype(np.float32 if dtype == "f32" else np.float16) for x in data()]
    (got, _), _ = run("head", [*inputs, *values("head", number)], dtype=dtype)
    (without, _), _ = run("head", [*inputs, *values("head", 0.0)], dtype=dtype)
    if number == np.inf:
        assert np.isnan(got[:, 0]).all()
    elif number == -np.inf:
        assert (got[:, 0] == 0).all()
    else:
        assert np.isfinite(got).all()
        # The maxima of tiles are absorbed as well, so that their sums may count by powers of e.
        assert np.abs(got[:, 0]).max() <= np.abs(inputs[2]).astype(np.float64).max()
    np.testing.assert_array_equal(got[:, 1], without[:, 1])


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("score", ["head", "row", "distance"])
def test_infinities_and_nan_give_what_the_reference_gives(score, number):
    q, k, v = data()
    q[:, :, 4, 0] = k[:, :, 7, 1] = number
    for got, want in run(score, [q, k, v, *values(score)]):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


@pytest.mark.parametrize("score", SCORES)
def test_tiles_are_not_added_to(score):
    """But for what differs along the columns."""
    captured, made = SCORES[score]
    program = traced(made, MASKS["causal"], NORMALIZERS["softmax"], captured)
    full = tile_operations(Kernels(program, "block-q=64 block-kv=64").module)[0]
    assert full["addf"] + full["subf"] == 1 + score.startswith("distance")


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, 1e6])
def test_differences_of_large_numbers_keep_their_digits(offset):
    """The same number added to both tensors changes the difference by their own rounding alone."""
    captured = {"rows": aec.tensor("B", "Sq"), "columns": aec.tensor("B", "Skv")}
    program = traced(
        lambda rows, columns: lambda s, b, i, j: s * 0.3 + 0.5 * (columns[b, j] - rows[b, i]),
        None,
        NORMALIZERS["softmax"],
        captured,
    )
    q, k, v = data()
    random = np.random.default_rng(5)
    tables = [(random.standard_normal((B, x.shape[2])) + offset).astype(np.float32) for x in (q, k)]
    pairs = [(got.astype(np.float64), want) for _, got, want in Kernels(program).run([q, k, v, *tables])]
    assert error(pairs) < 5e-6
