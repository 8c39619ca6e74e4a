"""Moments of a row: which reductions a streaming form keeps as its state, and how they are scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds, positive, reduced
from aecompiler.algebra.normal import Poly, depends, normal, to_term
from aecompiler.algebra.resolution import resolve
from aecompiler.algebra.scaling import difference, guarded, reference, shifted
from aecompiler.algebra.separation import product
from aecompiler.algebra.streaming import Options
from aecompiler.algebra.terms import ZERO, Depends, Term

REFERENCE = "reference"
"""The kind of a state that is no reduction, but a reference that may lag behind one."""


@dataclass(frozen=True)
class State:
    """One state: a reduction of `kind` over `value`, for a sum times exp(-ref).

    Of a lagging reference, `value` is the reference of a tile, in reductions over the tile, and `lag` by how
    much it may lag.
    """

    symbol: Term
    kind: str
    value: Term
    ref: Term = ZERO
    lag: Term = ZERO

    @property
    def identity(self) -> Term:
        """The state before any element."""
        if self.kind != REFERENCE:
            return t.IDENTITIES[self.kind]
        return resolve(self.value, {}, lambda kind, value: t.IDENTITIES[kind])


class Moments:
    """Hands out moments and remembers their states; equal moments share one.

    A sum is handed out as its state times exp(ref), which cancels against the exponents of what uses it.
    """

    def __init__(self, options: Options):
        self.options = options
        self.states: dict[Term, State] = {}
        self.bounded: dict[Term, None] = {}
        """Exponents that need no reference."""
        self._by_key: dict[tuple, Term] = {}
        self._ceilings: list[Poly] = []

    def __call__(self, kind: str, value: Term, as_written: bool = False, /) -> Term:
        """The reduction of `kind` over a function of the element alone."""
        if kind in ("max", "min"):
            return self._extremum(kind, value)
        if kind == "prod":
            return self._state(kind, value, ZERO)
        ref = self.reference(value, as_written)
        return product(self._state(kind, value, ref), t.exp(ref))

    def reference(self, value: Term, as_written: bool = False) -> Term:
        """The reference of a sum over `value`; ZERO if no power in it can overflow, or lose all its digits.

        Powers may lose them that do so in the normaliser, `as_written`.
        """

        def supremum(exponent: Term) -> Term:
            low, high = bounds(exponent)
            within = (as_written or -self.options.bounded <= low) and high <= self.options.bounded
            if within or self._below_a_ceiling(exponent):
                self.bounded[exponent] = None
                return ZERO
            return self._supremum(exponent)

        found = reference(value, supremum)
        if found is ZERO or not self.options.lazy:
            return found
        return self._lagging(found)

    def expect(self, ceilings: Iterable[tuple[Term, Term]]) -> None:
        """Take note of values and of what they are at most."""
        self._ceilings = [normal(t.sub(value, most)) for most, value in ceilings]

    def live(self, terms: Iterable[Term]) -> list[State]:
        """The states that `terms` need, in the order in which they were made."""
        found: set[Term] = set()
        pending = [symbol for symbol in t.symbols(*terms) if symbol in self.states]
        while pending:
            symbol = pending.pop()
            if symbol not in found:
                found.add(symbol)
                pending += [s for s in t.symbols(self.states[symbol].ref) if s in self.states]
        return [state for symbol, state in self.states.items() if symbol in found]

    def _below_a_ceiling(self, exponent: Term) -> bool:
        """Whether the exponent is a value minus its maximum, which an earlier pass has found."""
        form = normal(exponent)
        return any(form == ceiling for ceiling in self._ceilings)

    def _extremum(self, kind: str, value: Term) -> Term:
        scale, inner, fixed = stripped(value)
        return t.add(t.mul(scale, self._state(kind, inner, ZERO)), fixed)

    def _supremum(self, exponent: Term) -> Term:
        return exponent if not exponent.element else self._extremum("max", exponent)

    def _state(self, kind: str, value: Term, ref: Term) -> Term:
        key = (kind, frozenset(normal(value, True).items()), ref)
        if key not in self._by_key:
            low, high = reduced(kind, *bounds(value))
            if kind == "sum" and ref is not ZERO and positive(value):
                low = math.ulp(0.0)
            symbol = t.symbol(f"y{len(self.states)}", Depends.VARYING, low, high)
            self.states[symbol] = State(symbol, kind, value, ref)
            self._by_key[key] = symbol
        return self._by_key[key]

    def _lagging(self, ref: Term) -> Term:
        scale, inner, fixed = _of_one_state(ref)
        key = (REFERENCE, inner)
        if key not in self._by_key:
            symbol = t.symbol(f"y{len(self.states)}", Depends.VARYING)
            of_tile = {
                s: t.reduce(self.states[s].kind, self.states[s].value)
                for s in t.symbols(inner)
                if s in self.states
            }
            low, high = bounds(scale)
            bound = t.const(self.options.lazy)
            lag = t.const(self.options.lazy / low) if low == high else t.div(bound, scale)
            self.states[symbol] = State(symbol, REFERENCE, t.substitute(inner, of_tile), lag=lag)
            self._by_key[key] = symbol
        return t.add(t.mul(scale, self._by_key[key]), fixed)


def _of_one_state(ref: Term) -> tuple[Term, Term, Term]:
    """c, x and d with `ref` = c x + d, c > 0 and d fixed: a reference is scaled where it is used."""
    poly = normal(ref)
    fixed: Poly = {m: c for m, c in poly.items() if not depends(m, lambda atom: atom.varying)}
    moving = [m for m in poly if m not in fixed]
    if len(moving) == 1 and not moving[0][1] and poly[moving[0]] > 0:
        varying = [factor for factor in moving[0][0] if factor[0].varying]
        others = moving[0][0].difference(varying)
        if len(varying) == 1 and varying[0][1] == 1 and all(positive(base) for base, _ in others):
            scale: Poly = {(others, frozenset()): poly[moving[0]]}
            return to_term(scale), varying[0][0], to_term(fixed)
    return t.ONE, ref, ZERO


def stripped(value: Term) -> tuple[Term, Term, Term]:
    """c, x and d with `value` = c x + d: the largest x is at the largest value. c > 0 and d are fixed."""
    poly = normal(value)
    fixed: Poly = {m: c for m, c in poly.items() if not depends(m, lambda atom: atom.element)}
    moving: Poly = {m: c for m, c in poly.items() if m not in fixed}
    if not moving:
        return t.ONE, value, ZERO
    first, *others = moving
    shared = {base for base, power in first[0] if power == 1 and not base.element and positive(base)}
    for other in others:
        shared &= {base for base, power in other[0] if power == 1}
    scale = abs(moving[first]) if not others else Fraction(1)
    if not shared and scale == 1 and not fixed:
        return t.ONE, value, ZERO
    factor: Poly = {(frozenset((base, Fraction(1)) for base in shared), frozenset()): scale}
    inner: Poly = {
        (frozenset(f for f in m[0] if f[0] not in shared), m[1]): c / scale for m, c in moving.items()
    }
    return to_term(factor), to_term(inner), to_term(fixed)


# ---- how states move -----------------------------------------------------------------------------


def updated(states: Iterable[State]) -> dict[Term, Term]:
    """Each state after a tile."""
    known = list(states)
    new: dict[Term, Term] = {}
    for state in known:
        if state.kind == REFERENCE:
            lag = t.compare("ugt", state.value, t.add(state.symbol, state.lag))
            new[state.symbol] = t.select(lag, t.maximum(state.symbol, state.value), state.symbol)
        elif state.kind != "sum":
            new[state.symbol] = t.COMBINE[state.kind](state.symbol, t.reduce(state.kind, state.value))
    for state in known:
        if state.kind == "sum":
            after = guarded(t.substitute(state.ref, new))
            kept = product_with(rescale(state.ref, after), state.symbol)
            new[state.symbol] = t.add(kept, t.reduce("sum", shifted(state.value, after)))
    return new


def merged(
    states: Iterable[State], left: Mapping[Term, Term], right: Mapping[Term, Term]
) -> dict[Term, Term]:
    """Each state after two states of disjoint sets of elements become one."""
    known = list(states)
    new: dict[Term, Term] = {}
    for state in known:
        if state.kind != "sum":
            kind = "max" if state.kind == REFERENCE else state.kind
            new[state.symbol] = t.COMBINE[kind](left[state.symbol], right[state.symbol])
    for state in known:
        if state.kind == "sum":
            after = guarded(t.substitute(state.ref, new))
            new[state.symbol] = t.add(
                *(
                    product_with(rescale(t.substitute(state.ref, side), after), side[state.symbol])
                    for side in (left, right)
                )
            )
    return new


def rescale(before: Term, after: Term) -> Term:
    """The factor by which a sum changes when its reference does; `after` is guarded."""
    return t.exp(difference(before, after))


def product_with(factor: Term, value: Term) -> Term:
    """factor * value, which is value for a factor 1."""
    return value if factor is t.ONE else t.mul(factor, value)
