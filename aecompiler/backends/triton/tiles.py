"""Tensors in registers."""

from __future__ import annotations

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
    `filled`.
    """

    value: ir.Value | None
    everywhere: Lanes | None
    shape: tuple[int, ...]
    clean: bool = False
    limits: tuple[Lanes | None, ...] = ()
    filled: bool = False

    @property
    def has_limits(self) -> bool:
        """Whether a size is known in the kernel only."""
        return any(limit is not None for limit in self.limits)

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
        order = sorted(range(len(loops)), key=lambda axis: loops[axis])
        return Lanes(tt.trans(self.value, order), tuple(sorted(loops)))

    def whole(self, padded: Sequence[int]) -> Lanes:
        """The elements as one tensor, whose shape in registers is `padded`."""
        if not self.shape:
            return self.scalar()
        loops = tuple(range(len(self.shape)))
        return ln.spread(self.lanes(loops), loops, padded)
