"""attn-derive-online: no form overflows, or is NaN, where the normaliser as it is written is a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from power_programs import power_programs
from streaming_forms import assert_close, derived, inputs, module_of, passes, program, run, splits

import aecompiler as aec


def centred(function: Callable) -> Callable:
    """The softmax of a function of s - m, which is at most 0."""

    def normalize(row: Any) -> Any:
        p = function(row - row.max())
        return p / p.sum()

    return normalize


def softmax_of(row):
    e = aec.exp(row - row.max())
    return e / e.sum()


def relative_to_its_largest(row):
    p = softmax_of(row)
    return p / p.max()


def relative_by_a_reciprocal(row):
    e = aec.exp(row - row.max())
    p = e * (1.0 / e.sum())
    return p / p.max()


def without_its_smallest(row):
    p = softmax_of(row)
    return p - p.min()


def weighted_relative_to_its_largest(row):
    e = row * aec.exp(row - row.max())
    return e / (aec.abs(e).max() + 1.0)


def negative_power(row):
    p = -softmax_of(row)
    return p / p.min(), p.max()


def with_its_product(row):
    p = softmax_of(row)
    return p * aec.exp(p.prod())


def product_of_shares(row):
    top = aec.abs(row).max() + 1.0
    return ((1.5 + aec.tanh(row)) / top).prod() + 0.0 * row


def product_of_any_sign(row):
    top = aec.abs(row).max() + 1.0
    return (row / top).prod() + 0.0 * row


def capped_power(row):
    p = aec.minimum(aec.exp(row), 5.0)
    return p / p.sum()


def capped_power_of_difference(row):
    return aec.minimum(aec.exp(row - row.max()), 0.5)


def power_of_small_scores(row):
    return aec.where(row < 3.0, aec.exp(row), 0.0)


def power_of_small_deviations(row):
    centre = row - row.sum() * 0.1
    return aec.where(centre < 3.0, aec.exp(centre), 0.0)


def product_of_powers(row):
    return (aec.exp(-aec.abs(row)) + 1.0) * (aec.exp(row) / (1.0 + aec.exp(row)))


def two_ended(row):
    return 1.0 / ((1.0 + aec.exp(row)) * (1.0 + aec.exp(-row)))


def divided_by_powers(row):
    top = row.max()
    return 1.0 / (aec.exp(row - top) + aec.exp(-top))


def gated(row):
    e = aec.exp(row - row.max())
    return aec.sigmoid(row) * e / e.sum()


def square_of_half(row):
    e = aec.exp(row * 0.5 - row.max())
    p = e / e.sum()
    return p * p / (p * p).sum(), p.max()


def square_of_standardized(row):
    e = aec.exp(aec.tanh(row / (row.max() + 2000.0)) * 300.0 - 450.0)
    p = e / e.sum()
    return p * p / (p * p).sum()


def soft_plus(row):
    e = aec.exp(row - row.max())
    return aec.log(1.0 + aec.exp(-aec.abs(row))) * e / e.sum()


def log_above_zero(row):
    return aec.where(row.min() > 0.0, aec.log(row), row)


def power_of_moderate_rows(row):
    return aec.where(aec.abs(row).max() > 50.0, row * 0.01, aec.exp(row))


def power_of_moderate_rows_in_a_sum(row):
    weight = aec.where(aec.abs(row).max() > 50.0, row * 0.01, aec.exp(row))
    return row / (1.0 + aec.abs(weight.sum()))


def two_powers_by_row(row):
    top = row.max()
    return aec.where(top > 50.0, aec.exp(row - top), aec.exp(row) * 0.1)


def reciprocal_of_far_rows(row):
    return aec.where(row.min() > 0.5, 1.0 / row, row)


def small_power_by_root(row):
    return aec.sqrt(aec.exp(row - row.max()) * (1.0 + aec.abs(row)))


PROGRAMS = {
    "exp^1.5": (centred(lambda d: aec.exp(d) ** 1.5), 1),
    "exp^0.25": (centred(lambda d: aec.exp(d) ** 0.25), 1),
    "exp^5": (centred(lambda d: aec.exp(d) ** 5), 1),
    "rsqrt": (centred(lambda d: aec.rsqrt(aec.exp(-d))), 1),
    "1 / sqrt": (centred(lambda d: 1.0 / aec.sqrt(aec.exp(-d))), 1),
    "1 / exp": (centred(lambda d: 1.0 / aec.exp(-d)), 1),
    "exp / exp": (centred(lambda d: aec.exp(2.0 * d) / aec.exp(d)), 1),
    "(exp + 1) / exp": (lambda row: (aec.exp(row) + 1.0) / (aec.exp(row) * 2.0), 1),
    "p / max p": (relative_to_its_largest, 1),
    "p / max p by a reciprocal": (relative_by_a_reciprocal, 1),
    "p - min p": (without_its_smallest, 1),
    "s e / max s e": (weighted_relative_to_its_largest, 2),
    "-p / min -p": (negative_power, 1),
    "prod p": (with_its_product, 1),
    "prod of shares": (product_of_shares, 1),
    "prod of any sign": (product_of_any_sign, 2),
    "min(exp, c)": (capped_power, 1),
    "min(exp(d), c)": (capped_power_of_difference, 2),
    "exp of small s": (power_of_small_scores, 1),
    "exp of small deviations": (power_of_small_deviations, 2),
    "product of sums of powers": (product_of_powers, 1),
    "two ended": (two_ended, 1),
    "divided by powers": (divided_by_powers, 2),
    "gated": (gated, 1),
    "square of half": (square_of_half, 1),
    "square of standardized": (square_of_standardized, 2),
    "softplus": (soft_plus, 1),
    "guarded log": (log_above_zero, 2),
    "guarded exp": (power_of_moderate_rows, 1),
    "guarded exp in a sum": (power_of_moderate_rows_in_a_sum, 1),
    "two guarded powers": (two_powers_by_row, 1),
    "guarded reciprocal": (reciprocal_of_far_rows, 2),
    "root": (small_power_by_root, 1),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_passes(name):
    normalize, expected = PROGRAMS[name]
    assert passes(derived(program(normalize))) == expected


@pytest.mark.parametrize("options", ["", "lazy-rescale=3"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_form_is_a_number_where_the_direct_form_is(name, options):
    for factor, summand in ((1.0, 0.0), (30.0, 0.0), (1.0, 1500.0), (1.0, -1500.0), (700.0, 0.0)):
        traced = program(PROGRAMS[name][0], score=lambda s, c=factor, d=summand: s * c + d)
        arguments = inputs(4, 7, seed=1)
        streaming = derived(traced, options)
        with np.errstate(all="ignore"):
            want = run(module_of(traced), arguments)
            for split in (None, [[0], [5, 1, 2], [3], [4, 6]], ([[4], [5, 0]], ([[]], [[1, 2], [3, 6]]))):
                got = run(streaming, arguments, split)
                kept = [np.where(np.isfinite(old), new, old) for new, old in zip(got, want, strict=True)]
                assert_close(kept, want, 1e-9)


@pytest.mark.timeout(0)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=power_programs(), data=st.data())
def test_random_powers_are_numbers_where_those_of_the_direct_form_are(case, data):
    traced = case.trace()
    streaming = derived(traced, data.draw(st.sampled_from(["", "lazy-rescale=3"])))
    arguments = case.inputs(case.calls[0])
    split = data.draw(splits(arguments[1].shape[2]))
    with np.errstate(all="ignore"):
        want = run(module_of(traced), arguments)
        got = run(streaming, arguments, split)
    kept = [np.where(np.isfinite(old), new, old) for new, old in zip(got, want, strict=True)]
    assert_close(kept, want, 1e-8)


def through_its_logarithm(row):
    return row * aec.exp(aec.log(row.sum()))


def through_its_root(row):
    size = row.sum()
    return row * (aec.sqrt(size) * aec.sqrt(size))


def by_its_share_of_nothing(row):
    nothing = row.max() - row.max()
    return row * nothing / nothing


def by_a_sum_of_nothing(row):
    size = aec.maximum(row, 0.0).sum()
    return row * size / size


@pytest.mark.parametrize(
    "normalize", [through_its_logarithm, through_its_root, by_its_share_of_nothing, by_a_sum_of_nothing]
)
def test_a_form_is_nan_where_the_direct_form_is(normalize):
    for sign in (1.0, -1.0):
        traced = program(normalize, score=lambda s, c=sign: c * aec.abs(s))
        arguments = inputs(4, 7)
        with np.errstate(all="ignore"):
            assert_close(run(derived(traced), arguments), run(module_of(traced), arguments), 1e-9)


@pytest.mark.parametrize("temperature", [2.0, 0.5, 0.0, -1.0, -30.0])
def test_temperatures_that_are_captured_may_have_any_sign(temperature):
    x = aec.tensor(1, 2, "S", 4, dtype="f64")
    v = aec.tensor(1, 2, "S", 3, dtype="f64")

    @aec.program(q=x, k=x, v=v, c=aec.scalar("f64"), d=aec.tensor("S", dtype="f64"))
    def traced(q, k, v, c, d):
        def normalize(row, i):
            e = aec.exp(c * (row - row.max()))
            f = aec.exp(row * d[i])
            return e / e.max() + f / (1.0 + f.sum()), (e / e.sum()).max()

        return aec.attention(q, k, v, normalize=normalize)

    arguments = inputs(5, 5, scale=2.0)
    arguments += [np.float64(temperature), np.linspace(-1, 1, 5)]
    with np.errstate(all="ignore"):
        want = run(module_of(traced), arguments)
        for options in ("", "lazy-rescale=3"):
            streaming = derived(traced, options)
            for split in (None, [[0], [4, 1, 2], [3]], ([[4], [0]], [[1, 2], [3]])):
                assert_close(run(streaming, arguments, split), want, 1e-9)


def test_the_largest_score_of_a_row_need_not_be_an_exponent():
    """In f32, on the CPU: scores of some hundreds."""
    tensor = aec.tensor(1, 1, "S", 16)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 1, 19, 16)).astype(np.float32) for _ in range(3))
    for name in ("p / max p", "exp^1.5", "rsqrt", "s e / max s e", "guarded exp"):

        @aec.program(q=tensor, k=tensor, v=tensor)
        def traced(q, k, v, name=name):
            return aec.attention(q, k, v, normalize=PROGRAMS[name][0])

        direct = aec.compile(traced, target="cpu", direct=True)
        (got, want) = (np.asarray(kernel(q * 40, k, v)) for kernel in (aec.compile(traced), direct))
        assert np.isfinite(want).all()
        np.testing.assert_allclose(got, want, atol=2e-4, err_msg=name)
