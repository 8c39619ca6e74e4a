"""The algebra of normalisers: normal forms, separation, bounds and folding, against plain evaluation."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aecompiler.algebra import terms as t
from aecompiler.algebra.folding import fold
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import equal, normal, simplify
from aecompiler.algebra.polynomials import TooLargeError, to_term
from aecompiler.algebra.printing import formula
from aecompiler.algebra.scaling import reference, shifted
from aecompiler.algebra.separation import Inseparable, close, separate
from aecompiler.algebra.terms import LN2, ONE, ZERO, Depends

S = t.symbol("s", Depends.ELEMENT)
U = t.symbol("u", Depends.ELEMENT, 0.5, 3.0)
R = t.symbol("r", Depends.VARYING)
P = t.symbol("p", Depends.VARYING, 0.25, 4.0)
C = t.symbol("c", Depends.FIXED)
SYMBOLS = (S, U, R, P, C)


def number(value):
    return t.const(value)


def extend(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda pair: t.add(*pair)),
        two.map(lambda pair: t.sub(*pair)),
        two.map(lambda pair: t.mul(*pair)),
        two.map(lambda pair: t.div(pair[0], t.add(ONE, t.absolute(pair[1])))),
        two.map(lambda pair: t.maximum(*pair)),
        two.map(lambda pair: t.minimum(*pair)),
        two.map(lambda pair: t.select(t.compare("ogt", C, ZERO), *pair)),
        inner.map(t.neg),
        inner.map(t.absolute),
        inner.map(t.exp),
        inner.map(lambda x: t.exp(t.mul(x, LN2))),
        inner.map(lambda x: t.log(t.add(ONE, t.absolute(x)))),
        inner.map(lambda x: t.log(t.exp(x))),
        inner.map(lambda x: t.sqrt(t.absolute(x))),
        inner.map(lambda x: t.power(x, t.TWO)),
        inner.map(lambda x: t.power(t.absolute(x), number(1.5))),
        inner.map(lambda x: t.function("tanh", x)),
        inner.map(lambda x: t.function("expm1", x)),
        inner.map(lambda x: t.function("rsqrt", t.add(ONE, t.absolute(x)))),
    )


LEAVES = st.one_of(st.sampled_from(SYMBOLS), st.sampled_from([-2.0, -0.5, 0.0, 0.75, 1.0, 3.0]).map(number))
TERMS = st.recursive(LEAVES, extend, max_leaves=8)
VALUES = st.fixed_dictionaries(
    {
        S: st.floats(-3, 3),
        U: st.floats(0.5, 3),
        R: st.floats(-3, 3),
        P: st.floats(0.25, 4),
        C: st.floats(-2, 2),
    }
)


def evaluate(term, values):
    """The value of a term; rejects what is no moderate number on the way, where rounding decides."""
    known = {symbol: t.const(value) for symbol, value in values.items()}
    memo = {}
    for part in t.parts(term):
        args = [memo[arg] for arg in part.args]
        memo[part] = known.get(part) or fold(t.rebuild(part, args))
        if part.op not in ("cmp", "ln2"):
            value = t.value_of(memo[part])
            assume(value is not None and math.isfinite(value) and abs(value) < 1e6)
            size = abs(value)
            if part.op in ("add", "sub") and size:
                # Nothing is said about what cancels.
                assume(size > 1e-6 * max(abs(t.value_of(arg)) for arg in args))
    return t.value_of(memo[term])


def close_to(a, b):
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize("strict", [False, True])
@settings(max_examples=400, deadline=None, derandomize=True)
@given(term=TERMS, values=VALUES)
def test_normal_forms_have_the_value_of_the_term(strict, term, values):
    want = evaluate(term, values)
    try:
        new = to_term(normal(term, strict))
    except TooLargeError:
        assume(False)
    got = t.value_of(fold(new, {symbol: t.const(value) for symbol, value in values.items()}))
    # A factor that is taken out may be a power that overflows: that is why such forms are only compared.
    assume(got is not None and math.isfinite(got))
    assert close_to(got, want), f"{term} became {new}"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(term=TERMS)
def test_normal_forms_are_found_again(term):
    try:
        new = to_term(normal(term, True))
        assert normal(new, True) == normal(to_term(normal(new, True)), True)
    except TooLargeError:
        assume(False)


DEFINED_SOMEWHERE = [
    t.exp(t.log(R)),
    t.exp(t.mul(t.TWO, t.log(R))),
    t.mul(t.sqrt(R), t.sqrt(R)),
    t.mul(t.power(R, number(1.5)), t.power(R, number(0.5))),
    t.div(R, R),
    t.div(t.mul(S, R), R),
    t.div(t.mul(R, R), R),
    t.sqrt(t.div(R, R)),
    t.div(t.mul(S, t.sub(R, R)), t.sub(R, R)),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("value", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("term", DEFINED_SOMEWHERE, ids=repr)
def test_normal_forms_are_nan_where_the_term_is(term, value, strict):
    known = {S: number(0.5), R: number(value)}
    want, got = (t.value_of(fold(each, known)) for each in (term, to_term(normal(term, strict))))
    assert math.isnan(got) == math.isnan(want)
    assert math.isnan(want) or close_to(got, want)


def test_laws_of_inverses_need_to_know_the_sign():
    for inverse in (lambda x: t.exp(t.log(x)), lambda x: t.mul(t.sqrt(x), t.sqrt(x))):
        assert equal(inverse(P), P)
        assert not equal(inverse(R), R)
    assert equal(t.div(P, P), ONE)
    assert not equal(t.div(R, R), ONE)
    assert equal(t.div(t.div(S, R), R), t.div(S, t.mul(R, R)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(term=TERMS, values=VALUES)
def test_bounds_hold(term, values):
    low, high = bounds(term)
    value = evaluate(term, values)
    room = 1e-9 * max(1.0, abs(value))
    assert low - room <= value <= high + room, f"{term} in {low} .. {high}"


@settings(max_examples=400, deadline=None, derandomize=True)
@given(term=TERMS, values=VALUES)
def test_separated_products_sum_up_to_the_term(term, values):
    try:
        pairs = separate(term)
    except (Inseparable, TooLargeError):
        assume(False)
    for a, b in pairs:
        assert not a.varying, f"{a} depends on the row"
        assert not b.element, f"{b} depends on the element"
    want = evaluate(term, values)
    known = {symbol: t.const(value) for symbol, value in values.items()}
    factors = [t.value_of(fold(part, known)) for pair in pairs for part in pair]
    assume(all(value is not None and abs(value) < 1e6 for value in factors))
    got = sum(a * b for a, b in zip(factors[::2], factors[1::2], strict=True))
    assert close_to(got, want), f"{term} is not {pairs}"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    term=TERMS,
    values=st.lists(VALUES, min_size=1, max_size=4),
    kind=st.sampled_from(["max", "min", "sum", "prod"]),
)
def test_reductions_close_over_moments(term, values, kind):
    """A reduction in moments has the value of the reduction, whatever the row holds."""
    row = {symbol: values[0][symbol] for symbol in (R, P, C)}
    elements = [value | row for value in values]
    moments = {}

    def moment(each, value, as_written=False):
        symbol = t.symbol(f"m{len(moments)}", Depends.VARYING, key=(each, value))
        moments[symbol] = (each, value)
        return symbol

    try:
        closed = close(kind, term, moment)
    except (Inseparable, TooLargeError):
        assume(False)
    assert not closed.element
    want = reduced(kind, [evaluate(term, element) for element in elements])
    known = {symbol: t.const(value) for symbol, value in row.items()}
    for symbol, (each, value) in moments.items():
        assert not value.varying
        parts = [t.value_of(fold(value, {s: t.const(x) for s, x in e.items()})) for e in elements]
        assume(all(part is not None and math.isfinite(part) and abs(part) < 1e6 for part in parts))
        known[symbol] = t.const(reduced(each, parts))
    got = t.value_of(fold(closed, known | {t.LN2: t.const(math.log(2))}))
    assert got is not None, f"{closed} is not a number"
    assume(math.isfinite(got) and abs(got) < 1e9)
    assert close_to(got, want), f"{kind} {term} is not {closed}"


def reduced(kind, values):
    if kind in ("max", "min"):
        return {"max": max, "min": min}[kind](values)
    return sum(values) if kind == "sum" else math.prod(values)


def test_ln2_stays_a_symbol_only_where_it_may_meet_others():
    assert t.value_of(fold(t.exp(t.neg(LN2)))) == 0.5
    assert fold(t.mul(t.neg(LN2), S)) is t.mul(t.neg(LN2), S)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (t.exp(t.add(S, R)), t.mul(t.exp(R), t.exp(S))),
        (t.div(t.exp(S), t.exp(R)), t.exp(t.sub(S, R))),
        (t.exp(t.mul(S, LN2)), t.power(t.TWO, S)),
        (t.log(t.div(t.exp(S), P)), t.sub(S, t.log(P))),
        (t.maximum(t.add(S, R), t.add(C, R)), t.add(R, t.maximum(C, S))),
        (t.maximum(S, t.maximum(R, C)), t.maximum(t.maximum(C, S), R)),
        (t.minimum(S, R), t.neg(t.maximum(t.neg(S), t.neg(R)))),
        (t.maximum(t.mul(P, S), ZERO), t.mul(P, t.maximum(S, ZERO))),
        (t.absolute(t.mul(P, S)), t.mul(t.absolute(S), P)),
        (t.absolute(t.sub(S, R)), t.absolute(t.sub(R, S))),
        (
            t.absolute(t.sub(t.exp(t.sub(S, R)), t.exp(t.neg(R)))),
            t.mul(t.exp(t.neg(R)), t.absolute(t.sub(t.exp(S), ONE))),
        ),
        (t.sqrt(t.mul(P, U)), t.mul(t.sqrt(U), t.sqrt(P))),
        (t.power(t.sub(S, R), t.TWO), t.add(t.sub(t.mul(S, S), t.mul(t.TWO, t.mul(S, R))), t.mul(R, R))),
    ],
)
def test_laws_are_known(one, other):
    assert equal(one, other)
    assert not equal(one, t.add(other, number(1e-9)))


def test_different_terms_are_not_equal():
    assert not equal(t.maximum(S, R), t.minimum(S, R))
    assert not equal(t.absolute(t.mul(R, S)), t.mul(R, t.absolute(S)))
    assert not equal(t.log(t.mul(R, S)), t.add(t.log(R), t.log(S)))  # both may be negative
    assert not equal(t.exp(S), t.exp(t.mul(S, LN2)))


@pytest.mark.parametrize(
    "term",
    [
        t.exp(t.div(S, R)),
        t.absolute(t.sub(S, R)),
        t.maximum(t.sub(S, R), ZERO),
        t.function("tanh", t.sub(S, R)),
        t.select(t.compare("ogt", S, R), S, ZERO),
        t.log(t.add(S, R)),
        t.div(ONE, t.add(S, R)),
        t.sqrt(t.mul(S, R)),
    ],
)
def test_what_does_not_separate_is_refused(term):
    with pytest.raises(Inseparable):
        separate(term)


def test_simplified_terms_hold_no_power_alone():
    scale = t.div(t.mul(t.exp(t.neg(R)), t.exp(P)), t.add(t.exp(t.sub(C, R)), ONE))
    powers = [part for part in t.parts(simplify(scale)) if part.op == "exp"]
    assert {formula(power) for power in powers} == {"exp(p - r)", "exp(c - r)"}


def test_references_are_moved_into_powers():
    term = t.maximum(t.sub(t.exp(S), ONE), ZERO)
    assert formula(reference(term, lambda exponent: R if exponent is S else exponent)) == "max(r, 0)"
    assert formula(shifted(term, R)) == "max(exp(s - r) - exp(-r), 0)"


def test_terms_with_equal_parts_are_one_object():
    assert t.add(S, R) is t.add(S, R)
    assert number(0.0) is number(-0.0)
    assert t.add(S, R) is not t.add(R, S)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (t.sub(S, t.sub(R, C)), "s - (r - c)"),
        (t.mul(t.add(S, ONE), t.neg(R)), "(s + 1) * (-r)"),
        (t.exp(t.mul(t.sub(S, R), LN2)), "exp2(s - r)"),
        (t.div(ONE, t.mul(S, R)), "1 / (s * r)"),
        (t.mul(S, S), "s^2"),
        (t.select(t.compare("oeq", R, t.MINUS_INFINITY), ZERO, R), "select(r == -inf, 0, r)"),
        (t.reduce("max", S), "max_j s"),
    ],
)
def test_formulas_read_as_mathematics(term, text):
    assert formula(term) == text
