"""Sums over an index, as normal forms: linear, and with everything outside that does not depend on the index.

A sum is a term `sum(bound, body)` that holds the number of its summands; its index is named by how deep sums
nest in it, so that equal sums are one term."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.polynomials import Monomial, Poly, atom, combined, number, product, to_term
from aecompiler.algebra.terms import Depends, Term

_BOUND = "bound"


def sum_over(poly: Poly, over: Term, size: int, normal: Callable[[Term], Poly]) -> Poly:
    """The sum of a polynomial over the index `over`, which takes `size` values.

    `normal` gives the normal form of a term.
    """
    results = []
    for monomial, coefficient in poly.items():
        inside, outside = _parted(monomial, over)
        scaled: Poly = {outside: coefficient}
        if inside == (frozenset(), frozenset()):
            results.append(product(scaled, number(Fraction(size))))
        else:
            results.append(product(scaled, atom(_sum(to_term({inside: Fraction(1)}), over, size, normal))))
    return combined(results, [Fraction(1)] * len(results))


def depends_on(term: Term, index: Term) -> bool:
    """Whether an index is in a term."""
    return index in t.symbols(term)


def _sum(body: Term, over: Term, size: int, normal: Callable[[Term], Poly]) -> Term:
    depths = [part.data[4][1] for part in t.symbols(body) if _is_bound(part) and part is not over]
    depth = max(depths, default=-1) + 1
    bound = t.symbol(f"x{depth}", Depends.FIXED, 0.0, key=(_BOUND, depth))
    # The order of factors follows from the names of indices: it is that of the new one.
    return t.make("sum", (bound, to_term(normal(t.substitute(body, {over: bound})))), size)


def _is_bound(symbol: Term) -> bool:
    key = symbol.data[4]
    return isinstance(key, tuple) and key[0] == _BOUND


def _parted(monomial: Monomial, over: Term) -> tuple[Monomial, Monomial]:
    """What of a monomial depends on an index, and the rest."""
    factors, exponent = monomial
    inside = frozenset((base, power) for base, power in factors if depends_on(base, over))
    powers = frozenset((inner, scale) for inner, scale in exponent if _holds(inner, over))
    return (inside, powers), (factors - inside, exponent - powers)


def _holds(monomial: Monomial, over: Term) -> bool:
    factors, exponent = monomial
    return any(depends_on(base, over) for base, _ in factors) or any(
        _holds(inner, over) for inner, _ in exponent
    )
