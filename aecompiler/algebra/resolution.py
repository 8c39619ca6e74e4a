"""What a term is for a row that has elements: every quantity in it is a finite number.

Only the constants inf and -inf, the identities of reductions, are not finite, and what divides by 0. With
them decided, what is left are identities of real numbers; a term in which one is left is undefined, and never
dropped: 0 * (x / 0) is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from aecompiler.algebra import terms as t
from aecompiler.algebra.definedness import doubtful_parts
from aecompiler.algebra.folding import FALSE, TRUE, fold, holds
from aecompiler.algebra.intervals import bounds, nonnegative, positive
from aecompiler.algebra.terms import ONE, ZERO, Term

Reduce = Callable[[str, Term], Term]
"""The value of a reduction over a tile, of a function in which all else is filled in."""


def resolve(term: Term, known: Mapping[Term, Term], reduce: Reduce) -> Term:
    """`term` with the parts in `known` and the reductions over the tile filled in, as far as that goes."""
    memo: dict[Term, Term] = dict(known)

    def visit(part: Term) -> Term:
        if part not in memo:
            args = [visit(arg) for arg in part.args]
            if part.op == "reduce":
                memo[part] = reduce(part.data, args[0])
            else:
                new = t.rebuild(part, args)
                decided = _decide(new) if new.args else new
                memo[part] = fold(decided, exact=True) if decided is new else decided
        return memo[part]

    return visit(term)


@lru_cache(maxsize=8192)
def has_infinity(term: Term) -> bool:
    """Whether an infinity or NaN is left in the term, or what makes one of 0."""
    if term.op == "const":
        return not math.isfinite(float(term.data))
    if term.op == "div" and term.args[1] is ZERO:
        return True
    if term.op == "powf" and term.args[0] is ZERO and not nonnegative(term.args[1]):
        return True
    return any(map(has_infinity, term.args))


@lru_cache(maxsize=8192)
def _number(term: Term) -> bool:
    """Whether the term is a finite number, its symbols being such."""
    return not has_infinity(term) and not any(part.varying for part in doubtful_parts(term))


def _infinite(term: Term) -> bool:
    return term in (t.PLUS_INFINITY, t.MINUS_INFINITY)


def _decide(term: Term) -> Term:
    op, args = term.op, term.args
    if op == "cmp":
        return _comparison(term)
    if op in ("add", "sub"):
        for one, other in (args, args[::-1]):
            if _infinite(one) and _number(other):
                return one if op == "add" or one is args[0] else t.neg(one)
    if op == "mul":
        return _product(term)
    if op == "div" and _infinite(args[1]) and _number(args[0]):
        return ZERO
    if op == "div" and args[0] is ZERO and positive(args[1]) and _number(args[1]):
        return ZERO
    if op in ("max", "min"):
        # What is larger than all, or smaller, was dropped by the constructor.
        absorbing = t.PLUS_INFINITY if op == "max" else t.MINUS_INFINITY
        for one, other in (args, args[::-1]):
            if one is absorbing and _number(other):
                return one
    return term


def _product(term: Term) -> Term:
    for one, other in (term.args, term.args[::-1]):
        if one is ONE:
            return other
        if one is ZERO and _number(other):
            return ZERO
        if _infinite(one) and _number(other):
            if positive(other):
                return one
            if positive(t.neg(other)):
                return t.neg(one)
    return term


def _comparison(term: Term) -> Term:
    a, b = term.args
    if t.value_of(a) is not None and t.value_of(b) is not None:
        return term
    if not all(_infinite(side) or _number(side) for side in (a, b)):
        return term
    if term.data in ("ord", "uno"):
        return TRUE if term.data == "ord" else FALSE
    if _infinite(a) or _infinite(b):
        finite = 0.0
        left = float(a.data) if _infinite(a) else finite
        right = float(b.data) if _infinite(b) else finite
        return TRUE if holds(term.data, left, right) else FALSE
    (low, high), (least, most) = bounds(a), bounds(b)
    if high < least or low > most:
        return TRUE if holds(term.data, *((0.0, 1.0) if high < least else (1.0, 0.0))) else FALSE
    return term
