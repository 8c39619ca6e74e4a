"""A call of a compiled program as data: what it allocates and launches, whatever the addresses are.

The host program of a call does the same for all calls of the same scalars and of tensors of the same sizes
and strides, as long as these are aligned. `record` runs it once on stand-ins for tensors and notes what it
does; what copies tensors or makes views of them is not recorded. A `RecordedCall` does that again: it
allocates, looks up the launches for the addresses at hand, which stand in memory ready for the driver, and
makes them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from aecompiler.backends.gpu.launch import Device
from aecompiler.backends.nvidia.launcher import Launcher, ReadyLaunch
from aecompiler.backends.triton.kernel_abi import ALIGNMENT, ITEM_BYTES
from aecompiler.bounded import keep

_MOST_READY = 256
"""For how many combinations of addresses launches are kept; those of one take about a kilobyte each."""


class _NotRecorded(Exception):
    """A host program does more than allocate and launch."""


class _Address(int):
    """A multiple of all alignments, to be replaced by the address of a tensor."""

    number: int

    @classmethod
    def of(cls, number: int) -> _Address:
        made = cls(0)
        made.number = number
        return made


class _StandIn:
    """A tensor as host programs see it, which has no address yet."""

    def __init__(self, number: int, shape: Sequence[int], strides: Sequence[int], dtype: str):
        self.shape, self._strides = tuple(shape), tuple(strides)
        self.number, self._item = number, ITEM_BYTES[dtype]

    def stride(self, dimension: int | None = None) -> Any:
        return self._strides if dimension is None else self._strides[dimension]

    def data_ptr(self) -> _Address:
        return _Address.of(self.number)

    def _refuse(self, *_: Any) -> Any:
        raise _NotRecorded

    contiguous = copy_ = fill_ = __getitem__ = permute = expand = reshape = _refuse
    """What host programs do with tensors beyond that: views and copies."""

    def span(self) -> int:
        """The bytes from the first element to the end of the last."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self._strides, strict=True)
        return (sum((size - 1) * stride for size, stride in steps) + 1) * self._item


class _Launch(NamedTuple):
    launcher: Launcher
    grid: tuple[int, int, int]
    misaligned: int
    values: tuple[Any, ...]

    def ready(self, stream: int, addresses: Sequence[int]) -> ReadyLaunch | None:
        """The launch where tensors have these addresses, or None for an empty grid."""
        values = []
        for value in self.values:
            if type(value) is _Address:
                value = addresses[value.number]
            elif type(value) is tuple:  # what a descriptor is made of
                value = (addresses[value[0].number], *value[1:])
            values.append(value)
        return self.launcher.ready(stream, *self.grid, self.misaligned, *values)


class Prepared(NamedTuple):
    """A recorded call that only has to be launched."""

    results: list[Any]
    launches: Sequence[ReadyLaunch]
    memory: list[Any]
    """What was allocated, which must live until all is launched."""


class RecordedCall:
    """What a host program does for tensors of given sizes and strides. Threads may share it."""

    def __init__(
        self,
        device: Device,
        given: Sequence[_StandIn],
        written: Collection[int],
        made: Sequence[tuple[Sequence[int], str]],
        launches: Sequence[_Launch],
        returns: Sequence[int],
    ):
        self._device = device
        self._launch_kernel = device.driver.launch_kernel
        self._made, self._launches, self._returns = tuple(made), tuple(launches), tuple(returns)
        self._apart = [
            (n, given[n].span(), other, given[other].span())
            for n in written
            for other in range(len(given))
            if other != n and (other < n or other not in written)
        ]
        self._ready: dict[tuple[int, ...], tuple[ReadyLaunch, ...]] = {}
        self._lock = threading.Lock()

    def prepare(self, addresses: tuple[int, ...]) -> Prepared | None:
        """A call on tensors with these addresses, arguments before given results, on the current stream.

        None where it is none like that which was recorded, or not one that may be made: tensors are not
        aligned, have no memory, or results overlap something. `results` are those that are not given.
        """
        device = self._device
        memory = [device.empty(*each) for each in self._made]
        stream = device.current_stream(device.ordinal)
        key = (stream, *addresses, *[tensor.data_ptr() for tensor in memory])
        launches = self._ready.get(key)
        if launches is None and (launches := self._add(key)) is None:
            return None
        return Prepared([memory[n] for n in self._returns], launches, memory)

    def _add(self, key: tuple[int, ...]) -> tuple[ReadyLaunch, ...] | None:
        stream, *addresses = key
        if any(not address or address % ALIGNMENT for address in addresses):
            return None
        for n, span, other, other_span in self._apart:
            if addresses[n] < addresses[other] + other_span and addresses[other] < addresses[n] + span:
                return None
        launches = tuple(
            ready for each in self._launches if (ready := each.ready(stream, addresses)) is not None
        )
        with self._lock:
            keep(self._ready, key, launches, _MOST_READY)
        return launches

    def launch(self, prepared: Prepared) -> None:
        """Launch what was prepared."""
        driver, context = self._device.driver, self._device.context
        if driver.current() == context:
            self._launch(prepared.launches)
            return
        with driver.using(context):
            self._launch(prepared.launches)

    def _launch(self, launches: Sequence[ReadyLaunch]) -> None:
        launch_kernel = self._launch_kernel
        for config, function, pointers, launcher, _ in launches:
            if code := launch_kernel(config, function, pointers, None):
                launcher.refuse(code)


def record(
    device: Device,
    program: Callable[..., list[Any]],
    plan: dict[str, Any],
    arguments: Sequence[Any],
    results: Sequence[Any],
) -> RecordedCall | None:
    """What the host program of a plan does in a call like this; None where that can't be recorded.

    `results` are tensors to write to, or nothing for new ones. Whether all may be called so was checked.
    """
    given: list[_StandIn] = []

    def stand_in(tensor: Any, dtype: str) -> _StandIn:
        given.append(_StandIn(len(given), tensor.shape, tensor.stride(), dtype))
        return given[-1]

    stand_ins: list[Any] = [
        value if each["shape"] is None else stand_in(value, each["dtype"])
        for value, each in zip(arguments, plan["arguments"], strict=True)
    ]
    outputs: list[Any] = [None] * len(plan["results"])
    if results:
        outputs = [
            stand_in(value, each["dtype"]) for value, each in zip(results, plan["results"], strict=True)
        ]
    made: list[tuple[Sequence[int], str]] = []
    launches: list[_Launch] = []

    def empty(sizes: Sequence[int], dtype: str) -> _StandIn:
        sizes = tuple(sizes)  # which torch takes faster than its own kind of tuple
        made.append((sizes, dtype))
        strides = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
        return _StandIn(len(given) + len(made) - 1, sizes, strides, dtype)

    def launch(launcher: Launcher) -> Callable[..., None]:
        def note(_stream: int, x: int, y: int, z: int, misaligned: int, *values: Any) -> None:
            launches.append(_Launch(launcher, (x, y, z), misaligned, values))

        return note

    try:
        returned = program([launch(each) for each in device.launchers], 0, empty, stand_ins, outputs)
    except _NotRecorded:
        return None
    returns = [] if results else [each.number - len(given) for each in returned]
    tensors = [each for each in plan["arguments"] if each["shape"] is not None]
    written = {n for n, each in enumerate(tensors) if each.get("in_place") is not None}
    written.update(range(len(given) - len(results), len(given)))
    return RecordedCall(device, given, written, made, launches, returns)
