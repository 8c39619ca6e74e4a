"""Proofs that a term is defined: no division by 0, no logarithm or root of what may be negative.

The laws of `normal` hold where both sides are defined: x / x is 1 but for 0, exp(log x) is x but for x < 0. A
proof by them is one for finite numbers only if every operation that is not defined everywhere is proved to be
defined, with each symbol a finite number.
"""

from __future__ import annotations

from collections.abc import Iterator

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds, nonnegative, positive
from aecompiler.algebra.polynomials import check_size
from aecompiler.algebra.terms import ZERO, Term

Facts = frozenset[tuple[str, Term]]
"""What the conditions of choices say of terms: ("positive" or "nonzero", term)."""

_NOTHING: Facts = frozenset()

_NONZERO_IF = {"ogt": "positive", "olt": "nonzero", "one": "nonzero", "une": "nonzero"}
_NONZERO_UNLESS = {"oeq": "nonzero", "ueq": "nonzero", "ule": "positive", "uge": "nonzero"}


def doubtful_parts(term: Term) -> list[Term]:
    """The parts of a term that are not proved to be defined, each once."""
    check_size(term)
    return list(dict.fromkeys(_doubtful(term, _NOTHING, set())))


def _doubtful(term: Term, facts: Facts, seen: set[tuple[Term, Facts]]) -> Iterator[Term]:
    if (term, facts) in seen or not term.args:
        return
    seen.add((term, facts))
    if not _defined(term, facts):
        yield term
    if term.op == "select":
        condition, yes, no = term.args
        yield from _doubtful(condition, facts, seen)
        yield from _doubtful(yes, facts | _facts(condition, _NONZERO_IF), seen)
        yield from _doubtful(no, facts | _facts(condition, _NONZERO_UNLESS), seen)
        return
    for arg in term.args:
        yield from _doubtful(arg, facts, seen)


def _facts(condition: Term, table: dict[str, str]) -> Facts:
    """What is known of a term that is compared with 0, in the branch that `table` is for."""
    if condition.op != "cmp" or condition.data not in table or condition.args[1] is not ZERO:
        return _NOTHING
    return frozenset([(table[condition.data], condition.args[0])])


def _defined(term: Term, facts: Facts) -> bool:
    """Whether the operation is defined, its arguments being finite."""
    op, args = term.op, term.args
    if op == "div":
        return _nonzero(args[1], facts)
    if op in ("log", "rsqrt"):
        return _positive(args[0], facts)
    if op == "sqrt":
        return nonnegative(args[0]) or _positive(args[0], facts)
    if op == "log1p":
        return bounds(args[0])[0] > -1
    if op == "powf":
        return _power_defined(args[0], args[1], facts)
    return True


def _power_defined(base: Term, exponent: Term, facts: Facts) -> bool:
    if _positive(base, facts):
        return True
    k = t.value_of(exponent)
    if k is not None and k == int(k):
        return k >= 0 or _nonzero(base, facts)
    return nonnegative(base) and nonnegative(exponent)


def _positive(term: Term, facts: Facts) -> bool:
    if positive(term) or ("positive", term) in facts:
        return True
    if term.op == "select":
        condition, yes, no = term.args
        return _positive(yes, facts | _facts(condition, _NONZERO_IF)) and _positive(
            no, facts | _facts(condition, _NONZERO_UNLESS)
        )
    return False


def _nonzero(term: Term, facts: Facts) -> bool:
    if _positive(term, facts) or bounds(term)[1] < 0 or ("nonzero", term) in facts:
        return True
    if term.op == "select":
        condition, yes, no = term.args
        return _nonzero(yes, facts | _facts(condition, _NONZERO_IF)) and _nonzero(
            no, facts | _facts(condition, _NONZERO_UNLESS)
        )
    if term.op == "mul":
        return all(_nonzero(arg, facts) for arg in term.args)
    return term.op in ("neg", "abs") and _nonzero(term.args[0], facts)
