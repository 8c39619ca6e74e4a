"""Layouts of Triton's GPU dialect, and the types that have them, as text that its parser reads.

The bindings take them as opaque: an attribute or type is known by its text, in the spelling of Triton 3.6.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import kernel_abi
from aecompiler.backends.triton.kernel_abi import Descriptor
from aecompiler.bindings import ir

BARRIER = "#ttg.swizzled_shared<{vec = 1, perPhase = 1, maxPhase = 1, order = [0]}>"
"""The layout of an mbarrier in shared memory."""

_SHARED_MEMORY = "#ttg.shared_memory"
_MEMDESC = re.compile(
    r"!ttg\.memdesc<(?P<shape>(?:\d+x)+)(?P<element>\w+), (?P<layout>#.+), #ttg\.shared_memory"
)


def shared(row_bytes: int, element_bits: int, transposed: bool = False) -> str:
    """The layout of a tile in shared memory that TMA writes and wgmma reads, by the bytes of its rows."""
    swizzle = min(128, row_bytes)
    word = "true" if transposed else "false"
    return (
        f"#ttg.nvmma_shared<{{swizzlingByteWidth = {swizzle}, transposed = {word}, "
        f"elementBitWidth = {element_bits}}}>"
    )


def wgmma(columns: int, k: int = 16, warps: int = 4) -> str:
    """The layout of a result of wgmma with that many columns; `k` is the depth of one instruction."""
    return (
        f"#ttg.nvidia_mma<{{versionMajor = 3, versionMinor = 0, warpsPerCTA = [{warps}, 1], "
        f"instrShape = [16, {min(columns, 256)}, {k}]}}>"
    )


def mma(warps: int = 4) -> str:
    """The layout of a result of the warp-wide matrix instruction, whose operands are registers."""
    return (
        f"#ttg.nvidia_mma<{{versionMajor = 2, versionMinor = 0, warpsPerCTA = [{warps}, 1], "
        "instrShape = [16, 8]}>"
    )


ONE_EACH = "#ttg.blocked<{sizePerThread = [1], threadsPerWarp = [32], warpsPerCTA = [4], order = [0]}>"
"""The layout of a tensor of one dimension whose elements belong to one thread each."""


def is_columns_of_wgmma(layout: str) -> bool:
    """Whether a layout is that of values of the columns of a result of wgmma: each is with many threads."""
    return layout.startswith("#ttg.slice<{dim = 0, parent = #ttg.nvidia_mma<{versionMajor = 3")


def is_layout_of_wgmma(layout: str) -> bool:
    """Whether a layout is that of a result of wgmma."""
    return layout.startswith("#ttg.nvidia_mma<{versionMajor = 3")


def slice_of(parent: str, dim: int) -> str:
    """The layout of a tensor without the dimension `dim` of one with the layout `parent`."""
    return f"#ttg.slice<{{dim = {dim}, parent = {parent}}}>"


def dot_operand(parent: str, index: int, k_width: int = 2) -> str:
    """The layout of a factor of a product in registers; `k_width` elements of a row stand in 32 bits."""
    return f"#ttg.dot_op<{{opIdx = {index}, parent = {parent}, kWidth = {k_width}}}>"


def layout_of(type_: ir.Type) -> str:
    """The layout of a tensor type, "" where it has none."""
    encoding = type_.encoding if isinstance(type_, ir.RankedTensorType) else None
    return "" if encoding is None else str(encoding)


def with_layout(type_: ir.Type, layout: str) -> ir.Type:
    """A tensor type with another layout; a scalar is itself."""
    if not isinstance(type_, ir.RankedTensorType):
        return type_
    encoding = ir.Attribute.parse(layout) if layout else None
    return ir.RankedTensorType.get(list(type_.shape), type_.element_type, encoding)


@dataclass(frozen=True)
class MemDesc:
    """A buffer in shared memory: its shape, the name of its element type, and its layout."""

    shape: tuple[int, ...]
    element: str
    layout: str

    @classmethod
    def of(cls, type_: ir.Type) -> MemDesc:
        """What a type says."""
        found = _MEMDESC.match(str(type_))
        if found is None:
            raise TypeError(f"expects a buffer in shared memory, got {type_}")
        return cls(_sizes(found["shape"]), found["element"], found["layout"])

    @property
    def type(self) -> ir.Type:
        """The type of values that are such a buffer."""
        shape = "x".join(map(str, self.shape))
        return ir.Type.parse(
            f"!ttg.memdesc<{shape}x{self.element}, {self.layout}, {_SHARED_MEMORY}, mutable>"
        )

    @property
    def part(self) -> MemDesc:
        """One of the buffers that this is a row of."""
        return MemDesc(self.shape[1:], self.element, self.layout)


def descriptor_of(type_: ir.Type) -> Descriptor:
    """What the type of a descriptor of a tensor says."""
    found = kernel_abi.parse_descriptor(str(type_))
    if found is None:
        raise TypeError(f"expects a descriptor of a tensor, got {type_}")
    return found


def descriptor_type(descriptor: Descriptor) -> ir.Type:
    """The type of values that are such a descriptor."""
    return ir.Type.parse(descriptor.text)


def is_memdesc(type_: ir.Type) -> bool:
    """Whether a type is that of a buffer in shared memory."""
    return str(type_).startswith("!ttg.memdesc<")


def is_descriptor(type_: ir.Type) -> bool:
    """Whether a type is that of a descriptor."""
    return kernel_abi.is_descriptor(str(type_))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.removesuffix("x").split("x"))


@functools.cache
def bits_of(element: str) -> int:
    """The bits of an element type by its name."""
    return int(re.sub(r"\D", "", element))


def row_bytes(shape: Sequence[int], element: str) -> int:
    """The bytes of a row of a tile."""
    return shape[-1] * bits_of(element) // 8


def tile_bytes(shape: Sequence[int], element: str) -> int:
    """The bytes of a tile."""
    total = bits_of(element) // 8
    for size in shape:
        total *= size
    return total
