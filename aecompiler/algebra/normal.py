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
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache

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


def _scaled(poly: Poly, scale: Fraction) -> Poly:
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
        return _scaled(poly, Fraction(-1))
    if len(poly) == 1:
        ((factors, exponent), coefficient) = next(iter(poly.items()))
        new: dict[Term, Fraction] = {}
        for base, power in factors:
            keep = nonnegative(base) or (power.denominator == 1 and power % 2 == 0)
            key = base if keep else t.absolute(base)
            new[key] = new.get(key, Fraction(0)) + power
        return {(frozenset(new.items()), exponent): abs(coefficient)}
    common, rest = content(poly, strict)
    if rest[min(rest, key=_monomial_order)] < 0:
        rest = _scaled(rest, Fraction(-1))
    return product(common, atom(t.absolute(to_term(rest))))


def _max(term: Term, strict: bool) -> Poly:
    return _largest([normal(arg, strict) for arg in term.args], strict)


def _min(term: Term, strict: bool) -> Poly:
    negated = [_scaled(normal(arg, strict), Fraction(-1)) for arg in term.args]
    return _scaled(_largest(negated, strict), Fraction(-1))


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
        factor = _scaled(factor, scale / next(iter(factor.values())))
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
    "powf": _power,
    "held": lambda term, strict: normal(term.args[0], True) if strict else atom(term),
    **{name: _via(rewrite) for name, rewrite in EXPANSIONS.items()},
}


# ---- back to terms -------------------------------------------------------------------------------


def leading(monomials: Iterable[Monomial]) -> Monomial:
    """The monomial by which others are scaled: a number only if there is nothing else."""
    return min(monomials, key=lambda monomial: (monomial == UNIT, _monomial_order(monomial)))


def _monomial_order(monomial: Monomial) -> tuple:
    factors, exponent = monomial
    return (
        sum(base.size for base, _ in factors) + sum(_monomial_order(inner)[0] for inner, _ in exponent),
        sorted((base.digest, power) for base, power in factors),
        sorted((_monomial_order(inner), scale) for inner, scale in exponent),
    )


def to_term(poly: Poly) -> Term:
    """A term of this normal form: the same one in each run."""
    ordered = sorted(poly, key=_monomial_order)
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
