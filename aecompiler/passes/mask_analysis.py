"""Which tiles of keys a mask leaves to a tile of queries.

Only masks that are always true and j <= i are known; under any other all tiles count as partial.
"""

from __future__ import annotations

import dataclasses

from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

Bounds = tuple[ir.Value, ir.Value]


@dataclasses.dataclass(frozen=True)
class TileRanges:
    """Half-open ranges of tiles."""

    full: list[Bounds]
    partial: list[Bounds]


class MaskAnalysis:
    """What is known of the mask of one op."""

    needs_test = False

    def __init__(self, op: ir.OpView):
        block = op.operation.regions[1].blocks[0]
        *body, terminator = block.operations
        self.always = rw.constant_value(terminator.operands[0]) in (1, -1)
        *_, i, j = block.arguments
        self.causal = (
            len(body) == 1
            and body[0].operation.name == "arith.cmpi"
            and (
                (list(body[0].operation.operands), body[0].operation.attributes["predicate"].value)
                in (([i, j], arith.CmpIPredicate.sge.value), ([j, i], arith.CmpIPredicate.sle.value))
            )
        )

    def build_ranges(
        self,
        batch: ir.Value,
        head_first: ir.Value,
        head_last: ir.Value,
        i_first: ir.Value,
        i_last: ir.Value,
        block_kv: int,
        kv_len: ir.Value,
    ) -> TileRanges:
        """The ranges for the queries i_first to i_last."""
        size, one = rw.index(block_kv), rw.index(1)
        tiles, whole = arith.ceildivui(kv_len, size), arith.divui(kv_len, size)
        if self.always:
            return TileRanges([(rw.index(0), whole)], [(whole, tiles)])
        if self.causal:
            full = arith.minui(whole, arith.divui(arith.addi(i_first, one), size))
            end = arith.minui(tiles, arith.ceildivui(arith.addi(i_last, one), size))
            return TileRanges([(rw.index(0), full)], [(full, end)])
        return TileRanges([], [(rw.index(0), tiles)])

    def build_test(
        self,
        batch: ir.Value,
        head_first: ir.Value,
        head_last: ir.Value,
        i_first: ir.Value,
        i_last: ir.Value,
        j_first: ir.Value,
        j_last: ir.Value,
    ) -> Bounds:
        """Whether the tile is not empty, and whether it is full."""
        raise NotImplementedError("no mask needs a test")


def analyze(op: ir.OpView) -> MaskAnalysis:
    """What is known of the mask of an attention op."""
    return MaskAnalysis(op)
