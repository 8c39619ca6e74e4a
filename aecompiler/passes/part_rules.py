"""The rules by which elementwise and structured operations work on parts of tensors (`part_plans.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_plans import Make, Plan, Planner, rule
from aecompiler.passes.region_safety import divides_by_zero
from aecompiler.passes.tensor_parts import (
    Indices,
    Linear,
    Part,
    Parts,
    is_padded,
    kept,
    part,
    part_type,
    whole,
)

_UNARY = "abs ceil erf exp floor log negf reciprocal round rsqrt sqrt square tanh"
_BINARY = "add sub mul div div_unsigned max min powf"
NAMED_ELEMENTWISE = tuple(f"linalg.{name}" for name in f"{_UNARY} {_BINARY} select copy".split())
"""Structured operations that compute each element from the elements at the same place."""

_ARITH = """
    addf addi andi bitcast ceildivsi ceildivui cmpf cmpi divf divsi divui extf extsi extui floordivsi fptosi
    fptoui index_cast index_castui maximumf maxnumf maxsi maxui minimumf minnumf minsi minui mulf muli negf
    ori remf remsi remui select shli shrsi shrui sitofp subf subi truncf trunci uitofp xori
"""
_MATH = """
    absf absi acos acosh asin asinh atan atan2 atanh cbrt ceil clampf copysign cos cosh ctlz ctpop cttz erf
    erfc exp exp2 expm1 floor fma fpowi ipowi isfinite isinf isnan isnormal log log10 log1p log2 powf round
    roundeven rsqrt sin sinh sqrt tan tanh trunc
"""
SCALAR_LIKE = (*(f"arith.{name}" for name in _ARITH.split()), *(f"math.{name}" for name in _MATH.split()))
"""Operations on scalars that work on tensors element by element."""


def empty(value: ir.Value, parts: Parts, indices: Indices) -> ir.Value:
    """A tensor for a part of `value`."""
    element = ir.RankedTensorType(value.type).element_type
    return tensor.empty([indices.build(each.extent) for each in parts if each.keep], element)


def is_safe(op: ir.Operation, parts: Parts) -> bool:
    """Whether `op`, on tensors or in a body, can't trap or read astray on padding of `parts`."""
    if not is_padded(parts):
        return True
    bodies = [each.operation for region in op.regions for block in region.blocks for each in block.operations]
    for each in bodies or [op]:
        known = each.name.startswith(("arith.", "math.")) or each.name in ("linalg.index", "linalg.yield")
        if len(each.regions) or not known or divides_by_zero(each):
            return False
    return True


@rule(*SCALAR_LIKE)
def _scalar_like(
    planner: Planner, op: ir.Operation, parts: Parts, shared: bool
) -> tuple[list[Plan], Make] | None:
    if not is_safe(op, parts):
        return None
    result = op.results[0]
    operands = list(op.operands)
    shaped = [isinstance(each.type, ir.RankedTensorType) for each in operands]
    needs = [
        planner.plan(each, parts, shared)
        for each, is_shaped in zip(operands, shaped, strict=True)
        if is_shaped
    ]

    def make(tiles: list[ir.Value], _indices: Indices) -> ir.Value:
        rest = iter(tiles)
        values = [next(rest) if is_shaped else each for each, is_shaped in zip(operands, shaped, strict=True)]
        return rw.clone_as(op, values, part_type(result, parts))

    return needs, make


@rule(*NAMED_ELEMENTWISE)
def _named_elementwise(
    planner: Planner, op: ir.Operation, parts: Parts, shared: bool
) -> tuple[list[Plan], Make] | None:
    result = op.results[0]
    *inputs, out = op.operands
    if "indexing_maps" in op.attributes and not all(
        attribute.value == ir.AffineMap.get_identity(len(parts))
        for attribute in op.attributes["indexing_maps"]
    ):
        return None
    if not all(isinstance(each.type, ir.RankedTensorType) for each in op.operands):
        return None
    floats = isinstance(ir.RankedTensorType(out.type).element_type, ir.FloatType)
    if op.name in ("linalg.div", "linalg.div_unsigned") and not floats and is_padded(parts):
        return None
    needs = [planner.plan(each, parts, shared) for each in inputs]

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        return rw.clone_as(op, [*tiles, empty(out, parts, indices)], part_type(result, parts))

    return needs, make


# ---- linalg.generic and linalg.reduce --------------------------------------------------------------


Loops = list[int | None]
"""The loop that indexes each dimension of an operand; None where one element is read."""


@dataclasses.dataclass(frozen=True)
class Structured:
    """A `linalg.generic` or `linalg.reduce` of one result, each dimension of which has its own loop."""

    op: ir.Operation
    iterators: str
    """For each loop "p" (parallel) or "r" (reduction)."""
    inputs: list[ir.Value]
    input_loops: list[Loops]
    out: ir.Value
    out_loops: list[int]

    @property
    def block(self) -> ir.Block:
        """The body."""
        return self.op.regions[0].blocks[0]


def structured(op: ir.Operation) -> Structured | None:
    """`op` as a structured operation; None if operands are indexed otherwise, or if it is a product.

    A reduction needs an input that has all of its elements: it then is work on that input, as a norm is.
    """
    *inputs, out = op.operands
    if op.name == "linalg.reduce":
        rank = ir.RankedTensorType(inputs[0].type).rank
        reduced = set(op.attributes["dimensions"])
        every: list[Loops | None] = [list(range(rank)) for _ in inputs]
        every.append([d for d in range(rank) if d not in reduced])
        iterators = "".join("r" if d in reduced else "p" for d in range(rank))
    else:
        every = [_loops(attribute.value) for attribute in op.attributes["indexing_maps"]]
        iterators = "".join(
            "p" if "parallel" in str(each) else "r" for each in op.attributes["iterator_types"]
        )
    known = [loops for loops in every if loops is not None]
    if len(known) < len(every):
        return None
    *input_loops, last = known
    out_loops = [loop for loop in last if loop is not None]
    parallel = [loop for loop, iterator in enumerate(iterators) if iterator == "p"]
    if len(out_loops) < len(last) or sorted(out_loops) != parallel:
        return None
    if "r" in iterators and not any(set(range(len(iterators))) <= set(loops) for loops in input_loops):
        return None
    return Structured(op, iterators, inputs, input_loops, out, out_loops)


def _loops(indexing: ir.AffineMap) -> Loops | None:
    loops: Loops = []
    for result in indexing.results:
        if isinstance(result, ir.AffineDimExpr):
            loops.append(result.position)
        elif isinstance(result, ir.AffineConstantExpr) and result.value == 0:
            loops.append(None)
        else:
            return None
    return loops


def parts_of_operand(value: ir.Value, loops: Sequence[int | None], ranges: Mapping[int, Part]) -> Parts:
    """The part of an operand that loops over `ranges` read; other loops read all of a dimension."""
    found = []
    for d, loop in enumerate(loops):
        if loop is None:
            found.append(part(value, d, Linear(), Linear(1), keep=False))
        elif loop not in ranges or ranges[loop].whole:
            found.append(whole(value, d, loop not in ranges or ranges[loop].keep))
        else:
            found.append(ranges[loop])
    return tuple(found)


@rule("linalg.generic", "linalg.reduce")
def _structured(
    planner: Planner, op: ir.Operation, parts: Parts, shared: bool
) -> tuple[list[Plan], Make] | None:
    found = structured(op)
    if found is None or not is_safe(op, parts):
        return None
    ranges = dict(zip(found.out_loops, parts, strict=True))
    sliced = {loop for loop, each in ranges.items() if not each.whole}
    arguments = list(found.block.arguments)
    reads_out = bool(list(arguments[-1].uses))
    operands: list[tuple[ir.Value, Sequence[int | None]]] = [
        *zip(found.inputs, found.input_loops, strict=True),
        *([(found.out, found.out_loops)] if reads_out else []),
    ]
    read = [parts_of_operand(value, loops, ranges) for value, loops in operands]
    needs = [
        planner.plan(value, each, shared or not sliced <= set(loops))
        for (value, loops), each in zip(operands, read, strict=True)
    ]
    left = [loop for loop in range(len(found.iterators)) if loop not in ranges or ranges[loop].keep]
    number = {loop: n for n, loop in enumerate(left)}

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        of_out = parts_of_operand(found.out, found.out_loops, ranges)
        out = tiles[-1] if reads_out else empty(found.out, of_out, indices)
        ins = [
            (tile, [number[loop] for loop in kept(loops, each)])
            for tile, loops, each in zip(tiles, found.input_loops, read, strict=False)
        ]
        outs = [(out, [number[loop] for loop in kept(found.out_loops, of_out)])]
        offsets = _loop_offsets(found.block, ranges, indices)

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = dict(zip(arguments, [*inputs, *outputs], strict=True))
            *ops, terminator = found.block.operations
            for each in ops:
                if each.operation.name == "linalg.index":
                    loop = each.operation.attributes["dim"].value
                    mapping[each.operation.results[0]] = _position(number.get(loop), offsets.get(loop))
                else:
                    rw.clone_op(each, mapping)
            return [mapping.get(value, value) for value in terminator.operation.operands]

        return rw.generic(ins, outs, "".join(found.iterators[loop] for loop in left), body)[0]

    return needs, make


def _loop_offsets(block: ir.Block, ranges: Mapping[int, Part], indices: Indices) -> dict[int, ir.Value]:
    """Where the loops start of which the body asks the index."""
    asked = {
        each.operation.attributes["dim"].value
        for each in block.operations
        if each.operation.name == "linalg.index"
    }
    offsets = {}
    for loop in sorted(asked & set(ranges)):
        offset = indices.build(ranges[loop].offset)
        if offset != 0 or not ranges[loop].keep:
            offsets[loop] = rw.index(offset) if isinstance(offset, int) else offset
    return offsets


def _position(loop: int | None, offset: ir.Value | None) -> ir.Value:
    """The index of a loop in the whole, inside a body on parts."""
    if loop is None:
        return offset
    position = rw.loop_index(loop)
    return position if offset is None else arith.addi(offset, position)
