"""attn-derive-online: the number of passes, results however the keys are cut, edges, ranges."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from separable_programs import cascade_programs
from streaming_forms import (
    assert_close,
    derived,
    inputs,
    module_of,
    passes,
    program,
    run,
    splits,
    states,
    states_and_accumulators,
)

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError
from aecompiler.passes.infra import make_pass, run_pipeline

INF = float("inf")


def mean_of(row):
    return row.sum() / (row * 0.0 + 1.0).sum()


def softmax_of(x):
    e = aec.exp(x - x.max())
    return e / e.sum()


def centred(row):
    return softmax_of(row - mean_of(row))


def naive(row):
    e = aec.exp(row)
    return e / e.sum()


def naive_off_by_one(row):
    e = aec.exp(row)
    return e / (1.0 + e.sum())


def entropy(row):
    p = softmax_of(row)
    return p, -(p * aec.log(p)).sum()


def variance(row):
    centre = row - mean_of(row)
    return softmax_of(row), mean_of(centre * centre)


def several_extras(row):
    p = softmax_of(row)
    return p, row.max(), row.min(), mean_of(row), (p * p).sum()


def unit_norm(row):
    return row / aec.sqrt((row * row).sum() + 1e-6)


def range_normalised(row):
    return (row - row.min()) / (row.max() - row.min() + 1.0)


def largest_deviation(row):
    centre = row - mean_of(row)
    return row / (aec.abs(centre).max() + 1.0)


def two_temperatures(row):
    return softmax_of(row) - 0.5 * softmax_of(row * 0.5)


def geometric(row):
    n = (row * 0.0 + 1.0).sum()
    return row * (1.5 + aec.tanh(row)).prod() ** (1.0 / n)


def product_of_scaled(row):
    top = aec.abs(row).max() + 1.0
    return row * ((1.0 + aec.sigmoid(row)) / top).prod()


def three_stages(row):
    top = row.max()
    e = aec.exp(row - top)
    second = (e * (row - top)).sum() / e.sum()
    third = ((row - second) * e).sum()
    return (row - second) * e / (1.0 + third * third)


def masked_by_itself(row, j):
    seen = aec.where(j % 3 == 1, -INF, row)
    e = aec.exp(seen - seen.max())
    return e / e.sum()


def gated(row, h, j):
    e = aec.exp(row - row.max()) * aec.where(j % 3 == 0, 0.25, 1.0)
    return e / e.sum()


def per_row_temperature(row, i):
    return softmax_of(row * (0.1 * (i % 7 - 3)))


def standardized(row):
    centre = row - mean_of(row)
    return softmax_of(centre * aec.rsqrt(mean_of(centre * centre) + 1e-5))


def mean_deviation(row):
    deviation = aec.abs(row - mean_of(row))
    return deviation / deviation.sum()


def above_mean(row):
    return aec.maximum(row - mean_of(row), 0.0)


def deviations_that_share_a_pass(row):
    centre = row - mean_of(row)
    return row / (aec.abs(centre).sum() + aec.tanh(centre).sum() ** 2 + 1.0)


def deviation_of_deviation(row):
    deviation = aec.abs(row - mean_of(row))
    return aec.abs(deviation - mean_of(deviation))


def factor_of_the_head(row, h):
    """A sum that does not depend on the element, times one of the row, beside another times that."""
    scale = 0.5 + aec.abs(aec.tanh(row.max()))
    return row * aec.maximum((0.7 - 0.25 * h) * scale, aec.exp2(aec.minimum(row, 0.5)) * scale).sum()


def capped_power(row, i):
    """No float times 0.892 is the cap."""
    return aec.exp(aec.minimum(0.892 * row + aec.where(i % 2 == 0, 0.25, -0.5), 1.0))


def falling_power(row):
    return softmax_of(row * aec.tanh(row)) * aec.expm1(-aec.abs(row))


def capped_by_the_largest(row):
    e = aec.exp(row - row.max())
    return row * aec.tanh((e * aec.exp2(aec.minimum(row * 0.888, 0.5))).sum())


def product_of_deviations(row):
    centre = aec.cos(row.sum() / 5.0)
    return row * aec.tanh(((aec.log2(aec.abs(row) + 1.0) - centre) * (row / 3.3 + centre)).sum())


NAMED = {
    "softmax": (normalizers.softmax(lse=True), 1, 2),
    "softmax base 2": (normalizers.softmax(lse=True, base=2), 1, 2),
    "sink": (normalizers.softmax_sink(0.7, lse=True), 1, 2),
    "off by one": (normalizers.softmax_off_by_one(lse=True), 1, 2),
    "log softmax": (normalizers.log_softmax(lse=True), 1, 2),
    "sigmoid": (normalizers.sigmoid(-2.0), 1, 0),
    "relu": (normalizers.relu(mean=True), 1, 0),
    "relu squared": (normalizers.relu_squared(), 1, 0),
    "softpick": (normalizers.softpick(epsilon=1e-6), 1, 2),
    "softpick without epsilon": (normalizers.softpick(), 1, 2),
    "retention": (normalizers.retention(), 1, 1),
    "none": (normalizers.none(), 1, 0),
}
"""Normalisers of the library: passes, and state values."""

CASCADES = {
    "centred": (centred, 1, 2),
    "naive": (naive, 1, 2),
    "naive off by one": (naive_off_by_one, 1, 2),
    "entropy": (entropy, 1, 3),
    "variance": (variance, 1, 6),
    "several extras": (several_extras, 1, 6),
    "unit norm": (unit_norm, 1, 1),
    "range": (range_normalised, 1, 2),
    "largest deviation": (largest_deviation, 1, 4),
    "two temperatures": (two_temperatures, 1, 3),
    "geometric mean": (geometric, 1, 2),
    "product": (product_of_scaled, 1, 3),
    "three stages": (three_stages, 1, 3),
    "gated": (gated, 1, 2),
    "masked by itself": (masked_by_itself, 1, 3),
    "temperature of the row": (per_row_temperature, 1, 3),
    "factor of the head": (factor_of_the_head, 1, None),
    "capped power": (capped_power, 1, None),
    "falling power": (falling_power, 1, None),
    "capped by the largest": (capped_by_the_largest, 1, None),
    "product of deviations": (product_of_deviations, 1, None),
    "standardized": (standardized, 2, 2),
    "mean deviation": (mean_deviation, 2, 2),
    "above the mean": (above_mean, 2, 0),
    "deviations that share a pass": (deviations_that_share_a_pass, 2, None),
    "deviation of deviation": (deviation_of_deviation, 3, 0),
}

ALL = NAMED | CASCADES


@pytest.mark.parametrize("name", ALL)
def test_passes_and_states_are_the_fewest(name):
    normalize, expected, size = ALL[name]
    module = derived(program(normalize))
    assert passes(module) == expected
    if size is not None:
        assert states(module) == size


_FILES = sorted(Path("examples/mlir").glob("*.mlir"))
PROGRAMS = {path.stem: path.read_text(encoding="utf-8") for path in _FILES}
EXAMPLES = [name for name, text in PROGRAMS.items() if '"attn.attention"' in text]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_stream(name):
    expected = "2" if name == "standardized_softmax" else "1"
    with make_context():
        module = ir.Module.parse(PROGRAMS[name])
        run_pipeline(module, "attn-derive-online,attn-verify-online")
        assert set(re.findall(r"attn.passes = (\d)", str(module))) == {expected}


def test_log_softmax_has_two_accumulators():
    assert states_and_accumulators(derived(program(normalizers.log_softmax()))) == (2, 2)


_MODULES: dict = {}


def modules(name: str, options: str):
    """The direct and the streaming form of a normaliser, made once."""
    if (name, options) not in _MODULES:
        traced = program(ALL[name][0], mask=masks.causal())
        _MODULES[name, options] = (traced, module_of(traced), derived(traced, options))
    return _MODULES[name, options][1:]


@pytest.mark.parametrize("options", ["", "lazy-rescale=3"])
@pytest.mark.parametrize("name", ALL)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_split_and_merge_gives_the_direct_result(name, options, data):
    direct, streaming = modules(name, options)
    queries, keys = data.draw(st.sampled_from([(3, 7), (1, 1), (2, 5), (4, 0), (5, 3)]), label="sizes")
    scale = data.draw(st.sampled_from([1.0, 0.1, 5.0]), label="scale")
    arguments = inputs(queries, keys, data.draw(st.integers(0, 99)), scale)
    split = data.draw(splits(keys), label="split")
    assert_close(run(streaming, arguments, split), run(direct, arguments), 1e-10)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cascade_programs(), data=st.data())
def test_random_cascades_that_separate_stream_in_one_pass(case, data):
    traced = case.trace()
    streaming = derived(traced)
    assert passes(streaming) == 1
    arguments = case.inputs(case.calls[0])
    split = data.draw(splits(arguments[1].shape[2]))
    assert_close(run(streaming, arguments, split), run(module_of(traced), arguments), 1e-10)


@pytest.mark.parametrize("name", ["softmax", "softmax base 2", "sink", "off by one", "softpick", "centred"])
@pytest.mark.parametrize("level", [1e3, -1e3, 7e2])
def test_no_power_overflows_where_the_direct_form_does_not(name, level):
    normalize = ALL[name][0]
    traced = program(normalize, score=lambda s: s + level)
    streaming = derived(traced)
    arguments = inputs(3, 6)
    want = run(module_of(traced), arguments)
    for split in (None, [[0], [1, 2], [3, 4, 5]], ([[4], [5, 0]], ([[]], [[1, 2, 3]]))):
        assert_close(run(streaming, arguments, split), want)


@pytest.mark.parametrize("name", ["naive", "naive off by one"])
def test_powers_that_overflow_in_the_program_are_brought_into_range(name):
    traced = program(ALL[name][0], score=lambda s: s + 2e3)
    (o,) = run(derived(traced), inputs(3, 6))
    if name == "naive":
        shifted = program(normalizers.softmax(), score=lambda s: s + 2e3)
        assert_close([o], run(module_of(shifted), inputs(3, 6)))


@pytest.mark.parametrize("value", [float("nan"), INF])
@pytest.mark.parametrize("name", NAMED)
def test_scores_that_are_no_numbers_give_what_the_direct_form_gives(name, value):
    streaming = derived(program(NAMED[name][0]))
    direct = module_of(program(NAMED[name][0]))
    q, k, v = inputs(2, 5)
    q = np.abs(q)
    k[:, :, 3] = value
    for split in (None, [[0, 1], [2, 3, 4]], ([[3]], [[0, 1, 2, 4]])):
        with np.errstate(all="ignore"):
            assert_close(run(streaming, [q, k, v], split), run(direct, [q, k, v]))


def test_a_nan_that_would_cancel_is_kept():
    def normalize(row):
        top = row.max()
        return aec.exp(top - top) / (row * 0.0 + 1.0).sum()

    traced = program(normalize)
    q, k, v = inputs(2, 5)
    k[:, :, 1] = np.nan
    assert np.isnan(run(derived(traced), [q, k, v])[0]).all()


def test_masked_values_of_v_do_not_matter():
    traced = program(normalizers.softmax(), mask=masks.causal())
    q, k, v = inputs(3, 5)
    v[:, :, 4] = np.nan
    assert_close(run(derived(traced), [q, k, v], [[4, 0], [3, 1, 2]]), run(module_of(traced), [q, k, v]))


def capped(cap):
    return lambda s: cap * aec.tanh(s / cap)


@pytest.mark.parametrize(
    ("dtype", "score", "size"),
    [
        ("f32", capped(30.0), 1),
        ("f32", capped(59.0), 1),
        ("f32", capped(61.0), 2),
        ("f64", capped(500.0), 1),
        ("f16", capped(8.0), 1),
        ("f16", capped(30.0), 2),
        ("bf16", lambda s: 20.0 * aec.sigmoid(s), 1),
        ("f32", lambda s: aec.clamp(s, -5.0, 5.0), 1),
        ("f32", lambda s: -aec.abs(s), 2),
        ("f32", lambda s: aec.minimum(s, 5.0), 2),
        ("f32", lambda s, j: aec.where(j % 5 == 1, -INF, capped(30.0)(s)), 1),
    ],
)
def test_bounded_scores_need_no_maximum(dtype, score, size):
    module = derived(program(normalizers.softmax(lse=True), dtype=dtype, score=score))
    assert states(module) == size
    assert ("needs no reference" in str(module)) == (size == 1)
    assert str(module).count('kind = "max"') == size - 1


def test_references_that_lag_give_the_same():
    module = derived(program(normalizers.softmax()), "lazy-rescale=4")
    assert "reference: x0 follows max_j s when that is more than 4 larger" in str(module)
    arguments = inputs(4, 30, scale=2.0)
    want = run(module_of(program(normalizers.softmax())), arguments)
    assert_close(run(module, arguments, [[j] for j in range(30)]), want)


def test_too_many_passes_are_refused_with_the_law():
    with pytest.raises(CompileError, match="at most 2 passes over the keys; the weight does not separate"):
        derived(program(deviation_of_deviation), "max-passes=2")


def test_statistics_are_not_computed_where_nothing_needs_them():
    def normalize(row):
        unused = aec.abs(row - mean_of(row)).sum()
        return row + 0.0 * 1.0 if unused is None else row

    assert passes(derived(program(normalize))) == 1


def test_deriving_takes_little_time():
    traced = program(variance)
    module_of(traced)
    derived(traced, verify=False)
    start = time.perf_counter()
    for _ in range(5):
        derived(traced, verify=False)
    assert (time.perf_counter() - start) / 5 < 0.5  # about 0.03 where nothing else runs


@pytest.mark.parametrize("count", [60, 3000])
def test_huge_normalisers_are_derived_or_refused_in_bounded_time(count):
    def normalize(row):
        value = row
        for _ in range(count):
            value = value * value + row  # written out, this doubles
        return value / (value.sum() + 1.0)

    start = time.perf_counter()
    try:
        assert passes(derived(program(normalize))) == 1
    except CompileError as error:
        refused = str(error)
        assert "unsupported: " in refused
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("count", [4, 30])
def test_laws_that_are_tried_in_turn_take_time_in_proportion_to_the_formula(count):
    def normalize(row):
        top = row.max()
        value = row - top
        for number in range(count):
            value = aec.maximum(value, number - top)  # each maximum may have a common factor or summand
        return softmax_of(value)

    start = time.perf_counter()
    try:
        assert passes(derived(program(normalize))) == 1
    except CompileError as error:
        refused = str(error)
        assert count > 4
        assert "unsupported: " in refused  # the proof that all powers are in range may take too many steps
    assert time.perf_counter() - start < 20  # about 1; with each part looked at twice, 2^30 steps


def test_explanations_are_readable():
    module = module_of(program(normalizers.softmax()))
    before = str(module)
    text = make_pass("attn-derive-online").explain(module.operation)
    assert "attn.attention 0 in @attention: 1 pass\n" in text
    assert "x1' = exp(x0 - x0') * x1 + sum_j exp(s - x0')" in text
    assert str(module) == before


def test_a_program_that_captures_a_result_of_the_one_before():
    x = aec.tensor("B", 2, "S", 4)

    @aec.program(q=x, k=x, v=x)
    def weighted_twice(q, k, v):
        o, lse = aec.attention(q, k, v, normalize=normalizers.softmax(lse=True))
        return aec.attention(q, k, o, normalize=lambda row, b, h, i: aec.exp(row - lse[b, h, i]))

    arrays = [np.random.default_rng(n).standard_normal((1, 2, 9, 4)).astype(np.float32) for n in range(3)]
    kernel = aec.compile(weighted_twice, target="cpu")
    (want,) = kernel.evaluate_reference(*arrays)
    np.testing.assert_allclose(kernel(*arrays), want, rtol=0, atol=1e-5)


def test_rows_without_a_key_are_zero_where_a_temperature_depends_on_the_row():
    def normalize(row):
        m = row.max()
        p = aec.exp((row - m) * (1 + aec.tanh(m)))
        return p / p.sum(), m

    x = aec.tensor("B", 2, "S", 4)

    @aec.program(q=x, k=x, v=x)
    def tempered(q, k, v):
        return aec.attention(q, k, v, mask=lambda i: i % 2 == 1, normalize=normalize)

    arrays = [np.random.default_rng(n).standard_normal((1, 2, 9, 4)).astype(np.float32) for n in range(3)]
    kernel = aec.compile(tempered, target="cpu")
    for got, want in zip(kernel(*arrays), kernel.evaluate_reference(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "temper", [lambda x: x * 2.0, lambda x: x / 0.7, lambda x: x * 0.5], ids=["2", "1 / 0.7", "0.5"]
)
def test_a_temperature_of_the_normaliser_does_not_overflow(temper):
    """Scores of the lowest finite number, a usual mask: only differences of them may be scaled."""

    def normalize(row):
        weights = aec.exp(temper(row - row.max()))
        return weights / weights.sum()

    tensor = aec.tensor("B", 1, "S", 8)

    @aec.program(q=tensor, k=tensor, v=tensor, bias=aec.tensor("S", "S"))
    def program(q, k, v, bias):
        return aec.attention(q, k, v, score=lambda s, b, h, i, j: s + bias[i, j], normalize=normalize)

    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 1, 40, 8), dtype=np.float32) for _ in range(3))
    lowest = np.finfo(np.float32).min
    bias = np.where(np.tri(40, dtype=bool), 0, lowest).astype(np.float32)
    bias[:5] = lowest
    kernel = aec.compile(program)
    (want,) = kernel.evaluate_reference(q, k, v, bias)
    np.testing.assert_allclose(kernel(q, k, v, bias), want, atol=1e-5)
