"""Sums of powers about an anchor: as exact as the direct form, however the keys are cut."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streaming_forms import derived, passes, program, splits

import aecompiler as aec
from aecompiler import masks
from aecompiler.algebra import terms as t
from aecompiler.algebra.deviations import anchor_of, deviations
from aecompiler.algebra.folding import FALSE, TRUE, holds
from aecompiler.algebra.laws import LawError, check
from aecompiler.algebra.normal import equal
from aecompiler.algebra.separation import Inseparable
from aecompiler.algebra.streaming import StreamingForm
from aecompiler.algebra.terms import Depends
from aecompiler.passes.rewriting import walk_list
from aecompiler.passes.streaming_ops import ReadForm, read_form

KEYS = 24
"""Few enough that every cut is likely."""


def mean_of(row):
    return row.sum() / (row * 0.0 + 1.0).sum()


def softmax_of(row):
    e = aec.exp(row - row.max())
    return e / e.sum()


def variance(row):
    x = row - mean_of(row)
    return softmax_of(row), mean_of(x * x)


def third_power(row):
    x = row - mean_of(row)
    return softmax_of(row), mean_of(x * x * x)


def fourth_power(row):
    x = row - mean_of(row)
    return softmax_of(row), mean_of(x**4)


def variance_of_softmax(row):
    p = softmax_of(row)
    x = row - (p * row).sum()
    return p, (p * x * x).sum()


def variance_of_some(row, j):
    x = row - mean_of(row)
    return softmax_of(row), aec.where(j % 3 == 1, x * x, 0.0).sum()


def variance_of_signed(row, j):
    weight = aec.where(j % 4 == 1, -0.5, 1.0)
    x = row - (weight * row).sum() / weight.sum()
    return softmax_of(row), (weight * (x * x)).sum() / weight.sum()


def scaled_variance(row, i):
    x = row * (1.0 + i) - mean_of(row * (1.0 + i))
    return softmax_of(row), mean_of(x * x)


def covariance(row):
    x, y = row - mean_of(row), aec.tanh(row - 1000.0) - mean_of(aec.tanh(row - 1000.0))
    return softmax_of(row), mean_of(x * y)


def around_the_smallest(row):
    x = row - row.min()
    return softmax_of(row), mean_of(x * x)


def standardized(row):
    x = row - mean_of(row)
    return softmax_of(x * aec.rsqrt(mean_of(x * x) + 1e-5))


def deviation_of_deviation(row):
    x = row - mean_of(row)
    y = x * x - mean_of(x * x)
    return softmax_of(row), mean_of(y * y)


CASCADES = {
    each.__name__: each
    for each in (
        *(variance, third_power, fourth_power, variance_of_softmax, variance_of_some, variance_of_signed),
        *(scaled_variance, covariance, around_the_smallest, deviation_of_deviation),
    )
}

_SCALES = {"third_power": 1.0, "variance_of_softmax": 0.25, "covariance": 0.5}
"""What an error is relative to, where the result may be small beside its summands."""

_ALLOWED = {"variance_of_some": 1e-4}
"""Not around a mean of their own: that the mean is rounded, by 3e-5 here, moves the result in proportion."""


def direct(name: str, s: np.ndarray) -> float:
    """The extra of a cascade, by its formula."""
    x = s - s.mean()
    p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
    j = np.arange(len(s))
    signed = np.where(j % 4 == 1, -0.5, 1.0)
    y = np.tanh(s - 1000.0)
    return {
        "variance": lambda: (x**2).mean(),
        "third_power": lambda: (x**3).mean(),
        "fourth_power": lambda: (x**4).mean(),
        "variance_of_softmax": lambda: (p * (s - (p * s).sum()) ** 2).sum(),
        "variance_of_some": lambda: (x**2)[j % 3 == 1].sum(),
        "variance_of_signed": lambda: np.average((s - np.average(s, weights=signed)) ** 2, weights=signed),
        "scaled_variance": lambda: ((x * 4.0) ** 2).mean(),
        "covariance": lambda: (x * (y - y.mean())).mean(),
        "around_the_smallest": lambda: ((s - s.min()) ** 2).mean(),
        "deviation_of_deviation": lambda: ((x**2 - (x**2).mean()) ** 2).mean(),
    }[name]()


# ---- forms in float32 ----------------------------------------------------------------------------


_ARITHMETIC: dict[str, Callable] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "max": np.maximum,
    "min": np.minimum,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}


_INTEGERS: dict[str, Callable] = {
    "arith.subi": operator.sub,
    "arith.muli": operator.mul,
    "arith.floordivsi": operator.floordiv,
    "arith.cmpi": operator.eq,  # of the cascades above
    "arith.index_cast": operator.index,
    "arith.sitofp": np.float32,
}


class Row:
    """A row of a streaming form, computed in float32 as its regions say."""

    def __init__(self, read: ReadForm, scores: np.ndarray):
        self.read, self.form, self.scores = read, read.form, scores

    def extra(self, split) -> float:
        """The extra, with the keys cut as `split` says."""
        return float(self._values([self.form.extras[0]], self._indices() | self._visited(split), None)[0])

    def _visited(self, split) -> dict:
        form = self.form
        if isinstance(split, tuple):
            sides = [self._visited(part) for part in split]
            known = self._indices()
            for side, symbols in zip(sides, (form.left, form.right), strict=True):
                known |= dict(zip(symbols, side.values(), strict=True))
            merged = self._values(form.merged, known, None)
            return dict(zip(form.states, merged, strict=True))
        state = dict(zip(form.states, self._values(form.init, {}, None), strict=True))
        for tile in split:
            updated = self._values(form.update, self._indices() | state, np.array(tile, np.int64))
            state = dict(zip(form.states, updated, strict=True))
        return state

    def _indices(self) -> dict:
        _, b, h, i, _ = self.read.arguments
        return {b: 0, h: 0, i: 3}

    def _values(self, terms, known, tile):
        s, *_, j = self.read.arguments
        memo = dict(known)
        if tile is not None:
            memo |= {s: self.scores[tile], j: tile}

        def visit(part):
            if part not in memo:
                memo[part] = self._value(part, [visit(arg) for arg in part.args], tile)
            return memo[part]

        with np.errstate(all="ignore"):
            return [visit(term) for term in terms]

    def _value(self, part, args, tile):
        if part.op == "const":
            return np.float32(part.data)
        if part in (TRUE, FALSE):
            return part is TRUE
        if part.op == "reduce":
            values = np.broadcast_to(np.float32(args[0]), tile.shape)
            start = np.float32(t.value_of(t.IDENTITIES[part.data]))
            return functools.reduce(_ARITHMETIC[{"sum": "add"}.get(part.data, part.data)], values, start)
        if part.op == "select":
            return np.where(args[0], args[1], args[2]).astype(np.float32)
        if part.op == "cmp":
            return np.vectorize(lambda a, b: holds(part.data, float(a), float(b)))(*args)
        if part.op == "fn":
            return self._integers(part, args)
        return np.float32(_ARITHMETIC[part.op](*args))

    def _integers(self, part, args):
        """Arithmetic on positions."""
        name, attributes, _, _ = part.data
        if name == "arith.constant":
            return int(attributes[0].removeprefix("value=").split(" : ")[0])
        return _INTEGERS[name](*args)


@functools.cache
def form_of(name: str, options: str = "") -> tuple[ReadForm, Any]:
    """The streaming form of a cascade, and the module that it is read from."""
    module = derived(program(CASCADES[name], dtype="f32"), options)
    return read_form(walk_list(module.operation, "attn.online_attention")[-1]), module


@functools.cache
def row_of(name: str, seed: int, mean: float, outlier: float) -> tuple[Row, float]:
    """A row of scores around a mean, and the extra by its formula."""
    rng = np.random.default_rng(seed)
    scores = (mean + rng.standard_normal(KEYS)).astype(np.float32)
    scores[rng.integers(KEYS)] += outlier
    return Row(form_of(name)[0], scores), direct(name, scores.astype(np.float64))


@pytest.mark.parametrize("name", CASCADES)
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ill_conditioned_scores_keep_their_digits_however_they_are_cut(name, data):
    """In float32, mean 1000 and deviation 1: S2 - S1^2 / n would have an error of about 0.1."""
    seed = data.draw(st.integers(0, 3), label="seed")
    mean, outlier = data.draw(st.sampled_from([(1000.0, 0.0), (1000.0, 4.0), (-900.0, -6.0)]), label="scores")
    row, want = row_of(name, seed, mean, outlier)
    got = row.extra(data.draw(splits(KEYS), label="split"))
    allowed = _ALLOWED.get(name, 1e-5) * max(abs(want), _SCALES.get(name, 0.0))
    assert abs(got - want) <= allowed


@pytest.mark.parametrize("options", ["", "lazy-rescale=4"])
@pytest.mark.parametrize("name", CASCADES)
def test_laws_hold_whatever_the_anchor_is(name, options):
    """They are proved in the derivation, and from the regions alone when a form is `derived`."""
    module = form_of(name, options)[1]
    assert passes(module) == 1
    anchors = re.findall(r"anchor: (x\d+) follows the mean of ", str(module))
    proved = re.findall(r"whatever (x\d+) is", str(module))
    assert anchors
    assert set(anchors) <= set(proved)


@pytest.mark.parametrize("name", ["variance", "covariance", "variance_of_softmax"])
def test_merges_that_move_sums_in_another_way_are_refused(name):
    """Of an anchor that may be anything: the mean itself needs no sum of the deviations from it."""
    form = form_of(name)[0].form
    anchors = [n for n, term in enumerate(form.update) if term.op == "select"]
    tried = 0
    for number, merged in enumerate(form.merged):
        if number in anchors or not {form.merged[n] for n in anchors}.intersection(t.parts(merged)):
            continue
        for part in t.parts(merged):
            if part.op not in _OTHER:
                continue
            changed = [*form.merged]
            changed[number] = t.substitute(merged, {part: _OTHER[part.op](*part.args)})
            if not equal(changed[number], merged):
                tried += 1
                with pytest.raises(LawError):
                    check(dataclasses.replace(form, merged=tuple(changed)), anchors)
    assert tried > 10


_OTHER = {"add": t.sub, "sub": lambda a, b: t.sub(b, a), "mul": lambda a, b: b}
"""What parts of a merge could be by mistake."""


def test_an_anchor_that_lags_loses_nothing_but_digits():
    """With the anchor left at 0 the form is that of plain sums of powers: still right, but not exact."""
    read = form_of("variance")[0]
    (anchor,) = (n for n, term in enumerate(read.form.update) if term.op == "select")
    stays = {read.form.update[anchor]: t.ZERO, read.form.merged[anchor]: t.ZERO}
    form = StreamingForm(
        **{
            field.name: tuple(t.substitute(term, stays) for term in getattr(read.form, field.name))
            for field in dataclasses.fields(StreamingForm)
        }
    )
    check(form)
    scores = (1000.0 + np.random.default_rng(0).standard_normal(KEYS)).astype(np.float32)
    rows = [Row(dataclasses.replace(read, form=each), scores) for each in (read.form, form)]
    with_anchor, without = (
        abs(row.extra([range(KEYS)]) / scores.astype(np.float64).var() - 1) for row in rows
    )
    assert with_anchor < 1e-6 < 1e-3 < without


# ---- expansions ----------------------------------------------------------------------------------

S = t.symbol("s", Depends.ELEMENT)
R, Q = (t.symbol(name, Depends.VARYING) for name in "rq")
C = t.symbol("c", Depends.FIXED)

_ELEMENT = st.sampled_from([S, t.function("tanh", S), t.mul(S, C)])
_DEVIATION = st.builds(
    lambda make, x, r: make(x, r),
    st.sampled_from([t.sub, t.add]),
    _ELEMENT,
    st.sampled_from([R, Q, t.neg(R)]),
)
_FACTORS = st.one_of(
    *(_DEVIATION, _DEVIATION, _ELEMENT, st.sampled_from([R, C, t.exp(S), t.exp(t.sub(S, R))])),
)
_PRODUCTS = st.recursive(
    _FACTORS,
    lambda inner: st.one_of(
        st.builds(t.mul, inner, inner), st.builds(t.mul, inner, inner), st.builds(t.sub, inner, _FACTORS)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(term=_PRODUCTS)
def test_expansions_about_any_anchor_are_equal_to_what_they_expand(term):
    try:
        products = deviations(term)
    except Inseparable:
        return
    if products is None:
        return
    assert equal(t.total(each.term for each in products), term)
    for each in products:
        assert not each.factor.element
        assert not each.weight.varying


def test_differences_from_an_anchor_stay_differences():
    squares, linear, rest = deviations(t.mul(t.sub(S, R), t.sub(S, R)))
    a = anchor_of(S)
    assert [squares.factor, linear.bases] == [t.ONE, (S,)]
    assert rest.factor is t.mul(t.held(t.sub(a, R)), t.held(t.sub(a, R)))
    assert equal(linear.factor, t.mul(t.TWO, t.sub(a, R)))


@pytest.mark.parametrize(
    "term", [t.sub(S, R), t.mul(S, S), t.mul(t.exp(S), t.sub(S, R)), t.mul(S, R), t.function("tanh", S)]
)
def test_what_multiplies_no_deviations_has_no_anchor(term):
    assert deviations(term) is None


def test_powers_of_sums_that_would_grow_too_large_have_no_anchor():
    def normalize(row):
        x = row + aec.tanh(row) + aec.sin(row) + aec.cos(row) + aec.abs(row)
        y = x + aec.sqrt(aec.abs(row)) + row * row
        return softmax_of(row), mean_of((y - mean_of(y)) ** 4), variance(row)[1]

    module = derived(program(normalize))
    assert passes(module) == 1
    assert "anchor: " not in str(module)


# ---- kernels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 100.0, -1000.0])
def test_standardized_softmax_is_as_exact_as_the_direct_form(level):
    """In f32, with 200 keys. What is left is the rounding of the scores."""
    x = aec.tensor("B", 4, "S", 16)

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s + level, mask=masks.causal(), normalize=standardized)

    arrays = [np.random.default_rng(n).standard_normal((2, 4, 200, 16)).astype(np.float32) for n in range(3)]
    kernels = [aec.compile(attention, target="cpu", direct=direct) for direct in (False, True)]
    (want,) = kernels[0].evaluate_reference(*arrays)
    streaming, whole = (np.abs(kernel(*arrays) - want).max() for kernel in kernels)
    assert streaming <= 1.25 * whole + 1e-7
    assert abs(level) > 100 or streaming <= 1e-5
