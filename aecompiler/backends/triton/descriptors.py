"""Descriptors of tensors in memory, through which the hardware copies tiles as boxes.

A descriptor knows the sizes of its tensor: what a box has beyond them is read as 0 and not written. So a tile
that is cut off may be copied through one only where it ends with the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton import layouts as lo
from aecompiler.backends.triton.host_sizes import Size, size_as, size_of
from aecompiler.backends.triton.kernel_abi import Descriptor
from aecompiler.backends.triton.memory import Region
from aecompiler.backends.triton.tiles import merge
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.index_arithmetic import slice_parts
from aecompiler.passes.tile_rows import OPERAND

if TYPE_CHECKING:
    from aecompiler.backends.triton.kernel import KernelBuilder

_TYPES = ("f16", "bf16")
_SIZES = tuple(1 << n for n in range(4, 9))
"""What the hardware copies at a time along a dimension, at most 256; products take 16 at least."""

_MOST_DIMENSIONS = 5
_SAME_ROWS = ("k", "v")
"""Operands of attention that have the same number of rows."""


@dataclass(frozen=True)
class _Slice:
    """Where a slice operation stands in its tensor, as values of the tile program."""

    op: ir.Operation
    offsets: list[int | ir.Value]
    sizes: list[int | ir.Value]

    @classmethod
    def of(cls, op: ir.Operation) -> _Slice:
        tensors = 1 if op.name == "tensor.extract_slice" else 2
        offsets, sizes, _ = slice_parts(op, tensors)
        return cls(op, offsets, sizes)


class Descriptors:
    """The descriptors of a kernel, parameters behind all others; `arguments` are those they describe."""

    def __init__(self, kernel: KernelBuilder):
        self.kernel = kernel
        self.arguments: list[int] = []
        self._known: dict[tuple[int, tuple[int, ...], str | None], ir.Value] = {}

    def load(self, op: ir.Operation, region: Region) -> ir.Value | None:
        """The tile that `op` reads, 0 where there is nothing; None where it has to be read by pointers."""
        found = self._place(op, region)
        if found is None:
            return None
        descriptor, places = found
        type_ = tt.typed(_sizes_of_box(region), region.memory.element)
        box = tt.descriptor_load(descriptor, places, type_, _own_rows(region))
        return tt.reshape(box, region.padded)

    def store(self, op: ir.Operation, region: Region, value: ir.Value) -> bool:
        """Write the tile of `op` where the tensor has something; whether that can be done."""
        found = self._place(op, region)
        if found is None:
            return False
        descriptor, places = found
        box = tt.reshape(value, _sizes_of_box(region))
        tt.descriptor_store(descriptor, box, places, _own_rows(region))
        return True

    def _place(self, op: ir.Operation, region: Region) -> tuple[ir.Value, list[ir.Value]] | None:
        """The descriptor for a tile, and where the tile begins."""
        places = [ln.narrow(offset) for offset in region.offsets]
        if not _has_form(region) or not self._is_always_run(op) or not self._ends_with_tensor(op, region):
            return None
        box = [1] * len(places)
        for axis, size in zip(region.kept, _sizes_of_box(region), strict=True):
            box[axis] = size
        found = [place for place in places if place is not None]
        if len(found) != len(places):
            return None
        return self._descriptor(region, tuple(box), _operand_of(op)), found

    def _descriptor(self, region: Region, box: tuple[int, ...], operand: str | None) -> ir.Value:
        """The descriptor for boxes of a tensor; operands of attention that are one tensor have one each."""
        argument = region.memory.argument
        key = (argument, box, operand)
        if key not in self._known:
            type_ = lo.descriptor_type(Descriptor(box, str(region.memory.element)))
            self._known[key] = tt.add_parameter(self.kernel.function, type_)
            self.arguments.append(argument)
        return self._known[key]

    # ---- what may be copied ----------------------------------------------------------------------

    def _is_always_run(self, op: ir.Operation) -> bool:
        """Whether no condition stands around an operation: what is run seldom is read by pointers."""
        parent = op.parent.operation
        while parent != self.kernel.loop:
            if parent.name == "scf.if":
                return False
            parent = parent.parent.operation
        return True

    def _ends_with_tensor(self, op: ir.Operation, region: Region) -> bool:
        """Whether rows that the tile does not have are rows that the tensor does not have."""
        *_, rows, features = region.kept
        part = _Slice.of(op)
        tensor = self.kernel.arguments[region.memory.argument]
        if not all(isinstance(each, int) for each in (part.sizes[features], size_of(tensor, features))):
            return False
        size, offset, extent = part.sizes[rows], part.offsets[rows], size_of(tensor, rows)
        if isinstance(size, int):
            is_end = isinstance(offset, int) and isinstance(extent, int) and offset + size == extent
            return size == region.sizes[-2] or is_end
        rest = _other_operand(size, ("arith.minui", "arith.minsi"), region.sizes[-2])
        if rest is not None and offset != 0:
            rest = _minuend(rest, offset)
        if rest is None:
            return False
        end = size_as(rest)
        return end == extent or (_operand_of(op) in _SAME_ROWS and end in self._rows_of_operands())

    def _rows_of_operands(self) -> list[Size]:
        """The numbers of rows of k and v, which are the same: a call for which they are not is refused."""
        slices = rw.walk_list(self.kernel.loop, "tensor.extract_slice")
        named = [slice_.operands[0] for slice_ in slices if _operand_of(slice_) in _SAME_ROWS]
        return [size_of(tensor, tensor.type.rank - 2) for tensor in named]


def _has_form(region: Region) -> bool:
    """Whether a part of a tensor is rows of features as the hardware copies them."""
    rank, is_whole = len(region.offsets), region.padded == merge(region.sizes, region.merged)
    return (
        str(region.memory.element) in _TYPES
        and rank <= _MOST_DIMENSIONS
        and region.kept == tuple(range(rank - region.merged - 1, rank))
        and region.padded[1] == region.sizes[-1]
        and all(size in _SIZES for size in region.padded)
        and region.limits[-1] is None
        and (region.merged == 1 or (is_whole and not any(region.limits[: region.merged - 1])))
    )


def _sizes_of_box(region: Region) -> tuple[int, ...]:
    """The sizes of what is copied at a time; of rows that several dimensions are, there are no more."""
    return region.padded if region.merged == 1 else region.sizes


def _own_rows(region: Region) -> int:
    """The rows of a tile whose number is no power of two; 0 where it is."""
    rows, *_ = merge(region.sizes, region.merged)
    return 0 if rows == region.padded[0] else rows


def _operand_of(slice_: ir.Operation) -> str | None:
    return slice_.attributes[OPERAND].value if OPERAND in slice_.attributes else None


def _other_operand(value: ir.Value, names: Sequence[str], number: int) -> ir.Value | None:
    """What an operation of two operands takes beside a number, if that is what makes the value."""
    op = rw.definer(value)
    if op is None or op.name not in names:
        return None
    left, right = op.operands
    if rw.constant_value(right) == number:
        return left
    return right if rw.constant_value(left) == number else None


def _minuend(value: ir.Value, subtrahend: int | ir.Value) -> ir.Value | None:
    """a, if the value is a - `subtrahend`."""
    op = rw.definer(value)
    if op is None or op.name != "arith.subi":
        return None
    less = op.operands[1]
    same = rw.constant_value(less) == subtrahend if isinstance(subtrahend, int) else less == subtrahend
    return op.operands[0] if same else None
