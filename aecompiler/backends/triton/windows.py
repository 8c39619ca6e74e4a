"""Parts of results that loops write piece by piece: the pieces are stored where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.memory import Global, Region
from aecompiler.backends.triton.tiles import Tile
from aecompiler.bindings import ir
from aecompiler.passes.structured_ops import UnsupportedTile

_BOX = ("static_offsets", "static_sizes", "static_strides")
_FIRST_INIT = 3
"""The operands of `scf.for` before its initial values."""


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a result in memory: where it begins, and which dimensions of the tensor it has.

    What it holds is never read. `slice_` is the `tensor.extract_slice` that takes it from the result.
    """

    memory: Global
    offsets: tuple[Lanes, ...]
    kept: tuple[int, ...]
    slice_: ir.Operation

    def region(
        self, offsets: Sequence[Lanes], kept: Sequence[int], tile: Tile, padded: tuple[int, ...]
    ) -> Region:
        """The place of a tile that is inserted at `offsets` of the window and has its dimensions `kept`."""
        places = list(self.offsets)
        for axis, offset in zip(self.kept, offsets, strict=True):
            places[axis] = ln.compute("addi", places[axis], offset, ())
        axes = tuple(self.kept[d] for d in kept)
        limits = tile.limits or (None,) * len(tile.shape)
        return Region(self.memory, tuple(places), axes, tile.shape, padded, limits, tile.merged)

    def check_end(self, insertion: ir.Operation) -> None:
        """Refuse a `tensor.parallel_insert_slice` of the window that puts it elsewhere."""
        is_same = all(list(insertion.attributes[each]) == list(self.slice_.attributes[each]) for each in _BOX)
        if not is_same or list(insertion.operands)[2:] != list(self.slice_.operands)[1:]:
            raise UnsupportedTile("a part of a result that is written in a loop and belongs elsewhere")


def is_written_in_pieces(part: ir.Value) -> bool:
    """Whether slices are inserted into a part of a result, in loops that hand it on or outside."""
    for use in part.uses:
        user = use.owner.operation
        if user.name == "tensor.insert_slice" and use.operand_number == 1:
            return True
        if user.name == "scf.for" and use.operand_number >= _FIRST_INIT:
            arguments = user.regions[0].blocks[0].arguments
            if is_written_in_pieces(arguments[1 + use.operand_number - _FIRST_INIT]):
                return True
    return False
