"""Proofs that an exponent is bounded: that it is at most some number, whatever the states are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.moments import stripped
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import Poly, as_number, combined, to_term
from aecompiler.algebra.printing import without_ln2
from aecompiler.algebra.terms import Term

MOST = 80.0
"""The largest exponent that counts as bounded, if nothing narrower is asked for."""

_DEPTH = 6
_MOST_STEPS = 2000
_LARGEST = 5000

_EXPONENTS: dict[str, Callable[..., tuple[Term, ...]]] = {
    "exp": lambda a: (a,),
    "expm1": lambda a: (a,),
    "sinh": lambda a: (a, t.neg(a)),
    "cosh": lambda a: (a, t.neg(a)),
    "powf": lambda base, power: () if t.value_of(power) is not None else (t.mul(power, t.log(base)),),
}
"""What grows like powers, and of which exponents."""


def powers(*terms: Term) -> Iterator[Term]:
    """The exponents of all powers in terms, however they are written."""
    for part in t.parts(*terms):
        if part.op in _EXPONENTS:
            yield from _EXPONENTS[part.op](*part.args)


def is_bounded(exponent: Term, most: float = MOST) -> bool:
    """Whether the exponent is proved to be at most `most`, for a row that has an element."""
    if exponent.size > _LARGEST:
        return False
    plain = without_ln2(exponent)
    if plain is None:
        return _Ceiling(most).each_case(t.transform(exponent, _pulled), (), _DEPTH)
    return _Ceiling(most / math.log(2)).each_case(t.transform(plain, _pulled), (), _DEPTH)


def _pulled(term: Term) -> Term | None:
    """max_j (c x + d) as c max_j x + d."""
    if term.op != "reduce" or term.data not in ("max", "min"):
        return None
    scale, inner, fixed = stripped(term.args[0])
    return t.add(t.mul(scale, t.reduce(term.data, inner)), fixed)


class _Ceiling:
    """Proves that terms are at most a number."""

    def __init__(self, most: float):
        self.most = most
        self.steps = 0

    def each_case(self, term: Term, assumed: tuple[Poly, ...], depth: int) -> bool:
        """Whether it is, with `assumed` at most 0. A maximum of s over the tile is at least s."""
        choice = _choice(term)
        if choice is None:
            return self.at_most(normal(term), assumed, depth)
        if depth == 0:
            return False
        condition, yes, no = choice.args
        if condition.op != "cmp":
            return False
        a, b = condition.args
        kind = condition.data[1:]
        gap, more = normal(t.sub(a, b)), normal(t.sub(b, a))
        holding = {"gt": more, "ge": more, "lt": gap, "le": gap}.get(kind)
        failing = {"gt": gap, "ge": gap, "lt": more, "le": more}.get(kind)
        for branch, fact in ((yes, holding), (no, failing)):
            facts = assumed if fact is None else (*assumed, fact, *_following(fact))
            if not self.each_case(t.substitute(term, {choice: branch}), facts, depth - 1):
                return False
        return True

    def at_most(self, poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
        """Whether the normal form is."""
        number = as_number(poly)
        if number is not None:
            return number <= self.most
        if bounds(to_term(poly))[1] <= self.most:
            return True
        self.steps += 1
        if depth == 0 or self.steps > _MOST_STEPS:
            return False
        for (factors, exponent), coefficient in poly.items():
            if exponent or len(factors) != 1:
                continue
            ((atom, power),) = factors
            if power != 1:
                continue
            rest = {m: c for m, c in poly.items() if m != (factors, exponent)}
            if atom.op == "max":
                if coefficient > 0 and atom.element and self._by_element(poly, assumed, depth):
                    return True
                cases = (
                    self.at_most(_plus(rest, normal(arg), coefficient), assumed, depth - 1)
                    for arg in atom.args
                )
                # -max(x, y) is at most -x, and at most -y.
                if coefficient > 0:
                    return all(cases)
                if any(cases):
                    return True
            if atom.op == "reduce" and atom.data == "max" and coefficient > 0:
                apart = _apart(atom.args[0])
                if apart and self.at_most(_plus(rest, apart, coefficient), assumed, depth - 1):
                    return True
        return self._by_element(poly, assumed, depth) or self._by_assumption(poly, assumed, depth)

    def _by_element(self, poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
        """The part that depends on the element is at most its maximum."""
        moving = {m: c for m, c in poly.items() if any(atom.element for atom, _ in m[0]) or m[1]}
        if not moving:
            return False
        scale, inner, fixed = stripped(to_term(moving))
        most = normal(t.add(t.mul(scale, t.reduce("max", inner)), fixed))
        rest = {m: c for m, c in poly.items() if m not in moving}
        return self.at_most(_plus(rest, most, Fraction(1)), assumed, depth - 1)

    def _by_assumption(self, poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
        for fact in assumed:
            for monomial, coefficient in fact.items():
                scale = poly.get(monomial, Fraction(0)) / coefficient
                below = _plus(poly, fact, -scale)
                if monomial[0] and scale > 0 and self.at_most(below, assumed, depth - 1):
                    return True
        return False


def _apart(value: Term) -> Poly:
    """What the largest of f + g is at most, with f known to be bounded: the bound of f, and the largest g."""
    poly = normal(value)
    tops = {m: bounds(to_term({m: c}))[1] for m, c in poly.items()}
    known = {m: top for m, top in tops.items() if top < math.inf}
    if not known or len(known) == len(poly):
        return {}
    scale, inner, fixed = stripped(to_term({m: c for m, c in poly.items() if m not in known}))
    most = t.add(t.mul(scale, t.reduce("max", inner)), fixed)
    return normal(t.add(most, t.const(math.fsum(known.values()))))


def _choice(term: Term) -> Term | None:
    """A choice that depends on states alone: not one that is made for each element."""
    if term.op == "reduce":
        return None
    if term.op == "select" and term.varying and not term.element:
        return next(filter(None, map(_choice, term.args)), term)
    return next(filter(None, map(_choice, term.args)), None)


def _following(fact: Poly) -> list[Poly]:
    """What is at most 0 if max(x, y) + r is: x + r and y + r."""
    found = []
    for (factors, exponent), coefficient in fact.items():
        atoms = [atom for atom, power in factors if atom.op == "max" and power == 1]
        if len(factors) == len(atoms) == 1 and not exponent and coefficient > 0:
            rest = {m: c for m, c in fact.items() if m != (factors, exponent)}
            found += [_plus(rest, normal(arg), coefficient) for arg in atoms[0].args]
    return found


def _plus(a: Poly, b: Poly, scale: Fraction) -> Poly:
    return combined((a, b), (Fraction(1), scale))
