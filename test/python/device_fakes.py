"""What stands in for a GPU: tensors with addresses and no memory, and a driver that notes its calls."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import itertools
import math
import struct
from collections.abc import Sequence
from typing import Any

from aecompiler.backends.nvidia.artifact import MAX_SCRATCH
from aecompiler.backends.nvidia.driver import LAUNCH_CONFIG, DriverError
from aecompiler.backends.triton import kernel_abi

PARAMETERS = ("!tt.ptr<f32>", "i64", "!tt.ptr<f32>", "i64", "i32", "f32")
"""Those of the kernel that a `FakeDriver` knows unless it is told of others."""

_ADDRESSES = itertools.count(1 << 20, 1 << 20)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


class FakeTensor:
    """A tensor of torch as host programs see one. `events` of all are noted in one list."""

    def __init__(self, shape, strides=None, address=None, events=None, device_index=0):
        self.device_index = device_index
        self.shape = tuple(shape)
        self.strides = tuple(strides) if strides is not None else contiguous(shape)
        self.address = next(_ADDRESSES) if address is None else address
        self.events = [] if events is None else events

    def stride(self, dimension=None):
        return self.strides if dimension is None else self.strides[dimension]

    def get_device(self):
        return self.device_index

    @property
    def device(self):
        return f"cuda:{self.device_index}"

    def data_ptr(self):
        return self.address

    def contiguous(self):
        made = FakeTensor(self.shape, events=self.events)
        self.events.append(("contiguous", self, made))
        return made

    def copy_(self, other):
        self.events.append(("copy", self, other))
        return self

    def fill_(self, number):
        self.events.append(("fill", self, number))
        return self


@dataclasses.dataclass
class Launch:
    """One launch of a host program."""

    kernel: str
    stream: int
    grid: tuple[int, int, int]
    misaligned: int
    values: tuple[Any, ...]


class Run:
    """One run of a host program on fakes: its `results`, `launches` and all `events` in order."""

    def __init__(self, program, kernels, arguments, results):
        self.events: list[Any] = []
        self.launches: list[Launch] = []
        for each in (*arguments, *results):
            if isinstance(each, FakeTensor):
                each.events = self.events
        launchers = [self._launcher(name) for name in kernels]
        self.results = program(launchers, 7, self._empty, arguments, results)

    def _launcher(self, name):
        def launch(stream, x, y, z, misaligned, *values):
            made = Launch(name, stream, (x, y, z), misaligned, values)
            self.launches.append(made)
            self.events.append(("launch", made))

        return launch

    def _empty(self, sizes, dtype):
        made = FakeTensor(sizes, events=self.events)
        self.events.append(("empty", made, dtype))
        return made


class FakeDriver:
    """A driver whose launches are noted, with the parameters read from memory as a GPU would read them."""

    def __init__(self, capability=(9, 0), shared=227 << 10, parameters=PARAMETERS):
        self._parameters = list(parameters)
        self.library = self
        self.encoded: list[dict[str, Any]] = []
        self._capability, self._shared = capability, shared
        self.loaded: list[tuple[int, bytes, str, int]] = []
        self.launches: list[tuple[Any, ...]] = []
        self.pushed: list[int] = []
        self.context_now = 0
        self.answer = 0

    def capability(self, device):
        return self._capability

    def context(self, device):
        return 100 + device

    def current(self):
        return self.context_now

    def using(self, context):
        self.pushed.append(context)
        return contextlib.nullcontext()

    def load_function(self, device, binary, name, shared):
        self.loaded.append((device, binary, name, shared))
        return 1000 + len(self.loaded)

    def launch_kernel(self, config, function, pointers, extra):
        assert extra is None
        described = ctypes.string_at(config, struct.calcsize(LAUNCH_CONFIG))
        x, y, z, threads, one, two, shared, stream, attributes, count = struct.unpack(
            LAUNCH_CONFIG, described
        )
        assert (one, two, attributes, count) == (1, 1, 0, 0)
        count = len(self._parameters) + MAX_SCRATCH
        places = list((ctypes.c_uint64 * count).from_address(pointers))
        self.launches.append((function, (x, y, z), threads, shared, stream, places))
        sizes = [
            kernel_abi.DESCRIPTOR_BYTES if kernel_abi.is_descriptor(each) else kernel_abi.SLOT_BYTES
            for each in self._parameters
        ]
        sizes += [kernel_abi.SLOT_BYTES] * MAX_SCRATCH
        self.slots = [ctypes.string_at(*each) for each in zip(places, sizes, strict=True)]
        for place, size in zip(places, sizes, strict=True):
            assert size == kernel_abi.SLOT_BYTES or place % kernel_abi.DESCRIPTOR_ALIGNMENT == 0
        return self.answer

    def zeros(self, device):
        return (9 + device) << 40

    @property
    def cuTensorMapEncodeTiled(self):
        """What the driver's library has; a map is the number of the call and then zeros."""

        def encode(place, dtype, rank, address, sizes, strides, box, steps, *rest):
            self.encoded.append(
                {
                    "address": address,
                    "sizes": list(sizes)[::-1],
                    "strides": list(strides)[::-1],
                    "box": list(box)[::-1],
                    "swizzle": rest[1],
                }
            )
            ctypes.memmove(place, bytes([len(self.encoded)]) + bytes(127), 128)
            return 0

        return encode

    def values(self, parameters):
        """The parameters of the last launch, read from memory by their types."""
        formats = {"i8": "<b", "i16": "<h", "i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}
        return [
            slot
            if kernel_abi.is_descriptor(parameter)
            else struct.unpack_from("<Q" if parameter.startswith("!tt.ptr") else formats[parameter], slot)[0]
            for parameter, slot in zip(parameters, self.slots, strict=False)
        ]

    def check(self, code, what):
        if code:
            raise DriverError(what, "CUDA_ERROR_FAKE", str(code))
