"""What a kernel takes for each argument of its launch: the contract between emitted kernels and launches.

A tensor of rank r is a pointer and the strides of its first r - 1 dimensions, 64 bits each, in elements; its
last dimension has stride 1. A scalar is itself, but an index has 32 bits, an i1 a byte, and a 16-bit float
comes as its bits. Behind these stand the descriptors of tensors, 128 bytes each by value, whose types say
which boxes are copied through them. This module needs neither MLIR nor torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Sequence

from aecompiler.errors import UnsupportedError

ITEM_BYTES = {
    "i1": 1,
    "i8": 1,
    "i16": 2,
    "i32": 4,
    "i64": 8,
    "index": 8,
    "f16": 2,
    "bf16": 2,
    "f32": 4,
    "f64": 8,
}
"""The bytes of an element of a tensor."""

_SCALARS = {
    "index": "i32",
    "i1": "i8",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "f16": "i16",
    "bf16": "i16",
    "f32": "f32",
    "f64": "f64",
}

SLOT_BYTES = 8
"""A parameter stands in a slot of this size, from which a launch takes as many bytes as it has."""

DESCRIPTOR_BYTES, DESCRIPTOR_ALIGNMENT = 128, 64
"""The size of a descriptor, and what its address is a multiple of."""

_MOST_SWIZZLE = 128

_FORMATS = {"i8": "b7x", "i16": "h6x", "i32": "i4x", "i64": "q", "f32": "f4x", "f64": "d"}

LAUNCH = "tt_host.launch"
"""The operation of a host function that runs a kernel."""

DESCRIPTORS = "descriptors"
"""The attribute of a launch with the positions of the arguments that have a descriptor, by descriptor."""

MOST_SIZE = 1 << 30
"""The largest size of a dimension, which the host checks: sums of a few positions fit 32 bits."""

ALIGNMENT = 16
"""Bytes that addresses and strides are multiples of, in the form of a kernel that may assume it."""


def parameter_types(dtype: str, rank: int | None) -> list[str]:
    """The parameters for an argument, as types of the kernel; `rank` is None for a scalar."""
    if dtype not in _SCALARS:
        raise UnsupportedError(f"unsupported: a kernel's argument of type {dtype}")
    if rank is None:
        return [_SCALARS[dtype]]
    element = "i8" if dtype == "i1" else "i64" if dtype == "index" else dtype
    return [f"!tt.ptr<{element}>", *["i64"] * (rank - 1)]


_DESCRIPTOR = re.compile(
    r"!tt\.tensordesc<(?P<tensor>tensor<)?(?P<box>(?:\d+x)+)(?P<dtype>\w+)(?:, (?P<layout>.+?))?>(?(tensor)>)"
)
_SWIZZLE = re.compile(r"swizzlingByteWidth = (\d+)")


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What a parameter's type says of a descriptor: the box of a tile, and how it is laid out ("": not)."""

    box: tuple[int, ...]
    dtype: str
    layout: str = ""

    @property
    def text(self) -> str:
        """The type of a parameter, in the spelling of Triton 3.6."""
        layout = f", {self.layout}" if self.layout else ""
        return f"!tt.tensordesc<tensor<{'x'.join(map(str, self.box))}x{self.dtype}{layout}>>"

    def is_box_of(self, tile: Sequence[int]) -> bool:
        """Whether the box is a tile of rows, which may be positions of several heads, one after the other."""
        *rows, features = self.box
        return tuple(tile) == (math.prod(rows), features)

    @property
    def swizzle_bytes(self) -> int:
        """Within how many bytes pieces change places in shared memory: if need be as many as a row takes."""
        if (found := _SWIZZLE.search(self.layout)) is not None:
            return int(found[1])
        return min(_MOST_SWIZZLE, self.box[-1] * ITEM_BYTES[self.dtype])

    @property
    def copied_box(self) -> tuple[int, ...]:
        """What is copied at a time: rows no wider than the swizzle; wider tiles are made up of several."""
        *others, last = self.box
        most = self.swizzle_bytes // ITEM_BYTES[self.dtype] or last
        return (*others, min(last, most))


def is_descriptor(type_: str) -> bool:
    """Whether a parameter of a type is a descriptor."""
    return type_.startswith("!tt.tensordesc<")


def parse_descriptor(type_: str) -> Descriptor | None:
    """What a parameter's type says, if it is that of a descriptor."""
    found = _DESCRIPTOR.fullmatch(type_)
    if found is None:
        return None
    box = tuple(int(size) for size in found["box"].split("x")[:-1])
    return Descriptor(box, found["dtype"], found["layout"] or "")


def parameter_places(parameters: Sequence[str]) -> tuple[str, list[int]]:
    """How `struct` packs the values of parameters, and where each of them begins.

    What they are packed into begins at a multiple of `DESCRIPTOR_ALIGNMENT`.
    """
    formats, places, end = [], [], 0
    for parameter in parameters:
        if is_descriptor(parameter):
            gap = -end % DESCRIPTOR_ALIGNMENT
            formats.append(f"{gap}x{DESCRIPTOR_BYTES}s")
            places.append(end + gap)
            end += gap + DESCRIPTOR_BYTES
            continue
        formats.append("Q" if parameter.startswith("!tt.ptr") else _FORMATS[parameter])
        places.append(end)
        end += SLOT_BYTES
    return "<" + "".join(formats), places


def bits_of_f16(value: float) -> int:
    """A number as the bits of an f16 that holds it, as a signed integer."""
    return struct.unpack("<h", struct.pack("<e", value))[0]


def bits_of_bf16(value: float) -> int:
    """A number as the bits of a bf16 that holds it, as a signed integer."""
    return struct.unpack("<hh", struct.pack("<f", value))[1]
