"""Integer expressions, formulas and unions of ranges, against plain numbers."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecompiler.algebra import formulas as fm
from aecompiler.algebra import integers as it
from aecompiler.algebra.arithmetic import Numbers, evaluate, span
from aecompiler.algebra.bands import literal_holds
from aecompiler.algebra.ranges import Union, intersection
from aecompiler.algebra.solving import solve
from aecompiler.algebra.text import Text

NAMES = {"i": (0, 12), "j": (0, 12), "w": (1, 6)}
ROW, KEY, SIZE = (it.of(it.Symbol(name, *ends)) for name, ends in NAMES.items())
POINTS = [
    dict(zip(NAMES, values, strict=True))
    for values in itertools.product((0, 1, 5, 12), (0, 3, 4, 11), (1, 2, 5, 6))
]
ON = Numbers()
QUICK = settings(max_examples=150, deadline=None)


def divided(pair):
    value, (build, by) = pair
    return build(value, by)


DIVISORS = st.sampled_from([it.number(1), it.number(2), it.number(5), SIZE])
EXPRESSIONS = st.recursive(
    st.sampled_from([ROW, KEY, SIZE, it.number(3), it.number(-2)]),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, k: a * k, inner, st.integers(-3, 3)),
        st.builds(it.multiply, inner, DIVISORS),
        st.builds(it.quotient, inner, DIVISORS),
        st.builds(it.remainder, inner, DIVISORS),
        st.builds(it.maximum, inner, inner),
        st.builds(it.minimum, inner, inner),
    ),
    max_leaves=6,
)


def value(expression, point):
    return evaluate(expression, ON, point)


@QUICK
@given(EXPRESSIONS)
def test_bounds_hold(expression):
    for point in POINTS:
        number = value(expression, point)
        assert expression.low <= it.lower_bound(expression) <= number
        assert number <= it.upper_bound(expression) <= expression.high
        assert abs(number) <= expression.magnitude


@QUICK
@given(EXPRESSIONS, st.sampled_from(["i", "j", "w"]))
def test_what_grows_never_falls(expression, name):
    if it.grows_with(expression, name):
        low, high = NAMES[name]
        for point in POINTS:
            values = [value(expression, {**point, name: n}) for n in range(low, high + 1)]
            assert values == sorted(values)


@QUICK
@given(EXPRESSIONS)
def test_spans_hold_all_values(expression):
    spans = {"i": (2, 7), "j": (0, 3), "w": (3, 3)}
    low, high = span(expression, ON, spans)
    for i, j in itertools.product(range(2, 8), range(4)):
        assert low <= value(expression, {"i": i, "j": j, "w": 3}) <= high


@QUICK
@given(EXPRESSIONS, st.sampled_from(["i", "j"]))
def test_solutions_are_equivalent(expression, name):
    solved = solve(expression, name)
    if solved is None:
        return
    side, bound = solved
    for point in POINTS:
        limit = value(bound, point)
        holds = limit <= point[name] if side == "low" else point[name] <= limit
        assert holds == (value(expression, point) <= 0)


def holds(formula, point):
    """The truth of a formula without unknown parts, from its normal form."""
    found = fm.alternatives(formula, 1000)
    assert found is not None
    return any(all(literal_holds(literal, ON, point) for literal in each) for each in found)


@QUICK
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_formulas_mean_what_they_say(a, b, c):
    formula = fm.choice(fm.at_most(a, b), fm.equal(b, c), fm.at_most(c, a))
    if fm.alternatives(formula, 200) is None or "?" in str(formula):
        return
    opposite = fm.negation(formula)
    for point in POINTS[::3]:
        x, y, z = (value(each, point) for each in (a, b, c))
        expected = y == z if x <= y else z <= x
        assert holds(formula, point) == expected
        if fm.alternatives(opposite, 200) is not None:
            assert holds(opposite, point) != expected


RANGE = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda ends: tuple(sorted(ends)))


@QUICK
@given(
    st.lists(st.integers(0, 12), max_size=2),
    st.lists(st.integers(0, 12), max_size=2),
    st.lists(RANGE, max_size=3),
)
def test_unions_are_parts_and_gaps(heads, tails, middle):
    union = Union(12, heads, tails, middle)
    covered = {n for end in heads for n in range(end)} | {n for begin in tails for n in range(begin, 12)}
    covered |= {n for begin, end in middle for n in range(begin, end)}
    parts, gaps = union.parts(ON)
    for ranges, expected in ((parts, covered), (gaps, set(range(12)) - covered)):
        assert all(begin <= end for begin, end in ranges)
        found = [n for begin, end in ranges for n in range(begin, end)]
        assert sorted(found) == sorted(expected)
    begin, end = union.hull(ON)
    assert (not covered and begin >= end) or (begin, end) == (min(covered), max(covered) + 1)
    assert intersection(ON, (2, 5), (4, 9)) == (4, 5)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (it.multiply(SIZE, it.quotient(ROW, SIZE)), "i - (i mod w)"),
        (it.quotient(ROW - KEY + 3, it.number(4)), "floor((i - j + 3) / 4)"),
        (it.maximum(it.maximum(ROW, KEY), SIZE) - 1, "max(i, j, w) - 1"),
        (it.minimum(ROW, KEY) * 2, "-2 * max(-i, -j)"),
        (it.multiply(ROW, KEY) + 5, "i * j + 5"),
    ],
)
def test_formulas_are_written_for_people(expression, text):
    assert evaluate(expression, Text(), {name: name for name in NAMES}) == text
