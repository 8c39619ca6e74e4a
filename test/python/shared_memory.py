"""Shared memory of kernels in numpy: who reads and writes what, and whether the order of that is certain.

An access is an *event*, one bit of an integer. An integer of many bits is what one *knows*: the events that
are certain to come before. Two accesses of one element of which one writes are a race if the second does not
know the first, also where this run of the kernel happened to give the wanted values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from aecompiler.bindings import ir

_MEMDESC = re.compile(r"!ttg\.memdesc<((?:\d+x)+)(\w+)")

Region = tuple[tuple[int, int], ...]  # from, to: in each dimension of an allocation


class Mistake(AssertionError):
    """What is wrong in a kernel."""


class Race(Mistake):
    """Two accesses of one element in an order that nothing makes certain."""


@dataclass(frozen=True)
class Access:
    """One access; `known` is what comes before it for certain."""

    event: int
    known: int
    what: str
    writes: bool = False


@dataclass
class Allocation:
    """The memory of one `ttg.local_alloc`, in which floats are NaN where nothing was written."""

    value: ir.Value
    shape: tuple[int, ...]
    dtype: Any
    barriers: dict[Region, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = np.empty(self.shape, self.dtype)
        self.written = np.zeros(self.shape, bool)
        self.accesses: list[tuple[Region, Access]] = []
        self.poison(tuple((0, size) for size in self.shape))

    def poison(self, region: Region) -> None:
        """Make what a region holds of no use."""
        is_float = not np.issubdtype(np.dtype(self.dtype), np.integer)
        self.data[_slices(region)] = np.nan if is_float else 85

    def access(self, region: Region, access: Access) -> None:
        """Note an access, and fail where it is a race or reads what nothing wrote."""
        kept = []
        for other_region, other in self.accesses:
            if not _overlap(region, other_region):
                kept.append((other_region, other))
                continue
            is_before = access.known & other.event
            if (access.writes or other.writes) and not is_before:
                raise Race(
                    f"race on {self.name(region)}: {access.what} is not certain to follow {other.what}"
                )
            is_same = access.writes or not other.writes
            if not (is_before and is_same and _covers(region, other_region)):
                kept.append((other_region, other))  # else whoever must follow it must follow this one, too
        self.accesses = [*kept, (region, access)]
        if access.writes:
            self.written[_slices(region)] = True
        elif not self.written[_slices(region)].all():
            raise Mistake(f"{access.what} reads {self.name(region)}, which nothing wrote")

    def name(self, region: Region) -> str:
        """A region as people say it: the value of the allocation, and what part of it."""
        full = [(low, high) == (0, size) for (low, high), size in zip(region, self.shape, strict=True)]
        parts = [f"{low}" if high == low + 1 else f"{low}:{high}" for low, high in region]
        while full and full[-1]:
            full.pop()
            parts.pop()
        return self.label + (f"[{', '.join(parts)}]" if parts else "")

    @cached_property
    def label(self) -> str:
        """What it is called in the text of the kernel."""
        return self.value.get_name()


@dataclass(frozen=True)
class Memdesc:
    """A view of an allocation; `axes` are the dimensions of it that the view has, in order."""

    allocation: Allocation
    region: Region
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the view."""
        return tuple(self.region[axis][1] - self.region[axis][0] for axis in self.axes)

    @property
    def name(self) -> str:
        """How errors name it."""
        return self.allocation.name(self.region)

    def index(self, number: int) -> Memdesc:
        """One slot: the view without its first dimension."""
        axis, *axes = self.axes
        low, high = self.region[axis]
        if not 0 <= number < high - low:
            raise Mistake(f"slot {number} of {self.name}, which has {high - low}")
        place = (low + number, low + number + 1)
        region = (*self.region[:axis], place, *self.region[axis + 1 :])
        return replace(self, region=region, axes=tuple(axes))

    def transposed(self, order: Sequence[int]) -> Memdesc:
        """The view with its dimensions in another order."""
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def overlaps(self, other: Memdesc) -> bool:
        """Whether two views have an element in common."""
        return self.allocation is other.allocation and _overlap(self.region, other.region)

    def read(self) -> np.ndarray:
        """What stands there now."""
        return self._elements().reshape(self.shape).copy()

    def write(self, value: np.ndarray) -> None:
        """Put values there."""
        elements = self._elements()
        elements[...] = value.reshape(elements.shape)

    def _elements(self) -> np.ndarray:
        dropped = [axis for axis in range(len(self.region)) if axis not in self.axes]
        return self.allocation.data[_slices(self.region)].transpose(*self.axes, *dropped)


def allocate(value: ir.Value, dtypes: dict[str, Any]) -> Memdesc:
    """New memory of the type of a value."""
    shape, element = memdesc_type(value.type)
    allocation = Allocation(value, shape, dtypes[element])
    return Memdesc(allocation, tuple((0, size) for size in shape), tuple(range(len(shape))))


def memdesc_type(type_: ir.Type) -> tuple[tuple[int, ...], str]:
    """Sizes and element type of a memdesc."""
    found = _MEMDESC.match(str(type_))
    assert found, f"no memdesc: {type_}"
    return tuple(int(size) for size in found[1].split("x")[:-1]), found[2]


def _slices(region: Region) -> tuple[slice, ...]:
    return tuple(slice(low, high) for low, high in region)


def _overlap(a: Region, b: Region) -> bool:
    return all(x[0] < y[1] and y[0] < x[1] for x, y in zip(a, b, strict=True))


def _covers(a: Region, b: Region) -> bool:
    return all(x[0] <= y[0] and y[1] <= x[1] for x, y in zip(a, b, strict=True))
