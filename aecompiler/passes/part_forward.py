"""Which part of a result an operation computes from a part of an operand: `part_plans.py` the other way."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes.part_moves import changed_dimensions, divided, joined
from aecompiler.passes.part_rules import (
    NAMED_ELEMENTWISE,
    SCALAR_LIKE,
    Structured,
    parts_of_operand,
    structured,
)
from aecompiler.passes.tensor_parts import Part, Parts, groups_of, whole


def part_after(op: ir.Operation, operand: int, parts: Parts) -> Parts | None:
    """The part of the result that follows from `parts` of an operand; None if that is not known.

    Where it needs more of another operand than is at hand, making the plan shows it.
    """
    result = op.results[0]
    source = op.operands[operand]
    if op.name in SCALAR_LIKE or op.name in NAMED_ELEMENTWISE:
        return _same(result, parts)
    match op.name:
        case "linalg.generic" | "linalg.reduce":
            return _structured(structured(op), operand, parts)
        case "linalg.transpose":
            return tuple(parts[d] for d in op.attributes["permutation"]) if operand == 0 else None
        case "linalg.broadcast":
            return _broadcast(op, parts) if operand == 0 else None
        case "tensor.cast" | "tensor.extract_slice" | "tensor.insert_slice" | "tensor.concat" | "tensor.pad":
            return _moved(op, parts) if len(parts) == ir.RankedTensorType(result.type).rank else None
        case "tensor.collapse_shape":
            groups = groups_of(op)
            found = [
                joined(result, d, source, group, [parts[a] for a in group]) for d, group in enumerate(groups)
            ]
            return None if None in found else tuple(each for each in found if each)
        case "tensor.expand_shape":
            split = [divided(result, group, each) for each, group in zip(parts, groups_of(op), strict=True)]
            return None if None in split else tuple(part for each in split for part in each or ())
    return None


def _same(result: ir.Value, parts: Parts) -> Parts:
    return tuple(whole(result, d, each.keep) if each.whole else each for d, each in enumerate(parts))


def _moved(op: ir.Operation, parts: Parts) -> Parts | None:
    """What tiles have a part of must stay as it is: else they would not be the tiles of the result."""
    if not all(parts[d].whole and parts[d].keep for d in changed_dimensions(op)):
        return None
    return _same(op.results[0], parts)


def _broadcast(op: ir.Operation, parts: Parts) -> Parts:
    added = set(op.attributes["dimensions"])
    rest = iter(parts)
    rank = ir.RankedTensorType(op.results[0].type).rank
    return tuple(whole(op.results[0], d) if d in added else next(rest) for d in range(rank))


def _structured(found: Structured | None, operand: int, parts: Parts) -> Parts | None:
    if found is None:
        return None
    ranges: dict[int, Part]
    if operand == len(found.inputs):
        ranges = dict(zip(found.out_loops, parts, strict=True))
    else:
        loops = found.input_loops[operand]
        ranges = {loop: each for loop, each in zip(loops, parts, strict=True) if loop is not None}
    return parts_of_operand(found.op.results[0], found.out_loops, ranges)
