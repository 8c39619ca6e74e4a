"""Normal forms: equal ones prove that two terms are equal as real numbers.

A normal form is a sum of monomials: a rational number times powers of atoms times one exponential, whose
exponent is a normal form again. exp2(x) is exp(x ln 2) and log2(x) is log(x) / ln 2, with ln 2 an atom, so
products of powers merge their exponents and logarithms cancel them. What no law takes apart is an atom.

The laws hold for real numbers wherever one side is defined: exp(log x) is x only for an x known to be at
least 0, and x / x is 1 only for one known not to be 0. What happens at infinities and for rows without an
element is not decided here, see `folding`.

In a `strict` normal form a common factor is also taken out of sums inside of |.|, max, log and quotients, and
what is `held` is taken apart. That proves more equalities, but the factor may be a power that overflows on
its own, and a difference that is held may lose its digits: terms that are to be computed are built from forms
that are not strict."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, partial

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds, nonnegative, positive
from aecompiler.algebra.polynomials import (
    UNIT,
    Poly,
    TooLargeError,
    as_number,
    atom,
    check_size,
    combined,
    content,
    leading,
    monomial_order,
    number,
    product,
    raised,
    scale_by,
    to_term,
)
from aecompiler.algebra.sums import sum_over
from aecompiler.algebra.terms import Term


def equal(a: Term, b: Term) -> bool:
    """Whether the terms are proved equal."""
    return a is b or normal(a, strict=True) == normal(b, strict=True) or not difference(a, b)


def difference(a: Term, b: Term) -> Poly:
    """The strict normal form of a - b: empty when they are proved equal."""
    return combined((normal(a, strict=True), normal(b, strict=True)), (Fraction(1), Fraction(-1)))


def simplify(term: Term) -> Term:
    """An equal term of normal form where that is shorter, or merges powers."""
    if not term.args:
        return term
    new = to_term(normal(term))
    powers = any(part.op == "exp" and part.varying for part in t.parts(term))
    return new if powers or new.size < term.size else term


@lru_cache(maxsize=8192)
def normal(term: Term, strict: bool = False) -> Poly:
    """The normal form of a term; not to be changed."""
    try:
        return _normal(term, strict)
    except TooLargeError:
        if term.varying:
            raise
        return atom(term)  # nothing has to be taken out of it


def _normal(term: Term, strict: bool) -> Poly:
    check_size(term)
    rule = _RULES.get(term.op)
    if rule is not None:
        return rule(term, strict)
    args = [to_term(normal(arg, strict)) for arg in term.args]
    return atom(t.make(term.op, args, term.data))


# ---- functions -----------------------------------------------------------------------------------


def _const(term: Term, strict: bool) -> Poly:
    value = float(term.data)
    return number(Fraction(value)) if math.isfinite(value) else atom(term)


def _linear(*scales: int) -> Callable[[Term, bool], Poly]:
    factors = [Fraction(scale) for scale in scales]
    return lambda term, strict: combined([normal(arg, strict) for arg in term.args], factors)


def _mul(term: Term, strict: bool) -> Poly:
    return product(normal(term.args[0], strict), normal(term.args[1], strict))


def _div(term: Term, strict: bool) -> Poly:
    return product(normal(term.args[0], strict), raised(normal(term.args[1], strict), Fraction(-1), strict))


def _exp(term: Term, strict: bool) -> Poly:
    return exponential(normal(term.args[0], strict))


def exponential(poly: Poly) -> Poly:
    """The normal form of exp; exp(k log x) is x^k for an x that is known to be at least 0."""
    factors: list[tuple[Term, Fraction]] = []
    exponent: Poly = {}
    for monomial, coefficient in poly.items():
        bases = list(monomial[0])
        is_log = len(bases) == 1 and not monomial[1] and bases[0][0].op == "log" and bases[0][1] == 1
        if is_log and nonnegative(bases[0][0].args[0]):
            factors.append((bases[0][0].args[0], coefficient))
        else:
            exponent[monomial] = coefficient
    result: Poly = {(frozenset(), frozenset(exponent.items())): Fraction(1)}
    for base, power in factors:
        result = product(result, raised(normal(base), power, False))
    return result


def _log(term: Term, strict: bool) -> Poly:
    return _logarithm(normal(term.args[0], strict), strict)


def _logarithm(poly: Poly, strict: bool) -> Poly:
    if len(poly) == 1:
        ((factors, exponent), coefficient) = next(iter(poly.items()))
        if coefficient > 0 and all(nonnegative(base) for base, _ in factors):
            parts: list[Poly] = [dict(exponent)]
            scales = [Fraction(1)]
            twos, odd = _powers_of_two(coefficient)
            if twos:
                parts.append(atom(t.LN2))
                scales.append(Fraction(twos))
            if odd != 1:
                parts.append(atom(t.log(t.const(float(odd)))))
                scales.append(Fraction(1))
            for base, power in factors:
                parts.append(atom(t.log(base)))
                scales.append(power)
            return combined(parts, scales)
    elif poly:
        common, rest = content(poly, strict)
        if next(iter(common)) != UNIT:
            return combined(
                (_logarithm(common, strict), _logarithm(rest, strict)), (Fraction(1), Fraction(1))
            )
    return atom(t.log(to_term(poly)))


def _powers_of_two(value: Fraction) -> tuple[int, Fraction]:
    """n and x with `value` = 2^n x, x a quotient of odd numbers."""
    above = (value.numerator & -value.numerator).bit_length() - 1
    below = (value.denominator & -value.denominator).bit_length() - 1
    return above - below, Fraction(value.numerator >> above, value.denominator >> below)


def _abs(term: Term, strict: bool) -> Poly:
    poly = normal(term.args[0], strict)
    if not poly:
        return poly
    low, high = bounds(to_term(poly))
    if low >= 0:
        return poly
    if high <= 0:
        return scale_by(poly, Fraction(-1))
    if len(poly) == 1:
        ((factors, exponent), coefficient) = next(iter(poly.items()))
        new: dict[Term, Fraction] = {}
        for base, power in factors:
            keep = nonnegative(base) or (power.denominator == 1 and power % 2 == 0)
            key = base if keep else t.absolute(base)
            new[key] = new.get(key, Fraction(0)) + power
        return {(frozenset(new.items()), exponent): abs(coefficient)}
    common, rest = content(poly, strict)
    if rest[min(rest, key=monomial_order)] < 0:
        rest = scale_by(rest, Fraction(-1))
    return product(common, atom(t.absolute(to_term(rest))))


def _max(term: Term, strict: bool) -> Poly:
    return _largest([normal(arg, strict) for arg in term.args], strict)


def _min(term: Term, strict: bool) -> Poly:
    negated = [scale_by(normal(arg, strict), Fraction(-1)) for arg in term.args]
    return scale_by(_largest(negated, strict), Fraction(-1))


def _largest(polys: list[Poly], strict: bool) -> Poly:
    """max(a + r, b + r) = max(a, b) + r and max(c a, c b) = c max(a, b) for c > 0."""
    polys = [flat for poly in polys for flat in _flattened(poly)]
    kept: list[Poly] = []
    for poly in polys:
        if any(_at_most(poly, other) for other in kept):
            continue
        kept = [other for other in kept if not _at_most(other, poly)]
        kept.append(poly)
    if len(kept) == 1:
        return kept[0]
    first, *others = kept
    common = {m: c for m, c in first.items() if all(other.get(m) == c for other in others)}
    kept = [{m: c for m, c in poly.items() if m not in common} for poly in kept]
    factor = number(Fraction(1))
    joint: Poly = {}
    for poly in kept:
        for monomial in poly:
            joint.setdefault(monomial, Fraction(1))
    if joint:
        factor, _ = content(joint, strict)
        top = leading(joint)
        scale = max(abs(poly[top]) for poly in kept if top in poly)
        factor = scale_by(factor, scale / next(iter(factor.values())))
        inverse = raised(factor, Fraction(-1), strict)
        kept = [product(poly, inverse) for poly in kept]
    again = [flat for poly in kept for flat in _flattened(poly)]
    if len(again) > len(kept):
        return combined((common, product(factor, _largest(again, strict))), (Fraction(1), Fraction(1)))
    result, *rest = sorted({to_term(poly) for poly in kept}, key=t.order)
    for other in rest:
        result = t.make("max", (result, other))
    return combined((common, product(factor, atom(result))), (Fraction(1), Fraction(1)))


def _flattened(poly: Poly) -> list[Poly]:
    """The operands of a maximum, with no factor and no summand, else the whole."""
    if len(poly) == 1:
        ((factors, exponent), coefficient) = next(iter(poly.items()))
        if coefficient == 1 and not exponent and len(factors) == 1:
            base, power = next(iter(factors))
            if base.op == "max" and power == 1:
                return [flat for arg in base.args for flat in _flattened(normal(arg))]
    return [poly]


def _at_most(a: Poly, b: Poly) -> bool:
    if a == b or a == atom(t.MINUS_INFINITY) or b == atom(t.PLUS_INFINITY):
        return True
    gap = combined((b, a), (Fraction(1), Fraction(-1)))
    return bounds(to_term(gap))[0] >= 0


def _select(term: Term, strict: bool) -> Poly:
    condition = term.args[0]
    a, b = (normal(arg, strict) for arg in term.args[1:])
    if a == b:
        return a
    factor = number(Fraction(1))
    if strict:
        factor, _ = content(dict.fromkeys((*a, *b), Fraction(1)), strict)
        inverse = raised(factor, Fraction(-1), strict)
        a, b = product(a, inverse), product(b, inverse)
    canonical = t.rebuild(condition, [to_term(normal(arg, strict)) for arg in condition.args])
    return product(factor, atom(t.make("select", (canonical, to_term(a), to_term(b)))))


def _power(term: Term, strict: bool) -> Poly:
    base, exponent = (normal(arg, strict) for arg in term.args)
    k = as_number(exponent)
    if k is not None and (k.denominator == 1 or nonnegative(term.args[0])) and abs(k) <= 64:
        return raised(base, k, strict)
    if positive(term.args[0]):
        return exponential(product(exponent, _logarithm(base, strict)))
    return atom(t.make("powf", (to_term(base), to_term(exponent))))


def _sum(term: Term, strict: bool) -> Poly:
    bound, body = term.args
    return sum_over(normal(body, strict), bound, term.data, partial(normal, strict=strict))


def _cbrt(term: Term, strict: bool) -> Poly:
    if nonnegative(term.args[0]):
        return raised(normal(term.args[0], strict), Fraction(1, 3), strict)
    return atom(t.function("cbrt", to_term(normal(term.args[0], strict))))


def _via(rewrite: Callable[..., Term]) -> Callable[[Term, bool], Poly]:
    return lambda term, strict: normal(rewrite(*term.args), strict)


EXPANSIONS: dict[str, Callable[..., Term]] = {
    "expm1": lambda a: t.sub(t.exp(a), t.ONE),
    "log1p": lambda a: t.log(t.add(t.ONE, a)),
    "rsqrt": lambda a: t.div(t.ONE, t.sqrt(a)),
}
"""Functions that are written with others."""

_RULES: dict[str, Callable[[Term, bool], Poly]] = {
    "const": _const,
    "ln2": lambda term, strict: atom(term),
    "sym": lambda term, strict: atom(term),
    "add": _linear(1, 1),
    "sub": _linear(1, -1),
    "neg": _linear(-1),
    "mul": _mul,
    "div": _div,
    "exp": _exp,
    "log": _log,
    "abs": _abs,
    "max": _max,
    "min": _min,
    "select": _select,
    "sqrt": lambda term, strict: raised(normal(term.args[0], strict), Fraction(1, 2), strict),
    "cbrt": _cbrt,
    "sum": _sum,
    "powf": _power,
    "held": lambda term, strict: normal(term.args[0], True) if strict else atom(term),
    **{name: _via(rewrite) for name, rewrite in EXPANSIONS.items()},
}
