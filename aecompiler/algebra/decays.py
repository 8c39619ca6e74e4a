"""Decays as signs and exponentials: a = sign * exp(L), with L in a form that neither cancels nor overflows.

Logarithms add up where decays multiply: so the decay over any stretch of positions is one difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.folding import FALSE, TRUE, fold
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import equal, normal
from aecompiler.algebra.polynomials import Factors, Poly, to_term
from aecompiler.algebra.terms import Depends, Term

_NOTHING = {"f32": -110.0, "f64": -750.0}
"""By the accumulator type: the exponential of it is 0."""

_LARGEST = {"f32": 89.0, "f64": 710.0}
"""By the accumulator type: the exponential of it overflows."""


def least_log(accumulator: str, nonpositive: bool) -> float:
    """The logarithm below which none need be: its exponential is 0, and stays so.

    Where logarithms may be positive, later ones are added to it before the exponential is taken. It is 0
    nevertheless, unless the product of the decays that they stand for overflows.
    """
    return _NOTHING[accumulator] - (0.0 if nonpositive else _LARGEST[accumulator])


@dataclass(frozen=True)
class Decay:
    """A factor of the state: `value = sign * exp(log)`; without a sign it is known to be at least 0.

    `law` is the logarithm with softplus as a function, before it is written out.
    """

    value: Term
    law: Term
    sign: Term | None

    @property
    def log(self) -> Term:
        """The logarithm of |value|."""
        return t.transform(self.law, lambda part: softplus(part.args[0]) if part.op == _SOFTPLUS else None)

    @property
    def nonpositive(self) -> bool:
        """Whether the logarithm is proved to be at most 0."""
        return bounds(self.log)[1] <= 0


_SOFTPLUS = "softplus"


def decay_of(poly: Poly) -> Decay:
    """The decay that a polynomial is."""
    value = to_term(poly)
    law = log_size(value)
    low, high = bounds(value)
    if low >= 0:
        return Decay(value, law, None)
    if high <= 0:
        return Decay(value, law, t.const(-1.0))
    return Decay(value, law, t.select(t.compare("olt", value, t.ZERO), t.const(-1.0), t.ONE))


def log_size(term: Term) -> Term:
    """log |term|."""
    if term.op == "held":
        return log_size(term.args[0])
    if term.op == "select":
        condition, a, b = term.args
        return t.select(condition, log_size(a), log_size(b))
    poly = normal(term)
    if not poly:
        return t.MINUS_INFINITY
    if len(poly) == 1:
        return _log_of_monomial(poly, _log_of_factor)
    return _log_of_sum(to_term(poly))


def _log_of_monomial(poly: Poly, log_of: Callable[[Term], Term]) -> Term:
    """log |poly| of a single monomial, from the logarithms of its factors."""
    (((factors, exponent), coefficient),) = poly.items()
    logs = []
    if exponent:
        logs.append(to_term(dict(exponent)))
    if abs(coefficient) != 1:
        logs.append(t.log(t.const(float(abs(coefficient)))))
    for base, power in _in_order(factors):
        log = log_of(base)
        if power == -1:
            logs.append(t.neg(log))
        else:
            logs.append(t.mul(t.const(float(power)), log) if power != 1 else log)
    return t.total(logs)


def _in_order(factors: Factors) -> list[tuple[Term, Fraction]]:
    return sorted(factors, key=lambda factor: t.order(factor[0]))


def _log_of_factor(base: Term) -> Term:
    return log_size(base) if base.op in ("held", "select") else _log_of_sum(base)


def _log_of_sum(term: Term) -> Term:
    """log |term|, of 1 + e^x as softplus, of 1 + x by log1p."""
    if term.op == "add" and t.ONE in term.args:
        (other,) = [arg for arg in term.args if arg is not t.ONE] or [t.ONE]
        if other.op == "exp":
            return t.function(_SOFTPLUS, other.args[0])
        if bounds(other)[0] > -1:
            return t.function("log1p", other)
    if term.op == "sub" and term.args[0] is t.ONE and bounds(term.args[1])[1] < 1:
        return t.function("log1p", t.neg(term.args[1]))
    if term.op == "exp":
        return term.args[0]
    return t.log(term if bounds(term)[0] >= 0 else t.absolute(term))


def softplus(x: Term) -> Term:
    """log(1 + e^x), with no exponent above 0."""
    return t.add(t.maximum(x, t.ZERO), t.function("log1p", t.exp(t.neg(t.absolute(x)))))


def proved(decay: Decay) -> bool:
    """Whether exp(log) = |value|, and sign * |value| = value."""
    low, high = bounds(decay.value)
    if (decay.sign is None and low < 0) or (decay.sign is t.const(-1.0) and high > 0):
        return False
    return _is_log(decay.law, decay.value)


def _is_log(law: Term, value: Term) -> bool:
    """Whether exp(law) = |value|: of a choice in both cases, of a product by its factors."""
    if value.op == "held":
        return _is_log(law, value.args[0])
    if value.op == "select":
        condition, *cases = value.args
        if law.op == "select" and law.args[0] is condition and all(map(_is_log, law.args[1:], cases)):
            return True
        return all(_is_log(law, case) for case in cases)  # equal cases have one logarithm
    poly = normal(value)
    if not poly:
        return law is t.MINUS_INFINITY
    if len(poly) > 1:
        return _is_log_of_sum(law, to_term(poly))
    (((factors, exponent), coefficient),) = poly.items()
    if law is not _log_of_monomial(poly, _log_of_factor):
        return False
    sizes: dict[Term, Term] = {}
    for base, _ in _in_order(factors):
        log = _log_of_factor(base)
        inner = base.op in ("held", "select")
        if not (_is_log(log, base) if inner else _is_log_of_sum(log, base)):
            return False
        sizes[base] = t.symbol(f"size{len(sizes)}", Depends.FIXED, 0.0)
    product: Poly = {(frozenset((sizes[base], power) for base, power in factors), exponent): abs(coefficient)}
    return _is_log_of(_log_of_monomial(poly, lambda base: t.log(sizes[base])), to_term(product))


def _is_log_of_sum(law: Term, value: Term) -> bool:
    """The same of what is no product, where the logarithm may be softplus."""
    if law.op == "log" and bounds(law.args[0])[0] >= 0:
        return law.args[0] is value or equal(law.args[0], t.absolute(value))
    one_plus: dict[Term, Term] = {}
    for part in t.parts(law):
        if part.op == _SOFTPLUS:
            (x,) = part.args
            one_plus[part] = t.log(t.add(t.ONE, t.exp(x)))
            if not equal_by_cases(t.exp(softplus(x)), t.add(t.ONE, t.exp(x))):
                return False
    return equal_by_cases(t.substitute(law, one_plus), t.absolute(value), compare=_is_log_of)


def _is_log_of(log: Term, size: Term) -> bool:
    """Whether exp(log) is `size`. Numbers stand in logarithms as they are, up to their rounding."""
    factor, rest = _number_in(log)
    left, right = normal(t.exp(rest), strict=True), normal(size, strict=True)
    return left.keys() == right.keys() and all(
        math.isclose(float(coefficient) * factor, float(right[monomial]), rel_tol=1e-12)
        for monomial, coefficient in left.items()
    )


def _number_in(log: Term) -> tuple[float, Term]:
    """c and L with log = log(c) + L for a number c, as far as sums at the top show it."""
    if log.op == "log" and (value := t.value_of(log.args[0])) is not None:
        return value, t.ZERO
    if log.op in ("add", "sub"):
        (a, left), (b, right) = map(_number_in, log.args)
        return (a * b, t.add(left, right)) if log.op == "add" else (a / b, t.sub(left, right))
    if log.op == "neg":
        c, rest = _number_in(log.args[0])
        return 1 / c, t.neg(rest)
    if log.op == "mul" and (power := t.value_of(log.args[0])) is not None:
        c, rest = _number_in(log.args[1])
        return c**power, t.mul(log.args[0], rest)
    return 1.0, log


_MOST_CASES = 6


def equal_by_cases(
    a: Term, b: Term, left: int = _MOST_CASES, compare: Callable[[Term, Term], bool] = equal
) -> bool:
    """Whether terms are proved equal in each case of their choices and of the maxima with 0."""
    if compare(a, b):
        return True
    found = _choice(a, b) if left else None
    if found is None:
        return False
    cases: list[dict[Term, Term]]
    if found.op == "select":
        condition = found.args[0]
        cases = [{condition: TRUE}, {condition: FALSE}]
    else:
        (x,) = [arg for arg in found.args if arg is not t.ZERO] or [t.ZERO]
        cases = [{found: x, t.absolute(x): x}, {found: t.ZERO, t.absolute(x): t.neg(x)}]
    return all(
        equal_by_cases(
            fold(t.substitute(a, case), exact=True),
            fold(t.substitute(b, case), exact=True),
            left - 1,
            compare,
        )
        for case in cases
    )


def _choice(a: Term, b: Term) -> Term | None:
    """A part by which cases are told apart."""
    for part in t.parts(a, b):
        if part.op == "select" and part.args[0] not in (TRUE, FALSE):
            return part
        if part.op == "max" and t.ZERO in part.args:
            return part
    return None
