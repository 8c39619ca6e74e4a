"""Polynomials: sums of monomials, each a rational number times powers of atoms times one exponential.

They are the normal forms of terms; what makes one of a term is in `normal`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds, nonnegative, positive
from aecompiler.algebra.terms import Term

Factors = frozenset[tuple[Term, Fraction]]
Exponent = frozenset[tuple["Monomial", Fraction]]
Monomial = tuple[Factors, "Exponent"]  # type: ignore[misc]
Poly = dict[Monomial, Fraction]

UNIT: Monomial = (frozenset(), frozenset())
LIMIT = 256
"""The most monomials of a normal form."""


MAX_SIZE = 20_000
"""The most nodes of a term that is looked at, shared ones counted once for each use."""


class TooLargeError(Exception):
    """A normal form has more than `LIMIT` monomials, or a term more than `MAX_SIZE` nodes."""


def check_size(term: Term) -> None:
    """Raise `TooLargeError` for a term that would take too long."""
    if term.size > MAX_SIZE:
        raise TooLargeError


def atom(term: Term, power: Fraction = Fraction(1)) -> Poly:
    """The normal form of something that no law takes apart."""
    return {(frozenset([(term, power)]), frozenset()): Fraction(1)}


def number(value: Fraction) -> Poly:
    """The normal form of a number."""
    return {UNIT: value} if value else {}


def as_number(poly: Poly) -> Fraction | None:
    """The number that a normal form is."""
    if not poly:
        return Fraction(0)
    return poly[UNIT] if len(poly) == 1 and UNIT in poly else None


def depends(monomial: Monomial, on: Callable[[Term], bool]) -> bool:
    """Whether any atom of a monomial, in its exponent too, satisfies `on`."""
    factors, exponent = monomial
    return any(on(atom_) for atom_, _ in factors) or any(depends(inner, on) for inner, _ in exponent)


# ---- arithmetic ----------------------------------------------------------------------------------


def combined(polys: Iterable[Poly], scales: Iterable[Fraction]) -> Poly:
    """The sum of polynomials, each times a number."""
    result: Poly = {}
    for poly, scale in zip(polys, scales, strict=True):
        for monomial, coefficient in poly.items():
            new = result.get(monomial, Fraction(0)) + coefficient * scale
            if new:
                result[monomial] = new
            else:
                result.pop(monomial, None)
    return result


def _times(a: Monomial, b: Monomial) -> Monomial:
    if a == UNIT:
        return b
    if b == UNIT:
        return a
    factors = dict(a[0])
    for base, power in b[0]:
        if _is_unit(base):
            factors[base] = Fraction(1)
            continue
        old = factors.get(base, Fraction(0))
        if old + power:
            factors[base] = old + power
        else:
            del factors[base]
        if old * power < 0 and old + power >= 0 and not _is_nonzero(base):
            factors[t.make("div", (base, base))] = Fraction(1)
    exponent = combined((dict(a[1]), dict(b[1])), (Fraction(1), Fraction(1)))
    return frozenset(factors.items()), frozenset(exponent.items())


def _is_nonzero(term: Term) -> bool:
    low, high = bounds(term)
    return low > 0 or high < 0


def _is_unit(term: Term) -> bool:
    """Whether the term is x / x for an x that may be 0: 1 or NaN, and so is each power of it."""
    return term.op == "div" and term.args[0] is term.args[1]


def _settled(monomial: Monomial) -> tuple[Monomial, Fraction]:
    """The monomial without whole powers of numbers, and those: (2^(1/2))^2 is 2."""
    whole = [f for f in monomial[0] if f[0].op == "const" and f[1].denominator == 1 and f[0].data != 0]
    whole = [f for f in whole if math.isfinite(float(f[0].data))]
    if not whole:
        return monomial, Fraction(1)
    scale = Fraction(1)
    for base, power in whole:
        scale *= Fraction(base.data) ** int(power)
    return (monomial[0].difference(whole), monomial[1]), scale


def product(a: Poly, b: Poly) -> Poly:
    """The normal form of a product."""
    if len(a) * len(b) > LIMIT:
        raise TooLargeError
    if (not a and _divides_by_zero(b)) or (not b and _divides_by_zero(a)):
        return atom(t.const(math.nan))
    result: Poly = {}
    for left, p in a.items():
        for right, q in b.items():
            monomial, scale = _settled(_times(left, right))
            new = result.get(monomial, Fraction(0)) + p * q * scale
            if new:
                result[monomial] = new
            else:
                result.pop(monomial, None)
    return result


def _divides_by_zero(poly: Poly) -> bool:
    return any(base is t.ZERO and power < 0 for factors, _ in poly for base, power in factors)


def scale_by(poly: Poly, scale: Fraction) -> Poly:
    """The polynomial times a number."""
    return {monomial: coefficient * scale for monomial, coefficient in poly.items()}


def _monomial_power(monomial: Monomial, k: Fraction) -> Monomial:
    factors = frozenset((base, power if _is_unit(base) else power * k) for base, power in monomial[0])
    return factors, frozenset((inner, scale * k) for inner, scale in monomial[1])


def raised(poly: Poly, k: Fraction, strict: bool) -> Poly:
    """The normal form of a power with a rational exponent."""
    if k == 1:
        return poly
    if not k:
        return number(Fraction(1))
    if not poly:
        return {} if k > 0 else atom(t.ZERO, k)
    if len(poly) == 1:
        ((monomial, coefficient),) = poly.items()
        if (found := _single_power(monomial, coefficient, k)) is not None:
            return found
    elif k.denominator == 1 and 1 < k <= 4:
        result = poly
        for _ in range(int(k) - 1):
            result = product(result, poly)
        return result
    common, rest = content(poly, strict) if strict else (number(Fraction(1)), poly)
    if common != number(Fraction(1)):
        return product(raised(common, k, strict), raised(rest, k, strict))
    base = to_term(poly)
    if k.denominator != 1 and not nonnegative(base):
        # No power of the base: a root of it is defined for some numbers only, and so are powers of the root.
        return atom(_power_term(base, abs(k)), Fraction(1 if k > 0 else -1))
    return atom(base, k)


def _single_power(monomial: Monomial, coefficient: Fraction, k: Fraction) -> Poly | None:
    factors, exponent = monomial
    if k.denominator == 1:
        new_monomial, scale = _settled(_monomial_power(monomial, k))
        return {new_monomial: coefficient ** int(k) * scale}
    if coefficient < 0:
        return None
    new = []
    for base, power in factors:
        if _is_unit(base):
            new.append((base, power))
        elif nonnegative(base):
            new.append((base, power * k))
        elif power.denominator == 1 and power % 2 == 0:
            new.append((t.absolute(base), power * k))
        else:
            return None
    root = Fraction(1)
    if coefficient != 1:
        exact = _root(coefficient) if k.denominator == 2 else None
        if exact is not None:
            root = exact ** int(k * 2)
        else:
            new.append((t.const(float(coefficient)), k))
    return {(frozenset(new), _monomial_power((frozenset(), exponent), k)[1]): root}


def _root(value: Fraction) -> Fraction | None:
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    return Fraction(top, bottom) if Fraction(top * top, bottom * bottom) == value else None


def content(poly: Poly, strict: bool) -> tuple[Poly, Poly]:
    """A positive monomial that divides all of `poly`, and the quotient."""
    monomials = list(poly)
    scale = abs(poly[leading(monomials)])
    shared: dict[Term, Fraction] = {}
    exponent: dict[Monomial, Fraction] = {}
    if strict:
        first, *others = monomials
        shared = {base: power for base, power in first[0] if positive(base)}
        exponent = dict(first[1])
        for other in others:
            powers, scales = dict(other[0]), dict(other[1])
            # The smaller power divides both; an atom that one of them lacks counts as power 0.
            shared = {base: min(power, powers[base]) for base, power in shared.items() if base in powers}
            exponent = {inner: c for inner, c in exponent.items() if scales.get(inner) == c}
    common: Monomial = (frozenset(shared.items()), frozenset(exponent.items()))
    inverse = _monomial_power(common, Fraction(-1))
    rest = {_times(monomial, inverse): value / scale for monomial, value in poly.items()}
    return {common: scale}, rest


# ---- back to terms -------------------------------------------------------------------------------


def leading(monomials: Iterable[Monomial]) -> Monomial:
    """The monomial by which others are scaled: a number only if there is nothing else."""
    return min(monomials, key=lambda monomial: (monomial == UNIT, monomial_order(monomial)))


def monomial_order(monomial: Monomial) -> tuple:
    """A key that sorts monomials in the same way in each run."""
    factors, exponent = monomial
    return (
        sum(base.size for base, _ in factors) + sum(monomial_order(inner)[0] for inner, _ in exponent),
        sorted((base.digest, power) for base, power in factors),
        sorted((monomial_order(inner), scale) for inner, scale in exponent),
    )


def to_term(poly: Poly) -> Term:
    """A term of this normal form: the same one in each run."""
    ordered = sorted(poly, key=monomial_order)
    ordered.sort(key=lambda monomial: poly[monomial] < 0)  # stable: begins with a positive one
    result = t.ZERO
    for monomial in ordered:
        coefficient = poly[monomial]
        piece = _monomial_term(monomial, abs(coefficient))
        if result is t.ZERO:
            result = piece if coefficient > 0 else t.neg(piece)
        else:
            result = t.add(result, piece) if coefficient > 0 else t.sub(result, piece)
    return result


def _monomial_term(monomial: Monomial, coefficient: Fraction) -> Term:
    factors, exponent = monomial
    above: list[Term] = []
    below: list[Term] = []
    for base, power in sorted(factors, key=lambda factor: t.order(factor[0])):
        (above if power > 0 else below).append(_power_term(base, abs(power)))
    if exponent:
        above.insert(0, t.exp(to_term(dict(exponent))))
    if coefficient != 1:
        # A quotient by a whole number is exact where a product with its inverse is not; 1 / 0.7 is no float.
        inverse = 1 / coefficient
        whole = coefficient.numerator == 1 and above and coefficient.denominator < 1 << 20
        if whole or (not _is_float(coefficient) and _is_float(inverse)):
            below.append(t.const(float(inverse)))
        else:
            above.insert(0, t.const(float(coefficient)))
    result = _product(above)
    return t.div(result, _product(below)) if below else result


def _is_float(value: Fraction) -> bool:
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False


def _product(factors: list[Term]) -> Term:
    result = t.ONE
    for factor in factors:
        result = t.mul(result, factor)
    return result


def _power_term(base: Term, power: Fraction) -> Term:
    if power == Fraction(1, 2):
        return t.sqrt(base)
    if power == Fraction(1, 3):
        return t.function("cbrt", base)
    if power.denominator == 1 and power <= 8:
        return _product([base] * int(power))
    return t.power(base, t.const(float(power)))
