"""Tensor maps: descriptors by which the Tensor Memory Accelerator copies boxes of tensors."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence

from aecompiler.backends.nvidia.driver import Driver
from aecompiler.backends.triton.kernel_abi import (
    ALIGNMENT,
    DESCRIPTOR_ALIGNMENT,
    DESCRIPTOR_BYTES,
    ITEM_BYTES,
    Descriptor,
)
from aecompiler.bounded import keep

_TYPES = {  # CUtensorMapDataType, and the bytes of an element
    "i8": (0, 1),
    "i16": (1, 2),
    "i32": (3, 4),
    "i64": (5, 8),
    "f16": (6, 2),
    "f32": (7, 4),
    "f64": (8, 8),
    "bf16": (9, 2),
}
_SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}  # CUtensorMapSwizzle
_MAX_RANK, _MAX_BOX, _MAX_SIZE, _MAX_STRIDE = 5, 256, 1 << 32, 1 << 40
_L2_PROMOTION_128B = 2

_MOST_MAPS = 1024

Tensor = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Address, sizes, and strides in elements."""


def check(
    address: int,
    dtype: str,
    sizes: Sequence[int],
    strides: Sequence[int],
    box: Sequence[int],
    swizzle_bytes: int,
) -> None:
    """Raise `ValueError` for a tensor or box that the hardware can't copy, naming the rule."""
    if dtype not in _TYPES:
        raise ValueError(f"expects a tensor map's element type to be one of {', '.join(_TYPES)}, got {dtype}")
    if swizzle_bytes not in _SWIZZLES:
        raise ValueError(f"expects a swizzle of 0, 32, 64 or 128 bytes, got {swizzle_bytes}")
    rank, item = len(sizes), _TYPES[dtype][1]
    if not 1 <= rank <= _MAX_RANK or not rank == len(strides) == len(box):
        raise ValueError(
            f"expects 1 to {_MAX_RANK} sizes, and as many strides and sizes of the box, "
            f"got {rank}, {len(strides)} and {len(box)}"
        )
    if address % 16:
        raise ValueError(f"expects a tensor map's tensor at a multiple of 16 bytes, got address {address:#x}")
    if strides[-1] != 1 and sizes[-1] != 1:
        raise ValueError(f"expects the last stride of a tensor map to be 1, got {strides[-1]}")
    for dimension, (size, edge) in enumerate(zip(sizes, box, strict=True)):
        if not 1 <= size <= _MAX_SIZE:
            raise ValueError(
                f"expects sizes of 1 to 2^32 in a tensor map, got {size} in dimension {dimension}"
            )
        if not 1 <= edge <= _MAX_BOX:
            raise ValueError(f"expects a box of 1 to {_MAX_BOX}, got {edge} in dimension {dimension}")
    for dimension, stride in enumerate(strides[:-1]):
        if stride * item % 16 or not 0 <= stride * item < _MAX_STRIDE:
            raise ValueError(
                "expects strides of a tensor map to be multiples of 16 bytes below 2^40, "
                f"got {stride * item} in dimension {dimension}"
            )
    row = box[-1] * item
    if row % 16:
        raise ValueError(f"expects rows of a box to be multiples of 16 bytes, got {row}")
    if swizzle_bytes and row > swizzle_bytes:
        raise ValueError(f"expects rows of a box to fit into the swizzle, {swizzle_bytes} bytes, got {row}")


def encode(
    driver: Driver,
    address: int,
    dtype: str,
    sizes: Sequence[int],
    strides: Sequence[int],
    box: Sequence[int],
    swizzle_bytes: int,
) -> bytes:
    """The 128 bytes of a tensor map, by which boxes of a tensor are copied.

    `sizes`, `strides` (in elements) and `box` are in the tensor's order, the last dimension's stride is 1.
    Raises `ValueError` for what the hardware can't read.
    """
    check(address, dtype, sizes, strides, box, swizzle_bytes)
    rank, (code, item) = len(sizes), _TYPES[dtype]
    function = driver.library.cuTensorMapEncodeTiled
    memory = ctypes.create_string_buffer(DESCRIPTOR_BYTES + DESCRIPTOR_ALIGNMENT)
    start = -ctypes.addressof(memory) % DESCRIPTOR_ALIGNMENT
    # The hardware counts dimensions from the last.
    wide, narrow = ctypes.c_uint64, ctypes.c_uint32
    answer = function(
        ctypes.addressof(memory) + start,
        code,
        rank,
        address,
        (wide * rank)(*reversed(sizes)),
        (wide * max(1, rank - 1))(*[stride * item for stride in reversed(strides[:-1])]),
        (narrow * rank)(*reversed(box)),
        (narrow * rank)(*[1] * rank),
        0,  # not interleaved
        _SWIZZLES[swizzle_bytes],
        _L2_PROMOTION_128B,
        0,  # elements out of bounds are 0
    )
    driver.check(answer, f"no tensor map for a tensor of {math.prod(sizes)} elements")
    return memory.raw[start : start + DESCRIPTOR_BYTES]


class TensorMaps:
    """The tensor maps that launches of a kernel need. The last ones are kept.

    `known` holds, by all tensors with descriptors of a launch, the maps of each.
    """

    def __init__(self, driver: Driver, device: int, parameters: Sequence[Descriptor]):
        self._driver, self._device, self._parameters = driver, device, parameters
        self._made: dict[tuple[int, Tensor], bytes] = {}
        self._lock = threading.Lock()
        self.known: dict[tuple[Tensor, ...], tuple[bytes, ...]] = {}

    def add(self, tensors: tuple[Tensor, ...]) -> tuple[bytes, ...]:
        """The maps of tensors that are not known yet, all of whose rows are aligned."""
        with self._lock:
            maps = tuple(self._map(n, tensor) for n, tensor in enumerate(tensors))
            keep(self.known, tensors, maps, _MOST_MAPS)
        return maps

    def _map(self, number: int, tensor: Tensor) -> bytes:
        place = (number, tensor)
        if place not in self._made:
            keep(self._made, place, self._encode(self._parameters[number], *tensor), _MOST_MAPS)
        return self._made[place]

    def _encode(
        self, parameter: Descriptor, address: int, sizes: Sequence[int], strides: Sequence[int]
    ) -> bytes:
        """That of a tensor without elements reads zeros."""
        unused = ALIGNMENT // ITEM_BYTES[parameter.dtype]
        if 0 in sizes:
            address, sizes = self._driver.zeros(self._device), (1,) * len(sizes)
        # There is no step along a dimension of one element, and its stride may be anything.
        steps = [
            unused if size == 1 else stride for size, stride in zip(sizes[:-1], strides[:-1], strict=True)
        ]
        return encode(
            self._driver,
            address,
            parameter.dtype,
            sizes,
            [*steps, 1],
            parameter.copied_box,
            parameter.swizzle_bytes,
        )
