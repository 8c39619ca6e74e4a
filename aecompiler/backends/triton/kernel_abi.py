"""What a kernel takes for each argument of its launch: the contract between emitted kernels and launches.

A tensor of rank r is a pointer and the strides of its first r - 1 dimensions, 64 bits each, in elements; its
last dimension has stride 1. A scalar is itself, but an index has 32 bits, an i1 a byte, and a 16-bit float
comes as its bits. This module needs neither MLIR nor torch.
"""

from __future__ import annotations

import dataclasses
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
    r"!tt\.tensordesc<(?:tensor<)?(?P<box>(?:\d+x)+)(?P<dtype>\w+)"
    r"(?:, .*?swizzlingByteWidth = (?P<swizzle>\d+).*?|, [^<>]*)?>+"
)


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What a parameter's type says of a descriptor: the box that is copied at a time, and how it is laid out.

    `swizzle` is the number of bytes within which pieces change places in shared memory, None if the type does
    not say it.
    """

    box: tuple[int, ...]
    dtype: str
    swizzle: int | None = None


def descriptor_type(box: Sequence[int], dtype: str) -> str:
    """The type of a parameter that describes a tensor, of which boxes are copied."""
    return f"!tt.tensordesc<tensor<{'x'.join(map(str, box))}x{dtype}>>"


def parse_descriptor(type_: str) -> Descriptor | None:
    """What a parameter's type says, if it is that of a descriptor."""
    found = _DESCRIPTOR.fullmatch(type_)
    if found is None:
        return None
    box = tuple(int(size) for size in found["box"].split("x")[:-1])
    return Descriptor(box, found["dtype"], int(found["swizzle"]) if found["swizzle"] else None)


def parameter_format(parameters: Sequence[str]) -> str:
    """How `struct` packs the values of parameters, each in its slot."""
    return "<" + "".join("Q" if each.startswith("!tt.ptr") else _FORMATS[each] for each in parameters)


def bits_of_f16(value: float) -> int:
    """A number as the bits of an f16 that holds it, as a signed integer."""
    return struct.unpack("<h", struct.pack("<e", value))[0]


def bits_of_bf16(value: float) -> int:
    """A number as the bits of a bf16 that holds it, as a signed integer."""
    return struct.unpack("<hh", struct.pack("<f", value))[1]
