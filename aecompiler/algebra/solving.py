"""From literals to bands: solve what is compared for the position that it bounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aecompiler.algebra.bands import HEAD, KEY, LARGEST, ROW, Band
from aecompiler.algebra.formulas import Divides, Literal, NotPositive, Unknown
from aecompiler.algebra.integers import (
    Linear,
    Quotient,
    Read,
    Symbol,
    multiply,
    number,
    quotient,
    reads,
    upper_bound,
    without,
)


def band_of(literals: Iterable[Literal], *, packed: bool = False) -> Band | None:
    """The band of one alternative, or None if no pair can be in it.

    `packed`: rows of a tile may be of several heads.
    """
    parts: dict[str, list[Any]] = {}
    unknown = False
    for literal in sorted(literals, key=str):
        found = _place(literal, packed)
        if found is None:
            unknown = True
        else:
            parts.setdefault(found[0], []).append(found[1])
    band = Band(unknown=unknown, **{name: tuple(dict.fromkeys(values)) for name, values in parts.items()})
    return None if _is_empty(band) else band


def _is_empty(band: Band) -> bool:
    pairs = [
        *((low, high) for low in (*band.lower, *band.key_low) for high in (*band.upper, *band.key_high)),
        *((low, high) for low in band.row_low for high in band.row_high),
    ]
    return any(upper_bound(high - low) < 0 for low, high in pairs) or any(
        upper_bound(high) < 0 for high in (*band.key_high, *band.row_high)
    )


def _place(literal: Literal, packed: bool) -> tuple[str, Any] | None:
    """The field of `Band` that a literal belongs to, and its entry there; None if nothing can be done."""
    if isinstance(literal, Unknown):
        return None
    varies = literal.names & ({ROW, KEY, HEAD} if packed else {ROW, KEY})
    if HEAD in varies or reads_vary(literal):
        return _ranged(literal)
    if literal.value.magnitude >= LARGEST:
        return None
    if not varies:
        return "conditions", literal
    if isinstance(literal, Divides):
        return _place_divides(literal)
    name = KEY if KEY in varies else ROW
    solved = solve(literal.value, name)
    if solved is None or solved[1].magnitude >= LARGEST:
        return _ranged(literal) if name == KEY else ("row_conditions", literal)
    side, bound = solved
    if name == ROW:
        return f"row_{side}", bound
    if ROW in varies:
        return {"low": "lower", "high": "upper"}[side], bound
    return f"key_{side}", bound


def _ranged(literal: Literal) -> tuple[str, Any] | None:
    """A literal whose value, or each side of the comparison, is small enough to compute with."""
    assert isinstance(literal, (NotPositive, Divides))
    terms, constant = literal.value.terms, literal.value.constant
    sides = [sum(1 for _, k in terms if (k > 0) == positive) for positive in (True, False)]
    alone = max(sides) <= 1 and all(abs(k) == 1 for _, k in terms) and (0 in sides or constant in (0, 1))
    if literal.value.magnitude >= LARGEST and not (alone and isinstance(literal, NotPositive)):
        return None
    return "ranged", literal


def _place_divides(literal: Divides) -> tuple[str, Any] | None:
    if KEY not in literal.names:
        return "row_conditions", literal
    k, rest = without(literal.value, KEY)
    if abs(k) != 1 or KEY in rest.names:
        return _ranged(literal)
    return "divisibility", literal


def reads_vary(literal: Literal) -> bool:
    """Whether a literal reads tensors at positions; values of the whole head are symbols instead."""
    return bool(reads_of(literal))


def reads_of(literal: Literal) -> list[Read]:
    """The elements of tensors at positions that a literal is about."""
    assert isinstance(literal, (NotPositive, Divides))
    return reads(literal.value)


def solve(value: Linear, name: str) -> tuple[str, Linear] | None:
    """`value <= 0` as ("low", bound) for bound <= name, or ("high", bound) for name <= bound."""
    holders = [(atom, k) for atom, k in value.terms if name in atom.names]
    if len(holders) != 1:
        return None
    atom, k = holders[0]
    rest = value - Linear(((atom, k),), 0)
    side, bound = ("high", quotient(-rest, number(k))) if k > 0 else ("low", -quotient(-rest, number(-k)))
    if isinstance(atom, Symbol):
        return side, bound
    if not isinstance(atom, Quotient) or name in atom.by.names:
        return None
    aligned = multiply(bound, atom.by)
    if side == "high":  # floor(x / by) <= bound
        return solve(atom.value - aligned - atom.by + 1, name)
    return solve(aligned - atom.value, name)
