"""Boolean formulas over comparisons of integer expressions, negated by `negation`, and their normal form.

Negations stand nowhere: each literal has a literal or a formula as its opposite. `alternatives` gives the
disjunctive normal form: a formula holds where all literals of one alternative hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from aecompiler.algebra.integers import (
    Choice,
    Linear,
    Maximum,
    Remainder,
    has_choice,
    lower_bound,
    number,
    of,
    upper_bound,
)


class Formula:
    """Base of the classes below."""

    names: frozenset[str]
    """The symbols that it depends on."""
    size: int = 1
    """The number of literals."""


@dataclass(frozen=True)
class Constant(Formula):
    """True or false."""

    value: bool

    names = frozenset()

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True)
class Unknown(Formula):
    """Nothing is known: it may hold, and it may not."""

    names = frozenset()

    def __str__(self) -> str:
        return "?"


@dataclass(frozen=True)
class NotPositive(Formula):
    """value <= 0."""

    value: Linear

    @property
    def names(self) -> frozenset[str]:  # type: ignore[override]
        """See `Formula`."""
        return self.value.names

    def __str__(self) -> str:
        left = _part(self.value, 1)
        if not left.terms:
            left = left + self.value.constant
        right = left - self.value
        if right.constant == -1:
            return f"{left} < {right + 1}"
        return f"{left} <= {right}"


@dataclass(frozen=True)
class Divides(Formula):
    """value mod by = 0 if `holds`, else not; `by` is positive."""

    value: Linear
    by: Linear
    holds: bool = True

    @property
    def names(self) -> frozenset[str]:  # type: ignore[override]
        """See `Formula`."""
        return self.value.names | self.by.names

    def __str__(self) -> str:
        return f"({self.value}) mod {self.by} {'=' if self.holds else '!='} 0"


@dataclass(frozen=True)
class Junction(Formula):
    """All of the parts hold (`every`), or at least one does."""

    every: bool
    parts: tuple[Formula, ...]

    @cached_property
    def names(self) -> frozenset[str]:  # type: ignore[override]
        """See `Formula`."""
        return frozenset[str]().union(*(part.names for part in self.parts))

    @cached_property
    def size(self) -> int:  # type: ignore[override]
        """See `Formula`."""
        return sum(part.size for part in self.parts)

    def __str__(self) -> str:
        return "(" + (" and " if self.every else " or ").join(map(str, self.parts)) + ")"


Literal = NotPositive | Divides | Unknown


def _part(value: Linear, sign: int) -> Linear:
    return Linear(tuple((atom, k) for atom, k in value.terms if k * sign > 0), 0)


CASES = 32
"""Comparisons of more cases are unknown."""
TRUE, FALSE, UNKNOWN = Constant(True), Constant(False), Unknown()


def conjunction(*parts: Formula) -> Formula:
    """All of the parts hold."""
    return _junction(True, parts)


def disjunction(*parts: Formula) -> Formula:
    """At least one of the parts holds."""
    return _junction(False, parts)


def _junction(every: bool, parts: Iterable[Formula]) -> Formula:
    kept: dict[Formula, None] = {}
    for part in parts:
        if isinstance(part, Constant):
            if part.value != every:
                return part
        elif isinstance(part, Junction) and part.every == every:
            kept.update(dict.fromkeys(part.parts))
        else:
            kept[part] = None
    if not kept:
        return Constant(every)
    return next(iter(kept)) if len(kept) == 1 else Junction(every, tuple(kept))


def negation(formula: Formula) -> Formula:
    """The opposite; of `Unknown` it is `Unknown`."""
    if isinstance(formula, Constant):
        return Constant(not formula.value)
    if isinstance(formula, NotPositive):
        return not_positive(number(1) - formula.value)
    if isinstance(formula, Divides):
        return Divides(formula.value, formula.by, not formula.holds)
    if isinstance(formula, Junction):
        return _junction(not formula.every, map(negation, formula.parts))
    return formula


def choice(condition: Formula, left: Formula, right: Formula) -> Formula:
    """left where the condition holds, else right."""
    return disjunction(conjunction(condition, left), conjunction(negation(condition), right))


def not_positive(value: Linear) -> Formula:
    """value <= 0, with maxima and choices split into cases."""
    if upper_bound(value) <= 0:
        return TRUE
    if lower_bound(value) > 0:
        return FALSE
    if value.cases > CASES:
        return UNKNOWN
    for atom, k in value.terms:
        if isinstance(atom, (Maximum, Choice)):
            rest = value - of(atom) * k
            cases = [not_positive(rest + part * k) for part in (atom.left, atom.right)]
            if isinstance(atom, Choice):
                return choice(atom.condition, *cases)
            return _junction(k > 0, cases)
    return NotPositive(value)


def at_most(left: Linear, right: Linear) -> Formula:
    """left <= right."""
    return not_positive(left - right)


def equal(left: Linear, right: Linear) -> Formula:
    """left = right; `x mod c = r` becomes a literal of its own."""
    difference = left - right
    splits = difference.cases <= CASES
    for atom, k in difference.terms:
        if isinstance(atom, Choice) and splits:
            rest = difference - of(atom) * k
            cases = [equal(rest + part * k, number(0)) for part in (atom.left, atom.right)]
            return choice(atom.condition, *cases)
    if has_choice(difference):
        return conjunction(not_positive(difference), not_positive(-difference))
    for atom, k in difference.terms:
        if isinstance(atom, Remainder) and abs(k) == 1:
            rest = (difference - of(atom) * k) * -k  # x mod c = rest
            if any(isinstance(other, Remainder) for other, _ in rest.terms):
                break
            inside = conjunction(at_most(number(0), rest), at_most(rest, atom.by - 1))
            return conjunction(Divides(atom.value - rest, atom.by), inside)
    return conjunction(not_positive(difference), not_positive(-difference))


LITERALS = 16
"""The most literals of an alternative."""


def alternatives(formula: Formula, limit: int) -> list[frozenset[Literal]] | None:
    """The disjunctive normal form without alternatives that imply another; None if it is long.

    That is, with more than `limit` alternatives, or one of more than `LITERALS`.
    """
    if isinstance(formula, Constant):
        return [frozenset()] if formula.value else []
    if not isinstance(formula, Junction):
        return [frozenset([formula])]  # type: ignore[list-item]
    parts = [alternatives(part, limit) for part in formula.parts]
    found: list[frozenset[Literal]] = [frozenset()] if formula.every else []
    for part in parts:
        if part is None:
            return None
        if formula.every:
            found = [have | more for have in found for more in part]
        else:
            found = [*found, *part]
        found = _minimal(each for each in dict.fromkeys(found) if not _is_contradiction(each))
        if len(found) > limit or any(len(each) > LITERALS for each in found):
            return None
    return found


def _minimal(found: Iterable[frozenset[Literal]]) -> list[frozenset[Literal]]:
    candidates = list(found)
    return [each for each in candidates if not any(other < each for other in candidates)]


def without_implied(literals: Iterable[Literal]) -> frozenset[Literal]:
    """The literals without those comparisons that another of them implies."""
    every = frozenset(literals)
    values = {literal: literal.value for literal in every if isinstance(literal, NotPositive)}
    implied = {
        literal
        for literal, value in values.items()
        if any(other != value and lower_bound(other - value) >= 0 for other in values.values())
    }
    return every - implied


def _is_contradiction(literals: frozenset[Literal]) -> bool:
    """Whether two literals exclude each other: a + b > 0 for two that must not be positive."""
    for literal in literals:
        if isinstance(literal, Divides) and Divides(literal.value, literal.by, not literal.holds) in literals:
            return True
    values = [literal.value for literal in literals if isinstance(literal, NotPositive)]
    return any(lower_bound(a + b) > 0 for n, a in enumerate(values) for b in values[:n])
