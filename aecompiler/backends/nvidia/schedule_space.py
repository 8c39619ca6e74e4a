"""The schedules that a chip has room for, of a program of which a few facts are known.

What takes the rest of a program, its masks and scores, the passes decide: a schedule from here may still be
refused. None is left out that passes would take and that is among the sizes below.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from aecompiler.backends.nvidia.hopper import limits
from aecompiler.backends.nvidia.hopper.limits import ROWS, Buffers, Tile
from aecompiler.backends.nvidia.hopper.waits import Waits
from aecompiler.backends.nvidia.program_facts import ProgramFacts
from aecompiler.backends.nvidia.schedule import GRIDS, MAX_CONSUMERS, MIN_BLOCK, ORDERS, NvidiaSchedule
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton.layouts import tile_bytes
from aecompiler.passes.feature_pieces import pieces_of

BLOCKS_KV = (16, 32, 64, 128, 256)
"""Keys of a tile: powers of two, as many as one wgmma has columns at most."""

BLOCKS_Q = (64, 128)
NUM_WARPS = (4, 8)
STAGES = (1, 2, 3, 4)
"""More than four tiles on their way are never waited for."""

ANY = NvidiaSchedule()
_COPIED = ("f16", "bf16")
"""Types of tiles that are copied through descriptors, and multiplied by wgmma."""


@functools.lru_cache(maxsize=64)
def legal_schedules(
    facts: ProgramFacts, target: NvidiaTarget, given: NvidiaSchedule = ANY
) -> tuple[NvidiaSchedule, ...]:
    """All schedules of the sizes above, or of those that are given, that the target has room for."""
    return (*_with_roles(facts, target, given), *_plain(facts, target, given))


def _with_roles(facts: ProgramFacts, target: NvidiaTarget, given: NvidiaSchedule) -> Iterator[NvidiaSchedule]:
    are_boxes = all(map(_is_box, (*_pieces(facts.features), *_pieces(facts.value_features))))
    is_asked = not (given.block_q or given.num_warps)
    if not (target.specializes_warps and is_asked and facts.element in _COPIED and are_boxes):
        return
    groups = _or(given.consumers, range(1, MAX_CONSUMERS + 1))
    grids, waits = _or(given.grid, GRIDS), _or(given.waits, tuple(each.value for each in Waits))
    for consumers, keys in itertools.product(groups, filter(_is_box, _or(given.block_kv, BLOCKS_KV))):
        most, _ = limits.registers_of_roles(target.registers, consumers)
        if registers_of_tiles(facts, keys) > most:
            continue
        for stages, grid in itertools.product(_or(given.num_stages, STAGES), grids):
            # A second buffer for rows is used where it has room.
            needed = shared_bytes(facts, consumers, keys, stages, is_persistent=grid == GRIDS[1])
            if needed > target.shared_bytes_per_block:
                continue
            orders = _or(given.order, ORDERS if consumers > 1 else ORDERS[:1])
            for wait, order in itertools.product(waits, orders):
                numbers = {"consumers": consumers, "block_kv": keys, "num_stages": stages}
                yield dataclasses.replace(given, **numbers, grid=grid, waits=wait, order=order)


def registers_of_tiles(facts: ProgramFacts, keys: int) -> int:
    """The registers of a thread of a group with roles: scores, weights in the type of v, and sums."""
    scores, weights = Tile((ROWS, keys), "f32"), Tile((ROWS, keys), facts.element)
    sums = [Tile((ROWS, size), "f32") for size in _pieces(facts.value_features)]
    return limits.needed_registers((scores, *sums, weights))


def shared_bytes(
    facts: ProgramFacts, consumers: int, keys: int, stages: int, *, is_persistent: bool, row_buffers: int = 1
) -> int:
    """The shared memory of a kernel with roles: tiles of rows, rings of tiles of keys, and barriers."""
    pieces, values = _pieces(facts.features), _pieces(facts.value_features)
    return Buffers(
        resident=[Tile((ROWS, size), facts.element) for size in pieces],
        rings=[Tile((keys, size), facts.element) for size in (*pieces, *values)],
        stored=[Tile((ROWS, size), facts.element) for size in values],
        consumers=consumers,
        stages=stages,
        row_buffers=row_buffers,
        is_persistent=is_persistent,
    ).bytes


def _pieces(features: int) -> list[int]:
    """The sizes of pieces of q's and k's features, or of v's: those of tiles in shared memory."""
    return [size for _, size in pieces_of(features)]


def _or(given: Any, others: Iterable[Any]) -> Iterable[Any]:
    """What is given alone, or the others where nothing is."""
    return (given,) if given else others


def _is_box(size: int) -> bool:
    return MIN_BLOCK <= size <= 256 and size & (size - 1) == 0


def _plain(facts: ProgramFacts, target: NvidiaTarget, given: NvidiaSchedule) -> Iterator[NvidiaSchedule]:
    """Those that Triton's own passes schedule. They need more than what is counted here."""
    if given.consumers:
        return
    sizes = [
        _or(given.block_q, BLOCKS_Q),
        _or(given.block_kv, BLOCKS_KV),
        _or(given.num_warps, NUM_WARPS),
        _or(given.num_stages, STAGES),
    ]
    for rows, keys, warps, stages in itertools.product(*sizes):
        if rows < MIN_BLOCK * warps:
            continue
        sums = rows * (keys + facts.value_features)  # scores too, in f32
        room = target.registers_per_thread - limits.OTHER_REGISTERS
        if sums > room * warps * target.warp_size:
            continue
        if plain_shared_bytes(facts, target, rows, keys, stages) > target.shared_bytes_per_block:
            continue
        numbers = {"block_q": rows, "block_kv": keys, "num_warps": warps, "num_stages": stages}
        yield dataclasses.replace(given, **numbers)


def plain_shared_bytes(
    facts: ProgramFacts, target: NvidiaTarget, block_q: int, block_kv: int, stages: int
) -> int:
    """The shared memory that Triton's pipeline of loads takes: tiles of keys on their way, and of rows.

    Where products read their factors from shared memory, a tile stays there while the others arrive.
    """
    held = stages if target.matrix_instruction != "mma" else max(1, stages - 1)
    features = facts.features + facts.value_features
    rows = tile_bytes((block_q, facts.features), facts.element)
    return rows + held * tile_bytes((block_kv, features), facts.element)
