"""The rules by which elementwise and structured operations work on parts of tensors (`part_plans.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_plans import Make, Plan, Planner, rule
from aecompiler.passes.tensor_parts import Indices, Linear, Part, Parts, kept, part, part_type, whole

_UNARY = "abs ceil erf exp floor log negf reciprocal round rsqrt sqrt square tanh"
_BINARY = "add sub mul div div_unsigned max min powf"
NAMED_ELEMENTWISE = tuple(f"linalg.{name}" for name in f"{_UNARY} {_BINARY} select copy".split())
"""Structured operations that compute each element from the elements at the same place."""

_ARITH = """
    addf addi andi bitcast ceildivsi ceildivui cmpf cmpi divf divsi divui extf extsi extui floordivsi fptosi
    fptoui index_cast index_castui maximumf maxnumf maxsi maxui minimumf minnumf minsi minui mulf muli negf ori
    remf remsi remui select shli shrsi shrui sitofp subf subi truncf trunci uitofp xori
"""
_MATH = """
    absf absi acos acosh asin asinh atan atan2 atanh cbrt ceil clampf copysign cos cosh ctlz ctpop cttz erf erfc
    exp exp2 expm1 floor fma fpowi ipowi isfinite isinf isnan isnormal log log10 log1p log2 powf round roundeven
    rsqrt sin sinh sqrt tan tanh trunc
"""
SCALAR_LIKE = (*(f"arith.{name}" for name in _ARITH.split()), *(f"math.{name}" for name in _MATH.split()))
"""Operations on scalars that work on tensors element by element."""


def empty(value: ir.Value, parts: Parts, indices: Indices) -> ir.Value:
    """A tensor for a part of `value`."""
    element = ir.RankedTensorType(value.type).element_type
    return tensor.empty([indices.build(each.size) for each in parts if each.keep], element)


@rule(*SCALAR_LIKE)
def _scalar_like(
    planner: Planner, op: ir.Operation, parts: Parts, shared: bool
) -> tuple[list[Plan], Make] | None:
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
    needs = [planner.plan(each, parts, shared) for each in inputs]

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        return rw.clone_as(op, [*tiles, empty(out, parts, indices)], part_type(result, parts))

    return needs, make


# ---- linalg.generic and linalg.reduce --------------------------------------------------------------


class Structured:
    """A `linalg.generic` or `linalg.reduce` with one result, read alike."""

    def __init__(self, op: ir.Operation):
        self.op = op
        *self.inputs, self.out = op.operands
        self.block = op.regions[0].blocks[0]
        if op.name == "linalg.reduce":
            rank = ir.RankedTensorType(self.inputs[0].type).rank
            reduced = set(op.attributes["dimensions"])
            left = [d for d in range(rank) if d not in reduced]
            self.loops: list[list[int | None] | None] = [list(range(rank)) for _ in self.inputs] + [left]
            self.iterators = "".join("r" if d in reduced else "p" for d in range(rank))
        else:
            self.loops = [_loops(attribute.value) for attribute in op.attributes["indexing_maps"]]
            self.iterators = "".join(
                "p" if "parallel" in str(each) else "r" for each in op.attributes["iterator_types"]
            )

    def is_supported(self) -> bool:
        """Whether each operand is indexed by single loops and constants, and the work is as the operands'.

        A reduction is supported if an input has all of its elements, so that it is no product.
        """
        if any(loops is None for loops in self.loops):
            return False
        *inputs, out = self.loops
        if None in out or len(set(out)) != len(out):
            return False
        count = len(self.iterators)
        if {loop for loop in range(count) if self.iterators[loop] == "p"} != set(out):
            return False
        return "r" not in self.iterators or any(len(set(loops) - {None}) == count for loops in inputs)


def _loops(indexing: ir.AffineMap) -> list[int | None] | None:
    """The loop that indexes each dimension; None for a dimension of which one element is read."""
    loops: list[int | None] = []
    for result in indexing.results:
        if isinstance(result, ir.AffineDimExpr):
            loops.append(result.position)
        elif isinstance(result, ir.AffineConstantExpr) and result.value == 0:
            loops.append(None)
        else:
            return None
    return loops


@rule("linalg.generic", "linalg.reduce")
def _structured(
    planner: Planner, op: ir.Operation, parts: Parts, shared: bool
) -> tuple[list[Plan], Make] | None:
    structured = Structured(op)
    if not structured.is_supported():
        return None
    ranges: dict[int, Part] = dict(zip(structured.loops[-1], parts, strict=True))
    sliced = {loop for loop, each in ranges.items() if not each.whole}

    def of_operand(value: ir.Value, loops: Sequence[int | None]) -> Parts:
        found = []
        for d, loop in enumerate(loops):
            if loop is None:
                found.append(part(value, d, Linear(), Linear(1), keep=False))
                continue
            range_ = ranges.get(loop)
            if range_ is None or range_.whole:
                found.append(whole(value, d, range_ is None or range_.keep))
            else:
                found.append(range_)
        return tuple(found)

    arguments = structured.block.arguments
    reads_out = bool(list(arguments[len(arguments) - 1].uses))
    operands = [*structured.inputs, *([structured.out] if reads_out else [])]
    indexing = structured.loops[: len(operands)]
    part_of = [of_operand(value, loops) for value, loops in zip(operands, indexing, strict=True)]
    needs = [
        planner.plan(value, each, shared or not sliced <= set(loops))
        for value, each, loops in zip(operands, part_of, indexing, strict=True)
    ]
    left = [loop for loop in range(len(structured.iterators)) if loop not in ranges or ranges[loop].keep]
    number = {loop: n for n, loop in enumerate(left)}
    part_of_out = part_of[-1] if reads_out else of_operand(structured.out, structured.loops[-1])

    def make(tiles: list[ir.Value], indices: Indices) -> ir.Value:
        values = list(tiles)
        if not reads_out:
            values.append(empty(structured.out, part_of_out, indices))
        every = [*part_of[: len(structured.inputs)], part_of_out]
        indexed = [
            (value, [number[loop] for loop in kept(loops, each)])
            for value, loops, each in zip(values, structured.loops, every, strict=True)
        ]
        offsets = _loop_offsets(structured, ranges, indices)
        iterators = "".join(structured.iterators[loop] for loop in left)

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = dict(zip(arguments, [*inputs, *outputs], strict=True))
            *ops, terminator = structured.block.operations
            for each in ops:
                if each.operation.name == "linalg.index":
                    loop = each.operation.attributes["dim"].value
                    mapping[each.operation.results[0]] = _position(number.get(loop), offsets.get(loop))
                else:
                    rw.clone_op(each, mapping)
            return [mapping.get(value, value) for value in terminator.operation.operands]

        return rw.generic(indexed[:-1], indexed[-1:], iterators, body)[0]

    return needs, make


def _loop_offsets(structured: Structured, ranges: dict[int, Part], indices: Indices) -> dict[int, ir.Value]:
    """Where the loops start of which the body asks the index."""
    asked = {
        each.operation.attributes["dim"].value
        for each in structured.block.operations
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
