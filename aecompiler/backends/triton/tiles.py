"""Tensors in registers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.bindings import ir


@dataclass(frozen=True)
class Tile:
    """A tensor of `shape` in registers, whose sizes are rounded up there.

    `value` is the tensor, or `everywhere` the scalar that all its elements are. In elements beyond `shape`
    stands anything, or 0 if it is `clean`. `limits` are the sizes that are known in the kernel only, None for
    those in `shape`: what is beyond them is not of the tensor, either, and 0 within `shape` if it is
    `filled`. The first `merged` dimensions are one in registers, the last of them fastest, as the heads and
    positions that the rows of a tile are.
    """

    value: ir.Value | None
    everywhere: Lanes | None
    shape: tuple[int, ...]
    clean: bool = False
    limits: tuple[Lanes | None, ...] = ()
    filled: bool = False
    merged: int = 1

    @property
    def has_limits(self) -> bool:
        """Whether a size is known in the kernel only."""
        return any(limit is not None for limit in self.limits)

    @property
    def in_registers(self) -> tuple[int, ...]:
        """The shape of the tensor that it is in registers, before sizes are rounded up."""
        return merge(self.shape, self.merged)

    def scalar(self) -> Lanes:
        """The only element of a tile without dimensions."""
        assert not self.shape
        assert self.everywhere is not None
        return self.everywhere

    def lanes(self, loops: Sequence[int]) -> Lanes:
        """The elements, with a loop for each dimension."""
        if self.everywhere is not None:
            return self.everywhere
        assert self.value is not None
        loops = [*loops[:1], *loops[self.merged :]]
        order = sorted(range(len(loops)), key=lambda axis: loops[axis])
        return Lanes(tt.trans(self.value, order), tuple(sorted(loops)))

    def whole(self, padded: Sequence[int]) -> Lanes:
        """The elements as one tensor, whose shape in registers is `padded`."""
        if not self.shape:
            return self.scalar()
        loops = tuple(range(len(padded)))
        lanes = Tile(self.value, self.everywhere, self.in_registers).lanes(loops)
        return ln.spread(lanes, loops, padded)


def merge(shape: Sequence[int], count: int) -> tuple[int, ...]:
    """A shape whose first `count` dimensions are one."""
    return (math.prod(shape[:count]), *shape[count:]) if count > 1 else tuple(shape)
