"""What kernels whose warps have roles need of a multiprocessor: registers, buffers and barriers.

The passes ask for what a kernel's operations need, and refuse it; the choice of schedules asks before there
is a kernel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from aecompiler.backends.triton import layouts as lo

ROWS = 64
"""The rows of a warp group: those of one wgmma."""

THREADS = 128
"""Threads of a group of four warps, of which the producer takes as many registers."""

PRODUCER_REGISTERS = {1: 24, 2: 24, 3: 32}
"""Registers of a thread of the producer by the number of groups: what its share has room for."""

MOST_REGISTERS = 240
"""The most that warps may ask for."""

OTHER_REGISTERS = 30
"""What a thread needs beside tiles: addresses, numbers of rows, what is being computed."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """The shape of a tile, and its element type by name."""

    shape: tuple[int, ...]
    element: str


def registers_of_roles(registers: int, consumers: int) -> tuple[int, int]:
    """Registers of a thread of a consumer and of the producer, of so many that a multiprocessor has."""
    few = PRODUCER_REGISTERS[consumers]
    many = (registers // THREADS - few) // consumers
    return min(many // 8 * 8, MOST_REGISTERS), few


def needed_registers(tiles: Iterable[Tile]) -> int:
    """Registers of each of a consumer's threads, where its part of these tiles is held at the same time."""
    return OTHER_REGISTERS + sum(map(_registers_of, tiles))


def _registers_of(tile: Tile) -> int:
    """Registers of each of a group's threads for 64 rows of a tile."""
    if len(tile.shape) != 2:
        return len(tile.shape)
    return ROWS * tile.shape[1] * lo.bits_of(tile.element) // 32 // THREADS


class Buffers:
    """The buffers and barriers of a kernel, `all` of them; the other lists are places in it.

    `resident` are tiles of rows that are read, one for each load, `rings` those of keys, `stored` those of
    rows that are written, through a buffer of `resident` that has the same form, if there is one. Each group
    has `row_buffers` buffers, 1 or 2, for each tile of rows: the first of all groups, then the second.
    """

    def __init__(
        self,
        *,
        resident: Iterable[Tile],
        rings: Iterable[Tile],
        stored: Iterable[Tile],
        consumers: int,
        stages: int,
        row_buffers: int,
        is_persistent: bool,
    ):
        self.all: list[lo.MemDesc] = []
        resident = list(resident)
        count = consumers * row_buffers
        self.resident = [self._add(_buffer(count, tile, ROWS)) for tile in resident]
        self.resident_full = [self._add(_barriers(count)) for _ in resident]
        self.resident_empty = [self._add(_barriers(count)) for _ in resident if is_persistent]
        self.rings: list[int] = []
        self.full: list[int] = []
        for tile in rings:
            self.rings.append(self._add(_buffer(stages, tile)))
            self.full.append(self._add(_barriers(stages)))
        self.empty = self._add(_barriers(stages))
        self.stored = [self._of_stored(_buffer(count, tile, ROWS)) for tile in stored]

    @property
    def bytes(self) -> int:
        """The bytes of all buffers and barriers."""
        return sum(lo.tile_bytes(buffer.shape, buffer.element) for buffer in self.all)

    def _add(self, buffer: lo.MemDesc) -> int:
        self.all.append(buffer)
        return len(self.all) - 1

    def _of_stored(self, needed: lo.MemDesc) -> int:
        for at in self.resident:
            if self.all[at] == needed:
                return at
        return self._add(needed)


def _buffer(count: int, tile: Tile, rows: int = 0) -> lo.MemDesc:
    """Buffers for tiles such as `tile`, or for `rows` rows of it."""
    shape = (rows or tile.shape[0], *tile.shape[1:])
    layout = lo.shared(lo.row_bytes(shape, tile.element), lo.bits_of(tile.element))
    return lo.MemDesc((count, *shape), tile.element, layout)


def _barriers(count: int) -> lo.MemDesc:
    return lo.MemDesc((count, 1), "i64", lo.BARRIER)
