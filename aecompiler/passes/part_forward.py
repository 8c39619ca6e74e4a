"""Which part of a result an operation computes from a part of an operand: `part_plans.py` the other way."""

from __future__ import annotations

from aecompiler.bindings import ir
from aecompiler.passes.part_moves import divided, joined
from aecompiler.passes.part_rules import NAMED_ELEMENTWISE, SCALAR_LIKE, Structured
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
            return _structured(Structured(op), operand, parts)
        case "linalg.transpose":
            return tuple(parts[d] for d in op.attributes["permutation"]) if operand == 0 else None
        case "tensor.cast" | "tensor.extract_slice" | "tensor.insert_slice" | "tensor.concat" | "tensor.pad":
            same = ir.RankedTensorType(source.type).rank == ir.RankedTensorType(result.type).rank
            return _same(result, parts) if same else None
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


def _structured(structured: Structured, operand: int, parts: Parts) -> Parts | None:
    if not structured.is_supported():
        return None
    ranges: dict[int, Part] = {
        loop: each for loop, each in zip(structured.loops[operand], parts, strict=True) if loop is not None
    }
    found = []
    for d, loop in enumerate(structured.loops[-1]):
        range_ = ranges.get(loop)
        if range_ is None or range_.whole:
            found.append(whole(structured.op.results[0], d, range_ is None or range_.keep))
        else:
            found.append(range_)
    return tuple(found)
