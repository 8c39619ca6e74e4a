"""The query rows of a tile program: which they are, and how they are read and written.

A tile has `queries` positions of each of `group` query heads that share a kv head, one head after the other;
without packing `group` is 1. Rows past the end of q are padding: they read as 0, stand at positions that q
does not have (regions are total), and are not written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of one tile, as values of the IR."""

    batch: ir.Value
    head: ir.Value
    """The first query head."""
    group: int
    queries: int
    first: ir.Value
    """The position of the first query."""
    length: ir.Value
    """Sq."""
    real: ir.Value
    """How many of the positions of the tile are queries."""

    @classmethod
    def of_tile(
        cls, batch: ir.Value, head: ir.Value, group: int, queries: int, first: ir.Value, length: ir.Value
    ) -> Rows:
        """The rows of the tile that starts at query `first`."""
        real = arith.minui(rw.index(queries), arith.subi(length, first))
        return cls(batch, head, group, queries, first, length, real)

    @property
    def count(self) -> int:
        """The number of rows of the tile."""
        return self.group * self.queries

    def last(self) -> ir.Value:
        """The position of the last query of the tile."""
        return arith.subi(arith.addi(self.first, self.real), rw.index(1))

    def position(self, row: ir.Value) -> ir.Value:
        """The query position of a row."""
        if self.group > 1:
            row = arith.remui(row, rw.index(self.queries))
        return arith.addi(self.first, row)

    def head_of(self, row: ir.Value) -> ir.Value:
        """The query head of a row."""
        return arith.addi(self.head, arith.divui(row, rw.index(self.queries)))

    def load(
        self,
        source: ir.Value,
        prefix: Sequence[ir.Value] = (),
        features: int | None = None,
        operand: str | None = None,
        first_feature: int = 0,
    ) -> ir.Value:
        """The rows of `source`, `[prefix..., B, H, Sq, features]` or without features: `[rows, features]`.

        `operand` is the name of the operand that is read, `first_feature` where its features begin.
        """
        real = self.real
        tail = [] if features is None else [features]
        lead = len(prefix) + 1
        offsets = [*prefix, self.batch, self.head, self.first, *[first_feature] * len(tail)]
        sizes = [*[1] * lead, self.group, real, *tail]
        axes = list(range(lead + 1, len(sizes)))
        if self.group > 1:
            axes.insert(0, lead)
        slice_ = name_slice(rw.extract_slice(source, offsets, sizes, axes), operand)
        padded = pad(slice_, axes.index(lead + 1), self.queries, real)
        if self.group == 1:
            return padded
        return collapse(padded)

    def place(
        self, value: ir.Value, into: ir.Value, prefix: Sequence[ir.Value] = (), first_feature: int = 0
    ) -> tuple[ir.Value, ir.Value, list[int | ir.Value], list[int | ir.Value]]:
        """What to insert where, so that the rows in `value` stand in `into`, from a feature on."""
        real = self.real
        shape = ir.RankedTensorType(value.type).shape
        tail = list(shape[1:])
        if self.group > 1:
            value = expand(value, self.group, self.queries)
            part = [self.group, real, *tail]
        else:
            part = [real, *tail]
        part_slice = rw.extract_slice(value, [0] * len(part), part, list(range(len(part))))
        offsets = [*prefix, self.batch, self.head, self.first, *[first_feature] * len(tail)]
        return part_slice, into, offsets, [*[1] * (len(prefix) + 1), self.group, real, *tail]


OPERAND = "attn.operand"
"""The attribute of a slice of q, k or v that says which it is."""

ONCE = "attn.once"
"""The attribute of a slice of k or v that no other tile of queries reads."""


def name_slice(slice_: ir.Value, operand: str | None, *, once: bool = False) -> ir.Value:
    """`slice_`, marked as one of an operand: `attn-fuse-elementwise` asks which."""
    if operand and slice_.owner.name == "tensor.extract_slice":
        slice_.owner.attributes[OPERAND] = ir.StringAttr.get(operand)
        if once:
            slice_.owner.attributes[ONCE] = ir.UnitAttr.get()
    return slice_


def pad(value: ir.Value, axis: int, size: int, real: int | ir.Value) -> ir.Value:
    """`value`, of size `real` along `axis`, with zeros up to `size`."""
    shaped = ir.RankedTensorType(value.type)
    shape = list(shaped.shape)
    shape[axis] = size
    padded = ir.RankedTensorType.get(shape, shaped.element_type)
    high: list[int | ir.Value] = [0] * len(shape)
    high[axis] = size - real if isinstance(real, int) else arith.subi(rw.index(size), real)
    return rw.pad(value, padded, [0] * len(shape), high, rw.constant(shaped.element_type, 0))


def collapse(value: ir.Value) -> ir.Value:
    """The first two dimensions of a static tensor as one."""
    shape = ir.RankedTensorType(value.type).shape
    return tensor.collapse_shape(
        ir.RankedTensorType.get([shape[0] * shape[1], *shape[2:]], value.type.element_type),
        value,
        [[0, 1], *([axis] for axis in range(2, len(shape)))],
    )


def expand(value: ir.Value, outer: int, inner: int) -> ir.Value:
    """The first dimension of a static tensor as two."""
    shape = list(ir.RankedTensorType(value.type).shape)
    sizes = [outer, inner, *shape[1:]]
    expanded = ir.RankedTensorType.get(sizes, value.type.element_type)
    return rw.expand(value, expanded, [[0, 1], *([axis] for axis in range(2, len(sizes)))], sizes)
