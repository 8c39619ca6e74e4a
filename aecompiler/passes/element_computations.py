"""The rules by which operations that compute tensors element by element are read (`tensor_elements.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.part_rules import NAMED_ELEMENTWISE, SCALAR_LIKE
from aecompiler.passes.tensor_elements import (
    Elements,
    Expression,
    Places,
    Positions,
    Unreadable,
    computes,
    formula,
    loop,
    scalar,
)
from aecompiler.passes.tensor_parts import Linear, size_of

_CONTRACTIONS = {
    "linalg.dot": ("k", "k", ""),
    "linalg.matvec": ("mk", "k", "m"),
    "linalg.vecmat": ("k", "kn", "n"),
    "linalg.matmul": ("mk", "kn", "mn"),
    "linalg.batch_matvec": ("bmk", "bk", "bm"),
    "linalg.batch_vecmat": ("bk", "bkn", "bn"),
    "linalg.batch_matmul": ("bmk", "bkn", "bmn"),
}
"""Named products, and the loops of their operands: m of the first factor, n of the second, k is summed."""

STRUCTURED = (*NAMED_ELEMENTWISE, "linalg.generic", "linalg.reduce", *_CONTRACTIONS)
"""Structured operations that are read."""


@computes(*SCALAR_LIKE)
def _scalar_like(elements: Elements, op: ir.Operation, _number: int, places: Places) -> Expression:
    shaped = ir.RankedTensorType(op.results[0].type)
    needs = [
        elements.at(each, places) if isinstance(each.type, ir.RankedTensorType) else scalar(each)
        for each in op.operands
    ]
    return Expression(needs, lambda values, _positions: rw.clone_as(op, values, shaped.element_type))


@dataclasses.dataclass(frozen=True)
class Nest:
    """A structured operation as a nest of loops: an indexing map for each operand, and a body."""

    op: ir.Operation
    maps: Sequence[ir.AffineMap]
    reductions: Sequence[int]

    @staticmethod
    def of(op: ir.Operation) -> Nest:
        """The nest of an operation of `STRUCTURED`; raises `Unreadable` for one that is indexed otherwise."""
        maps = _maps(op)
        outs = maps[len(op.operands) - len(op.results) :]
        loops = [_loops(each) for each in outs]
        every = set(range(maps[0].n_dims))
        if any(len(set(each)) < len(each) or set(each) != set(loops[0]) for each in loops):
            raise Unreadable("results that are not indexed by all parallel loops")
        reductions = sorted(every - set(loops[0]))
        if "iterator_types" in op.attributes:
            kinds = [str(kind) for kind in op.attributes["iterator_types"]]
            if reductions != [number for number, kind in enumerate(kinds) if "reduction" in kind]:
                raise Unreadable("results that are not indexed by all parallel loops")
        return Nest(op, maps, reductions)

    @property
    def block(self) -> ir.Block:
        """The body."""
        return self.op.regions[0].blocks[0]

    @property
    def inputs(self) -> list[ir.Value]:
        """The operands that are no outputs."""
        return list(self.op.operands)[: len(self.op.operands) - len(self.op.results)]

    @property
    def outputs(self) -> list[ir.Value]:
        """The operands that results begin with."""
        return list(self.op.operands)[len(self.inputs) :]

    @property
    def yielded(self) -> list[ir.Value]:
        """What the body ends with."""
        *_, terminator = self.block.operations
        return list(terminator.operands)

    def argument_of_out(self, number: int) -> ir.Value:
        """The block argument that holds an element of an output."""
        return self.block.arguments[len(self.inputs) + number]

    def loops(self, number: int, places: Places) -> dict[int, Linear]:
        """The indices of all loops at places of a result; those that reduce are loops behind its own."""
        parallel = _loops(self.maps[len(self.inputs) + number])
        found = dict(zip(parallel, places, strict=True))
        found.update((each, loop(len(places) + n)) for n, each in enumerate(self.reductions))
        return found

    def size(self, number: int) -> Linear:
        """How often a loop turns."""
        for operand, map_ in zip(self.op.operands, self.maps, strict=True):
            for d, result in enumerate(map_.results):
                if isinstance(result, ir.AffineDimExpr) and result.position == number:
                    return size_of(operand, d)
        raise Unreadable("a loop whose size no operand has")

    def elements_of(self, elements: Elements, loops: Mapping[int, Linear]) -> list[Expression]:
        """Elements of all operands at indices of the loops."""
        found = []
        for operand, map_ in zip(self.op.operands, self.maps, strict=True):
            if isinstance(operand.type, ir.RankedTensorType):
                found.append(elements.at(operand, tuple(_place(each, loops) for each in map_.results)))
            else:
                found.append(scalar(operand))
        return found

    def body(
        self, values: Sequence[ir.Value], loops: Mapping[int, Linear], positions: Positions
    ) -> dict[ir.Value, ir.Value]:
        """Build the body of `values` for its arguments; returns what stands for each of its values."""
        mapping = dict(zip(self.block.arguments, values, strict=True))
        *operations, _ = self.block.operations
        for view in operations:
            op = view.operation
            if op.name == "linalg.index":
                mapping[op.results[0]] = positions.value(loops[op.attributes["dim"].value])
            else:
                rw.clone_op(op, mapping)
        return mapping


@computes(*STRUCTURED)
def _structured(elements: Elements, op: ir.Operation, number: int, places: Places) -> Expression:
    nest = Nest.of(op)
    if nest.reductions:
        raise Unreadable("a reduction")
    loops = nest.loops(number, places)
    used = [bool(list(argument.uses)) for argument in nest.block.arguments]
    every = nest.elements_of(elements, loops)
    yielded = nest.yielded[number]
    needs = [each for each, is_used in zip(every, used, strict=True) if is_used]

    def make(values: list[ir.Value], positions: Positions) -> ir.Value:
        rest = iter(values)
        given = [
            next(rest) if is_used else argument
            for argument, is_used in zip(nest.block.arguments, used, strict=True)
        ]
        return nest.body(given, loops, positions).get(yielded, yielded)

    return Expression(needs, make)


def _maps(op: ir.Operation) -> list[ir.AffineMap]:
    if "indexing_maps" in op.attributes:
        return [ir.AffineMapAttr(each).value for each in op.attributes["indexing_maps"]]
    if op.name in _CONTRACTIONS:
        names = _CONTRACTIONS[op.name]
        loops = [letter for letter in "bmnk" if letter in "".join(names)]
        each_map = [[ir.AffineDimExpr.get(loops.index(letter)) for letter in operand] for operand in names]
        return [ir.AffineMap.get(len(loops), 0, results) for results in each_map]
    *_, out = op.operands
    if op.name == "linalg.reduce":
        rank = ir.RankedTensorType(op.operands[0].type).rank
        reduced = set(op.attributes["dimensions"])
        half = len(op.operands) // 2
        left = [ir.AffineDimExpr.get(d) for d in range(rank) if d not in reduced]
        return [*[ir.AffineMap.get_identity(rank)] * half, *[ir.AffineMap.get(rank, 0, left)] * half]
    rank = ir.RankedTensorType(out.type).rank
    scalar_map = ir.AffineMap.get(rank, 0, [])
    return [
        ir.AffineMap.get_identity(rank) if isinstance(each.type, ir.RankedTensorType) else scalar_map
        for each in op.operands
    ]


def _loops(map_: ir.AffineMap) -> list[int]:
    if not all(isinstance(result, ir.AffineDimExpr) for result in map_.results):
        raise Unreadable("results that are not indexed by loops")
    return [result.position for result in map_.results]


def _place(expression: ir.AffineExpr, loops: Mapping[int, Linear]) -> Linear:
    """An affine formula of loops at their indices."""
    if isinstance(expression, ir.AffineDimExpr):
        return loops[expression.position]
    if isinstance(expression, ir.AffineConstantExpr):
        return Linear(expression.value)
    left, right = (_place(each, loops) for each in (expression.lhs, expression.rhs))
    if isinstance(expression, ir.AffineAddExpr):
        return left + right
    if isinstance(expression, ir.AffineMulExpr):
        return formula("muli", left, right)
    names = {ir.AffineModExpr: "remui", ir.AffineFloorDivExpr: "divui", ir.AffineCeilDivExpr: "ceildivui"}
    for kind, name in names.items():
        if isinstance(expression, kind):
            return formula(name, left, right)
    raise Unreadable(f"an operand indexed by {expression}")
