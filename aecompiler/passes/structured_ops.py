"""Structured operations of tile programs read: `linalg.generic`, named ones, elementwise ones on tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_rules import NAMED_ELEMENTWISE

EXACT = "attn.exact"
"""The attribute of a product of matrices of which no factor may be rounded to the type of the other."""


TO_STATE = "attn.to_state"
"""The attribute of a product of matrices that is added to a state, in which errors add up."""


class UnsupportedTile(Exception):
    """The tile program holds something that a target has no form for; its text says what."""


@dataclasses.dataclass(frozen=True)
class Operand:
    """An operand of a `linalg.generic`, and the loops that index it."""

    value: ir.Value
    loops: tuple[int, ...]


_ELEMENTWISE = frozenset(NAMED_ELEMENTWISE)
_STRUCTURED = _ELEMENTWISE | {"linalg.generic", "linalg.transpose", "linalg.broadcast", "linalg.reduce"}


def is_structured(op: ir.Operation) -> bool:
    """Whether `Generic` can read an operation."""
    return op.name in _STRUCTURED


_INF = float("inf")

_IDENTITIES: dict[str, int | float] = {
    "arith.addf": 0.0,
    "arith.mulf": 1.0,
    "arith.maximumf": -_INF,
    "arith.minimumf": _INF,
    "arith.maxnumf": -_INF,
    "arith.minnumf": _INF,
    "arith.addi": 0,
    "arith.muli": 1,
    "arith.andi": -1,
    "arith.ori": 0,
    "arith.xori": 0,
    "arith.maxui": 0,
    "arith.minui": -1,
}


def identity_of(operation: str, element: ir.Type) -> int | float | None:
    """The number that an operation which reduces leaves all others as they are with; None without one."""
    if operation in ("arith.maxsi", "arith.minsi"):
        highest = (1 << (element.width - 1)) - 1
        return -highest - 1 if operation == "arith.maxsi" else highest
    return _IDENTITIES.get(operation)


class Generic:
    """A structured operation read: operands with their loops, iterators, sizes, body.

    `shape_of` tells the shape of an operand whose type does not; sizes may be missing in it as well.
    """

    def __init__(self, op: ir.Operation, shape_of: Callable[[ir.Value], Sequence[int]] | None = None):
        self.op = op.operation
        self.rank, loops, self.reductions = _indexing(self.op)
        operands = [Operand(v, each) for v, each in zip(op.operands, loops, strict=True)]
        count = len(operands) - len(op.results)
        self.ins, self.outs = operands[:count], operands[count:]
        self.block = self.op.regions[0].blocks[0]
        self.sizes: dict[int, int] = {}
        for operand in operands:
            shaped = operand.value.type
            if isinstance(shaped, ir.RankedTensorType):
                shape = shape_of(operand.value) if shape_of else shaped.shape
                for loop, size in zip(operand.loops, shape, strict=True):
                    if size != rw.DYNAMIC:
                        self.sizes[loop] = size
                    elif not shape_of:
                        raise UnsupportedTile("a tensor whose sizes are not known")
        if len(self.sizes) < self.rank:
            raise UnsupportedTile("a loop whose size is not known")

    @property
    def operands(self) -> list[Operand]:
        """Inputs, then outputs."""
        return [*self.ins, *self.outs]

    @property
    def yielded(self) -> list[ir.Value]:
        """What the body ends with."""
        *_, terminator = self.block.operations
        return list(terminator.operands)

    def argument(self, operand: Operand) -> ir.Value:
        """The block argument that holds an element of `operand`."""
        return self.block.arguments[self.operands.index(operand)]

    def argument_of_out(self, number: int) -> ir.Value:
        """The block argument that holds an element of an output."""
        return self.block.arguments[len(self.ins) + number]


def operand_loops(op: ir.Operation) -> list[tuple[int, ...]]:
    """The loops that index each operand of a structured operation, of `linalg` or on elements."""
    op = op.operation
    if op.name.startswith("linalg."):
        from aecompiler.bindings import linalg  # slow to import: paid by the passes that read with it

        return [_loops(getattr(map_, "value", map_)) for map_ in linalg.get_indexing_maps(op)]
    return _indexing(op)[1]


def _indexing(op: ir.Operation) -> tuple[int, list[tuple[int, ...]], list[int]]:
    """The number of loops, the loops of each operand, and those that reduce."""
    *inputs, out = op.operands
    rank = ir.RankedTensorType((inputs if op.name == "linalg.reduce" else [out])[0].type).rank
    every = tuple(range(rank))
    if "indexing_maps" in op.attributes:
        maps = [ir.AffineMapAttr(a).value for a in op.attributes["indexing_maps"]]
        rank = maps[0].n_dims
        kinds = op.attributes.get("iterator_types", [])
        reductions = [loop for loop, kind in enumerate(kinds) if "reduction" in str(kind)]
        return rank, [_loops(each) for each in maps], reductions
    if op.name == "linalg.transpose":
        permutation = list(op.attributes["permutation"])
        return rank, [tuple(permutation.index(d) for d in every), every], []
    if op.name == "linalg.broadcast":
        added = set(op.attributes["dimensions"])
        return rank, [tuple(d for d in every if d not in added), every], []
    if op.name == "linalg.reduce":
        reduced = list(op.attributes["dimensions"])
        left = tuple(d for d in every if d not in reduced)
        half = len(op.operands) // 2
        return rank, [*[every] * half, *[left] * half], sorted(reduced)
    return rank, [every if isinstance(v.type, ir.RankedTensorType) else () for v in op.operands], []


def _loops(map_: ir.AffineMap) -> tuple[int, ...]:
    loops = []
    for result in map_.results:
        try:
            loops.append(ir.AffineDimExpr(result).position)
        except ValueError:
            raise UnsupportedTile(f"an operand indexed by {result}") from None
    return tuple(loops)
