"""How states move: after a tile, and when two states of disjoint sets of elements become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import combinations
from operator import itemgetter

from aecompiler.algebra import terms as t
from aecompiler.algebra.moments import ANCHOR, REFERENCE, State
from aecompiler.algebra.scaling import difference, guarded, shifted
from aecompiler.algebra.terms import ZERO, Term

Side = Mapping[Term, Term]
"""The states of some elements, by their symbols."""

Of = Callable[[Side], Term]
"""What is made of the states of one side."""


def updated(states: Iterable[State]) -> dict[Term, Term]:
    """Each state after a tile."""
    known = list(states)
    new: dict[Term, Term] = {}
    for state in known:
        if state.kind == REFERENCE:
            lag = t.compare("ugt", state.value, t.add(state.symbol, state.lag))
            new[state.symbol] = t.select(lag, t.maximum(state.symbol, state.value), state.symbol)
        elif state.kind not in ("sum", ANCHOR):
            new[state.symbol] = t.COMBINE[state.kind](state.symbol, t.reduce(state.kind, state.value))
    before = {state.symbol: state.symbol for state in known}

    def joined(state: State, of: Of, value: Term) -> Term:
        after = guarded(t.substitute(state.ref, new))
        return t.add(
            product_with(rescale(state.ref, after), of(before)), t.reduce("sum", shifted(value, after))
        )

    _move_sums(known, new, joined)
    return new


def merged(states: Iterable[State], left: Side, right: Side) -> dict[Term, Term]:
    """Each state after two states of disjoint sets of elements become one."""
    known = list(states)
    new: dict[Term, Term] = {}
    for state in known:
        if state.kind not in ("sum", ANCHOR):
            kind = "max" if state.kind == REFERENCE else state.kind
            new[state.symbol] = t.COMBINE[kind](left[state.symbol], right[state.symbol])

    def joined(state: State, of: Of, value: Term) -> Term:
        after = guarded(t.substitute(state.ref, new))
        return t.add(
            *(product_with(rescale(t.substitute(state.ref, side), after), of(side)) for side in (left, right))
        )

    _move_sums(known, new, joined, left)
    return new


def _move_sums(
    states: list[State],
    new: dict[Term, Term],
    joined: Callable[[State, Of, Term], Term],
    otherwise: Side | None = None,
) -> None:
    """Sums, which need the references; then anchors, which need sums; then sums about the anchors.

    `joined` adds up what a sum was before, given its value for a side, and what is new.
    """
    for state in states:
        if state.kind == "sum" and not state.anchors:
            new[state.symbol] = joined(state, itemgetter(state.symbol), state.value)
    for state in states:
        if state.kind == ANCHOR:
            (count,) = state.sums.values()
            what = t.mul(state.weight, state.value)
            total = joined(state, partial(_product_of, count, state.symbol), what)
            some = t.compare("ogt", new[count], ZERO)
            kept = state.symbol if otherwise is None else otherwise[state.symbol]
            new[state.symbol] = t.select(some, t.div(total, new[count]), kept)
    for state in states:
        if state.kind == "sum" and state.anchors:
            anchors = {anchor: new[anchor] for anchor in state.anchors}
            value = t.substitute(state.value, anchors)
            new[state.symbol] = joined(state, partial(about, state, anchors), value)


def _product_of(one: Term, other: Term, side: Side) -> Term:
    return t.mul(side[one], side[other])


def about(state: State, anchors: Side, side: Side) -> Term:
    """A sum of deviations, about new `anchors`, by the binomial theorem.

    prod_i (x_i - b_i) is the sum, over the ways to take deviations, of their product with (a_i - b_i) for the
    others.
    """
    everything = Counter(state.anchors)
    summands = []
    for count in range(len(state.anchors), -1, -1):
        for taken, times in Counter(combinations(state.anchors, count)).items():
            moved = t.ONE
            for anchor in (everything - Counter(taken)).elements():
                moved = t.mul(moved, t.sub(side[anchor], anchors[anchor]))
            found = side[state.symbol] if count == len(state.anchors) else side[state.sums[taken]]
            summands.append(t.mul(t.mul(t.const(float(times)), moved), found))
    return t.total(summands)


def rescale(before: Term, after: Term) -> Term:
    """The factor by which a sum changes when its reference does; `after` is guarded."""
    return t.exp(difference(before, after))


def product_with(factor: Term, value: Term) -> Term:
    """factor * value, which is value for a factor 1."""
    return value if factor is t.ONE else t.mul(factor, value)
