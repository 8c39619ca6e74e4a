"""Evaluate the regions of attention ops on a block: some query rows against some keys.

Tensors of a block have one dimension for the keys and one for the rows, in the order that a `Block` says.
Values that depend on the head alone are computed once. Values of a row are kept as tensors `[rows]`, values
of an element that several steps need as tensors of keys and rows; all others are cloned into the
`linalg.generic` that uses them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from aecompiler.bindings import ir, tensor
from aecompiler.dialect.regions import Level, levels
from aecompiler.passes import rewriting as rw

Position = Callable[[ir.Value], ir.Value]
"""From the number of a row or key in the block to what a region's argument stands for."""


@dataclasses.dataclass(frozen=True)
class Block:
    """The order and the sizes of a block's dimensions."""

    rows: int
    rows_last: bool
    """Whether tensors of elements are `[keys, rows]`, so that rows are contiguous, or `[rows, keys]`."""

    @property
    def key_loop(self) -> int:
        """The number of the loop over keys, in loops over elements."""
        return 0 if self.rows_last else 1

    @property
    def row_loop(self) -> int:
        """The number of the loop over rows, in loops over elements."""
        return 1 if self.rows_last else 0

    element = (0, 1)
    """How loops over elements index a tensor of elements."""

    @property
    def row(self) -> tuple[int, ...]:
        """How loops over elements index a tensor of rows."""
        return (self.row_loop,)

    @property
    def reduce_keys(self) -> str:
        """The iterators of loops over elements that reduce over the keys."""
        return "rp" if self.rows_last else "pr"

    def ordered(self, keys: int | ir.Value, rows: int | ir.Value) -> list[int | ir.Value]:
        """The sizes, or whatever belongs to the two dimensions, in their order."""
        return [keys, rows] if self.rows_last else [rows, keys]


class RegionOnBlock:
    """Evaluates one region of an attention op on a block.

    `of_row` and `of_element` hold the tensors that stand for values of the region; callers add those of
    arguments. Values of level HEAD are cloned where the object is created; `heads` has those of arguments.
    """

    def __init__(
        self,
        region: ir.Block,
        block: Block,
        argument_levels: Sequence[Level],
        heads: Mapping[ir.Value, ir.Value],
    ):
        self.region, self.block = region, block
        self.level = levels(region, argument_levels)
        self.ops = list(region.operations)
        self.order = {result: n for n, op in enumerate(self.ops) for result in op.operation.results}
        self.heads: dict[ir.Value, ir.Value] = dict(heads)
        for op in self.ops:
            if self._is(op, Level.HEAD):
                rw.clone_op(op, self.heads)
        self.enter({}, {})

    def _is(self, op: ir.OpView, level: Level) -> bool:
        results = op.operation.results
        return len(results) > 0 and op.operation.name != "attn.row_reduce" and self.level[results[0]] == level

    def enter(self, rows: Mapping[ir.Value, Position], keys: Mapping[ir.Value, Position]) -> None:
        """Begin a block: forget the tensors; `rows` and `keys` say what arguments are positions."""
        self.rows, self.keys = rows, keys
        self.of_row: dict[ir.Value, ir.Value] = {}
        self.of_element: dict[ir.Value, ir.Value] = {}

    @property
    def yielded(self) -> list[ir.Value]:
        """What the region hands over."""
        return list(self.ops[-1].operation.operands)

    def value_level(self, value: ir.Value) -> Level:
        """The level of a value that the region uses."""
        return self.level.get(value, Level.HEAD)

    def head_value(self, value: ir.Value) -> ir.Value:
        """The value outside the region of one of level HEAD."""
        return self.heads.get(value, value)

    def _needed(self, targets: Iterable[ir.Value], level: Level) -> tuple[list[ir.OpView], list[ir.Value]]:
        """The operations of `level` that compute `targets`, and the values that they start from."""
        ready = self.of_element if level == Level.ELEMENT else self.of_row
        seen: set[ir.Value] = set()
        leaves: list[ir.Value] = []
        pending = list(targets)
        while pending:
            value = pending.pop()
            if value in seen or self.value_level(value) == Level.HEAD:
                continue
            seen.add(value)
            if value in ready or self.value_level(value) < level or isinstance(value.owner, ir.Block):
                leaves.append(value)
            else:
                pending.extend(value.owner.operands)
        computed = sorted({self.order[value] for value in seen.difference(leaves) if value in self.order})
        ops = [self.ops[number] for number in computed]
        return ops, leaves

    def require_rows(self, values: Iterable[ir.Value]) -> None:
        """Compute the values of level ROW among `values` that are missing, in one loop over the rows."""
        wanted = [
            value
            for value in dict.fromkeys(values)
            if self.value_level(value) == Level.ROW and value not in self.of_row and value not in self.rows
        ]
        if not wanted:
            return
        ops, leaves = self._needed(wanted, Level.ROW)
        inputs = [value for value in leaves if value in self.of_row]

        def body(elements: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            mapping = dict(self.heads)
            mapping.update(zip(inputs, elements, strict=True))
            for value in leaves:
                if value in self.rows:
                    mapping[value] = self.rows[value](rw.loop_index(0))
            for op in ops:
                rw.clone_op(op, mapping)
            return [mapping[value] for value in wanted]

        outs = [(tensor.empty([self.block.rows], value.type), (0,)) for value in wanted]
        results = rw.generic([(self.of_row[value], (0,)) for value in inputs], outs, "p", body)
        self.of_row.update(zip(wanted, results, strict=True))

    def row_tensors(self, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Tensors `[rows]` of values of level ROW or HEAD."""
        self.require_rows(values)
        return [
            self.of_row[value]
            if value in self.of_row
            else tensor.splat(
                ir.RankedTensorType.get([self.block.rows], value.type), self.head_value(value), []
            )
            for value in values
        ]

    def prepare(self, targets: Sequence[ir.Value]) -> Elements:
        """Make ready what one loop over the elements needs to compute `targets`."""
        ops, leaves = self._needed(targets, Level.ELEMENT)
        self.require_rows(leaves)
        return Elements(self, ops, leaves, targets)


class Elements:
    """The computation of some values of a region in the body of a loop over the elements of a block."""

    def __init__(
        self, region: RegionOnBlock, ops: list[ir.OpView], leaves: list[ir.Value], targets: Sequence[ir.Value]
    ):
        self.region, self.ops, self.targets, self.leaves = region, ops, targets, leaves
        tensors = {**region.of_row, **region.of_element}
        self.inputs = [value for value in leaves if value in tensors]
        block = region.block
        self.operands = [
            (tensors[value], block.element if value in region.of_element else block.row)
            for value in self.inputs
        ]

    def build(
        self, arguments: Sequence[ir.Value], given: Mapping[ir.Value, ir.Value] | None = None
    ) -> list[ir.Value]:
        """Clone the computation; `arguments` are the elements of `operands`, `given` stands for arguments."""
        region = self.region
        mapping = dict(region.heads)
        mapping.update(zip(self.inputs, arguments, strict=True))
        mapping.update(given or {})
        for value in self.leaves:
            if value in region.rows:
                mapping[value] = region.rows[value](rw.loop_index(region.block.row_loop))
            elif value in region.keys:
                mapping[value] = region.keys[value](rw.loop_index(region.block.key_loop))
        for op in self.ops:
            rw.clone_op(op, mapping)
        return [mapping.get(value, value) for value in self.targets]


@dataclasses.dataclass(frozen=True)
class Reduction:
    """A reduction over the elements of a row."""

    identity: float
    combine: str
    """The operation of arith; each of them propagates NaN."""


REDUCTIONS = {
    "max": Reduction(float("-inf"), "maximumf"),
    "min": Reduction(float("inf"), "minimumf"),
    "sum": Reduction(0.0, "addf"),
    "prod": Reduction(1.0, "mulf"),
}
"""The kinds of `attn.row_reduce`."""


def reduction_of(op: ir.Operation) -> Reduction:
    """What an `attn.row_reduce` does."""
    return REDUCTIONS[ir.StringAttr(op.attributes["kind"]).value]
