"""What a masked score, -inf, does in the regions of a streaming form.

In a tile, a masked element may simply have the score -inf where that already is neutral: exp(-inf - m) is 0
and adds nothing to a sum or an accumulator. Where it is not (|-inf| is +inf), a tile selects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from aecompiler.algebra.folding import compute
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.block_regions import reduction_of

_INFINITY = float("inf")

Known = float | str | None
"""What is known of a value: the number itself, `_ABOVE`, `_ORDINARY`, or nothing."""

_ABOVE = "above -inf"
"""Any value but -inf; it may be NaN."""
_ORDINARY = "ordinary"
"""Finite, as long as nothing overflows, and never NaN."""


_FOLD: dict[str, Callable[..., float | None]] = {
    **{f"arith.{name}f": partial(compute, name) for name in ("add", "sub", "mul", "div", "neg")},
    **{f"arith.{name}imumf": partial(compute, name) for name in ("max", "min")},
    **{f"math.{name}": partial(compute, name) for name in ("exp", "tanh")},
    "math.absf": partial(compute, "abs"),
    "math.exp2": lambda a: compute("powf", 2.0, a),
}

_KEEPS_ORDINARY = frozenset(
    {
        *("arith.addf", "arith.subf", "arith.mulf", "arith.negf", "arith.maximumf", "arith.minimumf"),
        *("arith.extf", "arith.truncf", "math.absf", "math.tanh", "math.erf", "math.sin", "math.cos"),
    }
)
"""Operations that give a finite value for finite ones, overflow aside."""


def masked_reductions(update: ir.Block, score: ir.Value) -> tuple[set[int], set[int]]:
    """Where a tile must select, since a score of -inf is not neutral there.

    Returns the numbers, in the order of the region, of the reductions that an element with the score -inf
    would change, and the numbers of the terminator's operands that are not 0 for it.
    """
    known = _analyze(update, {score: -_INFINITY})
    reductions = [op for op in update.operations if op.operation.name == "attn.row_reduce"]
    changed = {
        number
        for number, op in enumerate(reductions)
        if known.get(op.operation.operands[0]) != reduction_of(op.operation).identity
    }
    terminator = update.operations[len(update.operations) - 1]
    weights = {
        number for number, value in enumerate(terminator.operation.operands) if known.get(value) != 0.0
    }
    return changed, weights


def _analyze(block: ir.Block, known: Mapping[ir.Value, Known]) -> dict[ir.Value, Known]:
    facts = dict(known)
    for op in block.operations:
        if op.operation.name == "attn.row_reduce" or len(op.operation.results) != 1:
            continue
        operands = list(op.operation.operands)
        for value in operands:
            if value not in facts and (number := rw.float_value(value)) is not None:
                facts[value] = number
        facts[op.operation.results[0]] = _transfer(op.operation, [facts.get(value) for value in operands])
    for value in block.operations[len(block.operations) - 1].operation.operands:
        if value not in facts:
            facts[value] = rw.float_value(value)
    return facts


def _is_ordinary(fact: Known) -> bool:
    return fact == _ORDINARY or (isinstance(fact, float) and math.isfinite(fact))


def _is_above(fact: Known) -> bool:
    return isinstance(fact, str) or (isinstance(fact, float) and fact != -_INFINITY)


def _transfer(op: ir.Operation, facts: list[Known]) -> Known:
    name = op.name
    if name == "arith.constant":
        return rw.float_value(op.results[0])
    if name in _FOLD and all(isinstance(fact, float) for fact in facts):
        return _FOLD[name](*facts)
    if name in _KEEPS_ORDINARY and all(map(_is_ordinary, facts)):
        return _ORDINARY
    if name in ("arith.sitofp", "arith.uitofp"):
        return _ORDINARY
    if name == "arith.divf" and _is_ordinary(facts[0]) and isinstance(facts[1], float) and facts[1] != 0:
        return _ORDINARY
    if name == "arith.select":
        return _select(op, facts)
    if name == "arith.subf" and facts[0] == -_INFINITY and _is_above(facts[1]):
        return -_INFINITY  # or NaN, where the other is NaN: then so is the whole row
    if name == "arith.mulf" and -_INFINITY in facts:
        other = facts[1 - facts.index(-_INFINITY)]
        return -_INFINITY if isinstance(other, float) and other > 0 else None
    return None


def _select(op: ir.Operation, facts: list[Known]) -> Known:
    _, yes, no = facts
    if _is_ordinary(yes) and _is_ordinary(no):
        return _ORDINARY
    # select(x == -inf, c, x) is never -inf.
    condition = op.operands[0].owner
    if (
        _is_above(yes)
        and not isinstance(condition, ir.Block)
        and condition.operation.name == "arith.cmpf"
        and condition.operation.attributes["predicate"].value
        in (arith.CmpFPredicate.OEQ.value, arith.CmpFPredicate.UEQ.value)
    ):
        compared: Iterable[ir.Value] = condition.operation.operands
        first, second = compared
        if (first == op.operands[2] and rw.float_value(second) == -_INFINITY) or (
            second == op.operands[2] and rw.float_value(first) == -_INFINITY
        ):
            return _ABOVE
    return _ABOVE if _is_above(yes) and _is_above(no) else None
