"""Moments of a row: which reductions a streaming form keeps as its state, and how they are scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from types import MappingProxyType

from aecompiler.algebra import terms as t
from aecompiler.algebra.deviations import Product, anchor_of, deviations
from aecompiler.algebra.intervals import bounds, nonnegative, positive, reduced
from aecompiler.algebra.normal import normal, simplify
from aecompiler.algebra.polynomials import Poly, depends, to_term
from aecompiler.algebra.powers import POWERS, has_powers, hidden, is_clean
from aecompiler.algebra.resolution import resolve
from aecompiler.algebra.scaling import reference
from aecompiler.algebra.separation import Inseparable, product, scales_powers
from aecompiler.algebra.streaming import Options
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term

REFERENCE = "reference"
"""The kind of a state that is no reduction, but a reference that may lag behind one."""

ANCHOR = "anchor"
"""The kind of a state that is no reduction, but a number amid the values that it is subtracted from."""

Sums = Mapping[tuple[Term, ...], Term]
"""The states that are sums of a weight times deviations from anchors, by those anchors."""


@dataclass(frozen=True)
class State:
    """One state: a reduction of `kind` over `value`, for a sum times exp(-ref).

    Of a lagging reference, `value` is the reference of a tile, in reductions over the tile, and `lag` by how
    much it may lag. An anchor follows the mean of `value` with the weights `weight`, whose sum is the only
    one of `sums`. A sum about `anchors` is one over the weight times the deviations from them, which `value`
    is as a whole; it moves with its anchors, for which it needs the `sums` of fewer deviations.
    """

    symbol: Term
    kind: str
    value: Term
    ref: Term = ZERO
    lag: Term = ZERO
    weight: Term = ONE
    anchors: tuple[Term, ...] = ()
    sums: Sums = field(default_factory=dict)

    @property
    def identity(self) -> Term:
        """The state before any element."""
        if self.kind == ANCHOR:
            return ZERO
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
        self.values: tuple[Term, ...] = ()
        """What is reduced in this pass, and the outputs: their powers may be computed as they are."""
        self.suprema: dict[Term, Term] = {}
        """What references that lag follow, and are at most."""
        self._by_key: dict[tuple, Term] = {}
        self._ceilings: list[Poly] = []

    def __call__(self, kind: str, value: Term, as_written: bool = False, /) -> Term:
        """The reduction of `kind` over a function of the element alone."""
        if kind != "sum" and not as_written and has_powers(value):
            raise Inseparable(value, f"a {kind} without powers, which is kept relative to no reference")
        if kind in ("max", "min"):
            return self._extremum(kind, value)
        if kind == "prod":
            return self._state(kind, value, ZERO)
        ref = self.reference(value, as_written)
        return product(self._state(kind, value, ref), t.exp(ref))

    def reference(self, value: Term, as_written: bool = False) -> Term:
        """The reference of a sum over `value`; ZERO if no power in it can overflow, or lose all its digits.

        Powers may lose them that do so in the normaliser, `as_written`. There, what does not overflow where a
        power in it does is left as it is: exp(ref) would.
        """
        if not as_written:
            self._check_hidden(value)

        def supremum(exponent: Term) -> Term:
            low, high = bounds(exponent)
            within = high <= self.options.bounded and (
                -self.options.bounded <= low or (as_written and self._is_written(exponent))
            )
            if within or self._below_a_ceiling(exponent):
                self.bounded[exponent] = None
                return ZERO
            return self._supremum(exponent)

        found = reference(value, supremum)
        if found is ZERO or (as_written and not is_clean(value)):
            return ZERO
        return self._lagging(found) if self.options.lazy else found

    def _check_hidden(self, value: Term) -> None:
        """Raise for a power that gets no reference and does not stand in the normaliser either."""
        for exponent in hidden(value, choices=()):
            if bounds(exponent)[1] > self.options.bounded and not self._is_written(exponent):
                raise Inseparable(value, "powers that stand in the normaliser, or have a reference")

    def _is_written(self, exponent: Term) -> bool:
        written = (part.args[0] for part in t.parts(*self.values) if part.op in POWERS)
        first, *others = (normal(each) for each in (exponent, *(e for e in written if not e.varying)))
        return first in others

    def deviations(self, value: Term) -> Term | None:
        """The sum over products of deviations, from sums about anchors; None for other values."""
        try:
            products = deviations(value) if self.options.anchors else None
        except Inseparable:
            return None  # it may be separable as a whole
        if products is None:
            return None
        families: dict[frozenset, list[Product]] = {}
        for each in products:
            families.setdefault(frozenset(normal(each.weight, True).items()), []).append(each)
        return simplify(t.total(term for family in families.values() for term in self._family(family)))

    def _family(self, products: list[Product]) -> list[Term]:
        """The summands of deviations with one weight."""
        weight = products[0].weight
        ref = self.reference(weight, not any(scales_powers(each.factor) for each in products))
        bases = list(dict.fromkeys(base for each in products for base in each.bases))
        anchors: dict[Term, Term] = dict.fromkeys(bases, ZERO)
        if max(len(each.bases) for each in products) > 1:
            anchors = {base: self._anchor(base, weight, ref) for base in bases}
        known = {anchor_of(base): anchor for base, anchor in anchors.items()}
        sums = {each.bases: self._sum_about(each.bases, weight, ref, anchors) for each in products}
        about = self._about(weight, ref, anchors)
        result = []
        for each in products:
            factor = _with_sums(t.substitute(each.factor, known), about, anchors.values())
            result.append(product(factor, product(sums[each.bases], t.exp(ref))))
        return result

    def _about(self, weight: Term, ref: Term, anchors: Mapping[Term, Term]) -> dict[Term, Term]:
        """What sums of the weighted values are, by sums about their anchors."""
        found = {}
        for base, anchor in anchors.items():
            key = ("sum", frozenset(normal(t.mul(weight, base), True).items()), ref)
            if key in self._by_key and anchor is not ZERO:
                count, first = (self._sum_about(bases, weight, ref, anchors) for bases in ((), (base,)))
                found[self._by_key[key]] = t.add(first, t.mul(count, anchor))
        return found

    def _anchor(self, base: Term, weight: Term, ref: Term) -> Term:
        """The anchor of a value; all elements count alike for it where the weight may be negative."""
        if not nonnegative(weight):
            weight, ref = ONE, ZERO
        count = self._state("sum", weight, ref)
        key = (ANCHOR, frozenset(normal(base, True).items()), count)
        if key not in self._by_key:
            symbol = t.symbol(f"y{len(self.states)}", Depends.VARYING)
            self.states[symbol] = State(symbol, ANCHOR, base, ref, weight=weight, sums={(): count})
            self._by_key[key] = symbol
        return self._by_key[key]

    def _sum_about(
        self, bases: tuple[Term, ...], weight: Term, ref: Term, anchors: Mapping[Term, Term]
    ) -> Term:
        """The sum of a weight times deviations; the sums of fewer deviations come first."""
        used = tuple(anchors[base] for base in bases)
        value = weight
        for base in bases:
            value = t.mul(value, t.sub(base, anchors[base]))
        if ZERO in used or not used:
            return self._state("sum", value, ref)
        sums = {}
        for count in range(len(bases)):
            for fewer in combinations(bases, count):
                key = tuple(anchors[base] for base in fewer)
                if key not in sums:
                    sums[key] = self._sum_about(fewer, weight, ref, anchors)
        return self._state("sum", value, ref, weight, used, sums)

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
                state = self.states[symbol]
                pending += [s for s in t.symbols(state.ref) if s in self.states]
                pending += [*state.anchors, *state.sums.values()]
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

    def _state(
        self,
        kind: str,
        value: Term,
        ref: Term,
        weight: Term = ONE,
        anchors: tuple[Term, ...] = (),
        sums: Sums = MappingProxyType({}),
    ) -> Term:
        key = (kind, frozenset(normal(value, True).items()), ref)
        if key not in self._by_key:
            low, high = reduced(kind, *bounds(value))
            if kind == "sum" and ref is not ZERO and positive(value):
                low = math.ulp(0.0)
            symbol = t.symbol(f"y{len(self.states)}", Depends.VARYING, low, high)
            self.states[symbol] = State(symbol, kind, value, ref, ZERO, weight, anchors, sums)
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
            self.suprema[symbol] = inner
            self._by_key[key] = symbol
        return t.add(t.mul(scale, self._by_key[key]), fixed)


def _with_sums(factor: Term, about: Mapping[Term, Term], anchors: Iterable[Term]) -> Term:
    """The factor of a deviation, with sums about anchors where that cancels an anchor.

    With S1 = U1 + n a, a - S1 / n is -U1 / n.
    """

    def change(part: Term) -> Term | None:
        if part.op != "held" or about.keys().isdisjoint(t.symbols(part)):
            return None
        new = simplify(t.substitute(part.args[0], about))
        return None if set(anchors).intersection(t.symbols(new)) else new

    return t.transform(factor, change)


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
    """c, x and d with `value` = c x + d: the largest x is at the largest value. c > 0 and d are fixed.

    No x with a number that a program can only hold rounded: c x + d would be `value` no more.
    """
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
    rest = to_term(inner)
    if any(part.op == "div" and part.args[0].op == part.args[1].op == "const" for part in t.parts(rest)):
        return t.ONE, value, ZERO
    return to_term(factor), rest, to_term(fixed)
