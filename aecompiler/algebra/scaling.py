"""References: what is subtracted from the exponents of a moment, so that no power overflows.

A moment sum_j A(s_j) whose A grows like a power is kept as sum_j A(s_j) exp(-ref), with `ref` the largest
exponent seen. `reference` finds it and `shifted` moves the factor exp(-ref) to where the powers are.
"""

from __future__ import annotations

from collections.abc import Callable

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import EXPANSIONS, normal
from aecompiler.algebra.polynomials import Poly, TooLargeError, to_term
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term

Supremum = Callable[[Term], Term]
"""The largest value of an exponent over the elements, or ZERO where it needs no reference."""


def reference(term: Term, supremum: Supremum) -> Term:
    """`ref`, such that `term` * exp(-ref) holds no power with an exponent above 0; ZERO for no reference."""
    found = _reference(term, supremum)
    return ZERO if found is None else found


def _reference(term: Term, supremum: Supremum) -> Term | None:
    """None: there is no power in `term` that grows."""
    op, args = term.op, term.args
    if op == "exp":
        return supremum(args[0])
    if op == "expm1":
        return _largest([supremum(args[0]), None])
    if op in ("neg", "abs"):
        return _reference(args[0], supremum)
    if op in ("add", "sub", "max", "min", "select"):
        summands = args[1:] if op == "select" else args
        return _largest([_reference(arg, supremum) for arg in summands if arg is not ZERO])
    if op == "mul":
        left, right = (_reference(arg, supremum) for arg in args)
        if left is None or right is None:
            return right if left is None else left
        return t.add(left, right)
    if op == "div":
        return _reference(args[0], supremum)
    if op == "sqrt":
        inner = _reference(args[0], supremum)
        return inner if inner in (None, ZERO) else t.mul(t.const(0.5), inner)
    return None


def _largest(references: list[Term | None]) -> Term | None:
    """The reference of a sum: a summand without power has the exponent 0."""
    if all(found is None for found in references):
        return None
    exponents: dict[Term, None] = {}
    for found in references:
        pending = [ZERO if found is None else found]
        while pending:
            exponent = pending.pop()
            if exponent.op == "max":
                pending += exponent.args[::-1]
            else:
                exponents[exponent] = None
    first, *others = exponents
    for other in others:
        first = t.maximum(first, other)
    return first


def shifted(term: Term, ref: Term) -> Term:
    """`term` * exp(-ref), with the factor inside of the powers."""
    if ref is ZERO or term is ZERO:
        return term
    op, args = term.op, term.args
    if op == "exp":
        return t.exp(difference(args[0], ref))
    if op in EXPANSIONS and has_power(term):
        return shifted(EXPANSIONS[op](*args), ref)
    if not has_power(term):
        return t.mul(term, t.exp(t.neg(ref)))
    if op in ("neg", "abs", "add", "sub", "max", "min"):
        return t.rebuild(term, [shifted(arg, ref) for arg in args])
    if op == "select":
        return t.select(args[0], *(shifted(arg, ref) for arg in args[1:]))
    if op == "mul":
        return _shifted_product(args[0], args[1], ref)
    if op == "div":
        return t.div(shifted(args[0], ref), args[1])
    return t.sqrt(shifted(args[0], t.mul(t.TWO, ref)))


def difference(a: Term, b: Term) -> Term:
    """a - b, as c (x - y) where all of it has the factor c: c x alone may overflow, and inf - inf is NaN."""
    choices: dict[Term, Term] = {}

    def name(part: Term) -> Term | None:
        """Choices stay as they are written: what is assumed of them is found by their terms."""
        if part.op not in ("select", "max", "min"):
            return None
        depends = Depends.ELEMENT if part.element else Depends.VARYING if part.varying else Depends.FIXED
        return choices.setdefault(part, t.symbol(f"choice {len(choices)}", depends, *bounds(part)))

    try:
        poly = normal(t.transform(t.sub(a, b), name))
    except TooLargeError:
        return t.sub(a, b)
    factor, inner = _common_factor(poly)
    if factor is ONE:
        return t.sub(a, b)
    return t.substitute(t.mul(factor, to_term(inner)), {symbol: part for part, symbol in choices.items()})


def _common_factor(poly: Poly) -> tuple[Term, Poly]:
    """c and x with `poly` = c x, where the coefficients of x are 1 and -1."""
    sizes = {abs(coefficient) for coefficient in poly.values()}
    if len(poly) < 2 or len(sizes) > 1:
        return ONE, poly
    (size,) = sizes
    shared = frozenset.intersection(*(factors for factors, _ in poly))
    factor = to_term({(shared, frozenset()): size})
    return factor, {(factors - shared, exponent): c / size for (factors, exponent), c in poly.items()}


def _shifted_product(a: Term, b: Term, ref: Term) -> Term:
    if not has_power(a):
        return t.mul(a, shifted(b, ref))
    if has_power(b) and ref.op == "add":
        return t.mul(shifted(a, ref.args[0]), shifted(b, ref.args[1]))
    return t.mul(shifted(a, ref), b)


def has_power(term: Term) -> bool:
    """Whether `reference` looks at a power in `term`."""
    return _reference(term, lambda exponent: ZERO) is not None


def may_be_minus_infinity(ref: Term) -> bool:
    """Whether the reference is -inf before any element is seen."""
    if ref.op == "max":
        return all(map(may_be_minus_infinity, ref.args))
    return any(part.varying and part.op in ("sym", "reduce") for part in t.parts(ref))


def guarded(ref: Term) -> Term:
    """`ref`, with 0 for -inf: a reference that can be subtracted from."""
    if not may_be_minus_infinity(ref):
        return ref

    def guard(part: Term) -> Term | None:
        if part.varying and part.op in ("sym", "max", "min", "select", "reduce"):
            return t.select(t.compare("oeq", part, t.MINUS_INFINITY), ZERO, part)
        return None if part.varying else part

    return t.transform(ref, guard)
