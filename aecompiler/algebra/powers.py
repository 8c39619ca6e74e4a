"""Powers in a term: where they stand, and whether the term overflows when one of them does."""

from __future__ import annotations

import math
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import normal
from aecompiler.algebra.polynomials import Monomial, TooLargeError, to_term
from aecompiler.algebra.terms import Term

POWERS = ("exp", "expm1")
SMALL = 9.0
"""A power with an exponent that is known to be at most this is a number like others."""

_ROOTS = ("sqrt", "cbrt", "rsqrt", "powf")
_SUMS = ("add", "sub", "max", "neg", "abs")
_MOST = 64


def has_powers(term: Term) -> bool:
    """Whether a power of the element is in the term."""
    return term.element and any(part.element for part in powers(term))


def powers(*terms: Term) -> list[Term]:
    """The exponents of all powers."""
    found = (part.args[0] for part in t.parts(*terms) if part.op in POWERS)
    return [exponent for exponent in found if bounds(exponent)[1] > SMALL]


def plain(term: Term) -> Term:
    """An equal function of the element with no power below a root or divisor, as far as laws allow that.

    exp(x)^k is exp(k x), and a / exp(x) is a exp(-x): where they overflow, so did the term.
    """
    return t.transform(term, _plain) if has_powers(term) else term


def _plain(part: Term) -> Term | None:
    if not has_powers(part):
        return part
    if part.op in _ROOTS:
        found = _single(part)
        return None if found is None else to_term({found[0]: found[1]})
    if part.op == "mul" and all(map(has_powers, part.args)):
        a, b = (plain(arg) for arg in part.args)
        for one, other in ((a, b), (b, a)):
            if (found := _single(other)) is not None:
                return _times(one, found)
        return t.mul(a, b)
    if part.op == "div" and has_powers(part.args[1]):
        found = _single(part.args[1])
        if found is not None:
            (factors, exponent), scale = found
            inverse = (
                frozenset((base, -power) for base, power in factors),
                frozenset((inner, -c) for inner, c in exponent),
            )
            return _times(plain(part.args[0]), (inverse, 1 / scale))
    return None


def _single(term: Term) -> tuple[Monomial, Fraction] | None:
    """The only monomial of a term, if that is a power times factors without powers, and its coefficient."""
    try:
        poly = normal(term)
    except TooLargeError:
        return None
    if len(poly) != 1:
        return None
    (((factors, exponent), scale),) = poly.items()
    if not exponent or any(has_powers(base) for base, _ in factors):
        return None
    return (factors, exponent), scale


def _times(term: Term, monomial: tuple[Monomial, Fraction]) -> Term:
    """The product with a power, which becomes a summand of the exponents."""
    from aecompiler.algebra.scaling import shifted

    (factors, exponent), scale = monomial
    factor = to_term({(factors, frozenset()): scale})
    power = to_term(dict(exponent))
    if not has_powers(term):
        return t.mul(t.mul(term, factor), t.exp(power))
    found = _single(term)
    if found is not None:
        return to_term(normal(t.mul(t.mul(term, factor), t.exp(power))))
    return t.mul(factor, shifted(term, t.neg(power)))


def grown(term: Term) -> list[Term]:
    """Exponents such that the term is infinite or NaN where the power of one of them is."""
    op, args = term.op, term.args
    if not powers(term):
        return []
    if op in POWERS:
        return [args[0]]
    if op in _SUMS:
        return _distinct(*map(grown, args))
    if op == "select" and not args[0].element:
        return _distinct(*map(grown, args[1:]))
    if op == "mul":
        left, right = map(grown, args)
        return _distinct(left, right, [t.add(a, b) for a in left for b in right])
    if op == "div":
        above, below = map(grown, args)
        return _distinct(above, [t.sub(a, b) for a in above for b in below])
    if op in _ROOTS and op != "rsqrt":
        exponent = {"sqrt": 0.5, "cbrt": 1 / 3}.get(op) or t.value_of(args[1])
        if exponent is not None and exponent > 0:
            inner = grown(args[0])
            return _distinct(inner, [t.mul(t.const(exponent), each) for each in inner])
    return []


def hidden(term: Term, choices: tuple[str, ...] = ("min", "select")) -> list[Term]:
    """Exponents of the other powers: in divisors, in functions, in what `choices` may leave out."""
    found: dict[Term, None] = {}

    def visit(part: Term) -> None:
        op, args = part.op, part.args
        seen: tuple[Term, ...] = ()
        if op in (*_SUMS, "mul") or (op in ("min", "sqrt") and op not in choices):
            seen = args
        elif op == "div":
            seen = args[:1]
        elif op == "select" and not (args[0].element and op in choices):
            seen = args[1:]
        for arg in dict.fromkeys(args):
            if arg in seen:
                visit(arg)
            else:
                found.update(dict.fromkeys(powers(arg)))

    visit(term)
    return list(found)


def _distinct(*groups: list[Term]) -> list[Term]:
    return list(dict.fromkeys(each for group in groups for each in group))[:_MOST]


def is_clean(term: Term) -> bool:
    """Whether a function of the element overflows wherever a power in it does."""
    if not has_powers(term):
        return True
    op, args = term.op, term.args
    if op in POWERS:
        return not has_powers(args[0])
    if op in _SUMS or op == "sqrt":
        return all(map(is_clean, args))
    if op == "mul":
        both = all(map(has_powers, args))
        return all(map(is_clean, args)) and (not both or args[0] is args[1])
    return op == "div" and is_clean(args[0]) and not has_powers(args[1])


_TOTAL = ("tanh", "erf", "erfc", "sin", "cos", "atan", "floor", "ceil", "cbrt", "sqrt")
_READS = ("tensor.extract", "arith.sitofp", "arith.uitofp", "arith.extf")
_LEAST = 1e-30


def is_finite(term: Term) -> bool:
    """Whether a function of the element, relative to its reference, is a number for every score."""
    return is_clean(term) and _is_finite(term)


def _is_finite(term: Term) -> bool:
    op, args = term.op, term.args
    if op == "const":
        return math.isfinite(float(term.data))
    if op == "fn":
        return term.data[0] in _READS
    if op == "select":
        return all(map(_is_finite, args[1:]))
    if not all(map(_is_finite, args)):
        return False
    if op in (*_SUMS, *POWERS, "sym", "ln2", "mul", "min"):
        return True
    if op in _TOTAL:
        return not has_powers(term) and (op != "sqrt" or bounds(args[0])[0] >= 0)
    if op == "div":
        low, high = bounds(args[1])
        return low >= _LEAST or high <= -_LEAST
    least = bounds(args[0])[0] + (1.0 if op == "log1p" else 0.0)
    if op == "powf":
        return least >= _LEAST and bounds(args[1])[1] <= 4 and bounds(args[1])[0] >= -1
    return op in ("log", "log1p", "rsqrt") and least >= _LEAST and not has_powers(term)
