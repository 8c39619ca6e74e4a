"""Proofs that an exponent is bounded: that it is at most some number, whatever the states are."""

from __future__ import annotations

from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.moments import stripped
from aecompiler.algebra.normal import Poly, as_number, combined, normal, to_term
from aecompiler.algebra.printing import without_ln2
from aecompiler.algebra.terms import Term

MOST = 80
"""The largest exponent that counts as bounded."""

_DEPTH = 6
_LARGEST = 5000


def is_bounded(exponent: Term) -> bool:
    """Whether the exponent is proved to be at most `MOST`, for a row that has an element."""
    plain = without_ln2(exponent)
    if exponent.size > _LARGEST:
        return False
    return _each_case(exponent if plain is None else plain, (), _DEPTH)


def _each_case(term: Term, assumed: tuple[Poly, ...], depth: int) -> bool:
    """`assumed` are at most 0. A maximum of s over the tile is at least s."""
    choice = _choice(term)
    if choice is None:
        return _at_most(normal(term), assumed, depth)
    if depth == 0:
        return False
    condition, yes, no = choice.args
    if condition.op != "cmp":
        return False
    a, b = condition.args
    kind = condition.data[1:]
    if t.MINUS_INFINITY in (a, b):
        # Once there is an element, a reference is a number.
        taken = yes if kind in ("ne", "gt") else no
        return _each_case(t.substitute(term, {choice: taken}), assumed, depth)
    gap = normal(t.sub(a, b))
    less, more = gap, normal(t.sub(b, a))
    holding = {"gt": more, "ge": more, "lt": less, "le": less}.get(kind)
    failing = {"gt": less, "ge": less, "lt": more, "le": more}.get(kind)
    for branch, fact in ((yes, holding), (no, failing)):
        facts = assumed if fact is None else (*assumed, fact)
        if not _each_case(t.substitute(term, {choice: branch}), facts, depth - 1):
            return False
    return True


def _choice(term: Term) -> Term | None:
    """A choice that depends on states alone: not one that is made for each element."""
    if term.op == "reduce":
        return None
    if term.op == "select" and term.varying and not term.element:
        return next(filter(None, map(_choice, term.args)), term)
    return next(filter(None, map(_choice, term.args)), None)


def _at_most(poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
    number = as_number(poly)
    if number is not None:
        return number <= MOST
    if depth == 0:
        return False
    for (factors, exponent), coefficient in poly.items():
        if exponent or len(factors) != 1:
            continue
        ((atom, power),) = factors
        if power != 1:
            continue
        rest = {m: c for m, c in poly.items() if m != (factors, exponent)}
        if atom.op == "max" and coefficient < 0:
            # -max(x, y) is at most -x, and at most -y.
            if any(_at_most(_plus(rest, normal(arg), coefficient), assumed, depth - 1) for arg in atom.args):
                return True
        elif atom.op == "max":
            return all(
                _at_most(_plus(rest, normal(arg), coefficient), assumed, depth - 1) for arg in atom.args
            )
    return _by_element(poly, assumed, depth) or _by_assumption(poly, assumed, depth)


def _by_element(poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
    """The part that depends on the element is at most its maximum."""
    moving = {m: c for m, c in poly.items() if any(atom.element for atom, _ in m[0]) or m[1]}
    if not moving:
        return False
    scale, inner, fixed = stripped(to_term(moving))
    most = normal(t.add(t.mul(scale, t.reduce("max", inner)), fixed))
    rest = {m: c for m, c in poly.items() if m not in moving}
    return _at_most(_plus(rest, most, Fraction(1)), assumed, depth - 1)


def _by_assumption(poly: Poly, assumed: tuple[Poly, ...], depth: int) -> bool:
    for fact in assumed:
        for monomial, coefficient in fact.items():
            scale = poly.get(monomial, Fraction(0)) / coefficient
            if monomial[0] and scale > 0 and _at_most(_plus(poly, fact, -scale), assumed, depth - 1):
                return True
    return False


def _plus(a: Poly, b: Poly, scale: Fraction) -> Poly:
    return combined((a, b), (Fraction(1), scale))
