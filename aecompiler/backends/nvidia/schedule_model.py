"""How long a schedule takes, by a model of a multiprocessor: no GPU is asked.

A tile of rows visits the tiles of keys that the mask leaves. A *step*, one tile of keys for all rows of a
block, keeps four units busy, each for cycles that follow from the target's rates: the tensor cores, the
special function units, the other arithmetic, and the path from the L2 cache. Units work at the same time as
far as there are groups of warps that are at different places: the time of a step is a norm of those times and
of the time that one group takes from its first product to its last, one thing after the other. Around the
steps a tile of rows costs what nothing overlaps with. The tiles are then dealt to the multiprocessors.

`CONSTANTS` are what documents don't say: fitted to the measurements of `bench/nvidia_schedules.py` on one
H100 (docs/performance.md), none for a program of its own. Only proportions matter where schedules are ranked.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence

from aecompiler.backends.nvidia.hopper.limits import ROWS, registers_of_roles
from aecompiler.backends.nvidia.program_facts import Form
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_space import plain_shared_bytes, registers_of_tiles, shared_bytes
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton.layouts import bits_of
from aecompiler.backends.triton.occupancy import occupancy

CONSTANTS: Mapping[str, float] = {
    "norm": 2.302,  # how sharply the slowest unit decides
    "operations": 1.128,  # instructions for an element beside those of the program: rounding, addresses
    "step instructions": 119.6,  # cycles that a group starts instructions for beside those of elements
    "group latency": 134.0,  # cycles of a step that no unit is busy for: barriers, waits, dependences
    "tile latency": 3032.0,  # cycles of a tile of rows: q, the first scores, the end
    "tile features": 5.423,  # and for each feature of v
    "second rows": 0.3222,  # factor of both where the rows of the next tile have a buffer of their own
    "block latency": 730.6,  # of a block, for each group: barriers are made, warps get their roles
    "copy latency": 305.7,  # from the request for a tile to its arrival
    "l2 bytes": 147.5,  # bytes that a multiprocessor gets from the L2 cache in a cycle
    "shared bytes": 119.4,  # bytes that the tensor cores of a multiprocessor read in a cycle
    "at-use": 0.9784,  # factors of the time of a step
    "at-end": 0.98,
    "together": 1.014,
    "masked": 1.75,  # of a step in which elements are masked, beside its operations: a loop of its own
    "tiles": 0.995,
    "persistent": 1.009,
    "free": 0.9938,
    "ping-pong": 0.9808,
    "plain registers": 72.96,  # of a thread, beside those of tiles
    "plain latency": 757.4,  # as group latency, of kernels without roles
    "plain tile": 5316.0,  # as tile latency
    "plain products": 1.079,  # times the time of products that warps wait for
    "spill": 78.12,  # cycles of a step for a register that a thread does not have
}


@dataclasses.dataclass(frozen=True)
class _Units:
    """Cycles of each unit for a step of one group of warps, or of one block without groups."""

    tensor: float
    special: float
    others: float
    copied: float

    @property
    def vector(self) -> float:
        """The elementwise part: instructions of both kinds are started at the same time."""
        return max(self.special, self.others)


class Model:
    """The times of an attention op by its schedule."""

    def __init__(self, form: Form, target: NvidiaTarget, constants: Mapping[str, float] = CONSTANTS):
        self.form, self.facts, self.target, self.constants = form, form.facts, target, constants
        self.bytes = bits_of(self.facts.element) / 8
        self._units = functools.cache(self._find_units)
        self._step = functools.cache(self._find_step)
        self._has_second_rows = functools.cache(self._find_second_rows)

    def microseconds(self, schedule: NvidiaSchedule) -> float:
        """The time that the whole op takes."""
        cycles = self._with_roles(schedule) if schedule.consumers else self._plain(schedule)
        return cycles / self.target.clock_hz * 1e6

    # ---- kernels whose warps have roles: one block on a multiprocessor, groups of 64 rows --------------

    def _with_roles(self, schedule: NvidiaSchedule) -> float:
        constants, processors = self.constants, self.target.multiprocessors
        groups, keys = schedule.consumers, schedule.block_kv
        step = functools.partial(
            self._step, groups, keys, schedule.num_stages, (schedule.waits, schedule.order, schedule.grid)
        )
        begin = constants["block latency"] * groups
        around = constants["tile latency"] + constants["tile features"] * self.facts.value_features
        if schedule.grid == "persistent" and self._has_second_rows(groups, keys, schedule.num_stages):
            around *= constants["second rows"]
        tiles = self._tiles(ROWS * groups, keys, around, step(False), step(True))
        count = self._count(ROWS * groups)
        if schedule.grid == "persistent" and count > processors:
            # Tiles come in pairs, a long one and a short one, and of the rest one by one if that is enough.
            rest = count % (2 * processors)
            turns = 2 * (count // (2 * processors)) + (rest > 0) + (rest > processors)
            return begin + turns * sum(tiles) / len(tiles)
        return dealt([each + begin for each in tiles], count, processors)

    def _find_second_rows(self, groups: int, keys: int, stages: int) -> bool:
        """Whether shared memory has room for the rows of two tiles."""
        needed = shared_bytes(self.facts, groups, keys, stages, is_persistent=True, row_buffers=2)
        return needed <= self.target.shared_bytes_per_block

    def _find_step(self, groups: int, keys: int, stages: int, words: tuple[str, ...], mask: bool) -> float:
        """Cycles of a step of all groups."""
        units, constants = self._units(ROWS, keys, mask), self.constants
        others = units.others + constants["step instructions"]
        others += constants["spill"] * self._missing_registers(groups, keys)
        own = units.tensor + max(units.special, others) + constants["group latency"]
        factor = math.prod(constants[word] for word in words) * (constants["masked"] if mask else 1.0)
        parts = [groups * units.tensor, groups * units.special, groups * others, units.copied, own]
        arrival = constants["copy latency"] + units.copied
        if stages == 1:
            return self._norm(parts) * factor + arrival
        return self._norm([*parts, arrival / (stages - 1)]) * factor

    def _missing_registers(self, groups: int, keys: int) -> float:
        """How many numbers of columns, which a thread keeps from tile to tile, it has no registers for."""
        kept = self.facts.kept * keys / COLUMNS
        most, _ = registers_of_roles(self.target.registers, groups)
        needed = registers_of_tiles(self.facts, keys) + kept
        return min(kept, max(0.0, needed - (most - _SPARE)))

    # ---- kernels that Triton schedules: several blocks share a multiprocessor --------------------------

    def _plain(self, schedule: NvidiaSchedule) -> float:
        rows, keys = schedule.block_q, schedule.block_kv
        registers = self.plain_registers(schedule)
        found = occupancy(
            self.target,
            num_warps=schedule.num_warps,
            registers=min(int(registers), self.target.registers_per_thread),
            shared=plain_shared_bytes(self.facts, self.target, rows, keys, schedule.num_stages),
        )
        blocks = max(1, found.blocks)
        full, partial = (self._plain_step(schedule, blocks, registers, mask) for mask in (False, True))
        tiles = self._tiles(rows, keys, self.constants["plain tile"], full, partial)
        return dealt(tiles, self._count(rows), blocks * self.target.multiprocessors)

    def plain_registers(self, schedule: NvidiaSchedule) -> float:
        """What a thread needs: for sums, for scores, and for weights in the type of v."""
        elements = self.facts.value_features + schedule.block_kv * (1 + self.bytes / 4)
        threads = schedule.num_warps * self.target.warp_size
        return self.constants["plain registers"] + schedule.block_q * elements / threads

    def _plain_step(self, schedule: NvidiaSchedule, blocks: int, registers: float, mask: bool) -> float:
        """Cycles of a step of each of the blocks that share a multiprocessor."""
        constants = self.constants
        units = self._units(schedule.block_q, schedule.block_kv, mask)
        missing = max(0.0, registers - self.target.registers_per_thread)
        own = units.tensor * constants["plain products"] + units.vector + constants["plain latency"]
        own += constants["spill"] * missing
        busy = (units.tensor, units.special, units.others, units.copied)
        time = self._norm([*(blocks * each for each in busy), own])
        return time if schedule.num_stages > 1 else time + constants["copy latency"] + units.copied

    # ---- both ------------------------------------------------------------------------------------------

    def _count(self, rows: int) -> int:
        """All tiles of rows."""
        return self.form.shape.heads * -(-self.form.shape.rows // rows)

    def _tiles(self, rows: int, keys: int, around: float, full: float, partial: float) -> list[float]:
        """Cycles of some tiles of rows, which stand for the others."""
        visits = self.form.visits(rows, keys)
        return [around + each.full * full + each.partial * partial for each in visits] or [around]

    def _find_units(self, rows: int, keys: int, mask: bool) -> _Units:
        facts, target, constants = self.facts, self.target, self.constants
        elements = rows * keys
        operations = facts.operations + facts.special + constants["operations"]
        operations += LOAD_OPERATIONS * facts.loads + (facts.mask_operations if mask else 0)
        features = facts.features + facts.value_features
        return _Units(
            tensor=self._products(rows, keys),
            special=elements * facts.special / target.special_functions,
            others=(elements * operations + rows * facts.value_features) / (target.fma_flops / 2),
            copied=keys * features * self.bytes / constants["l2 bytes"],
        )

    def _products(self, rows: int, keys: int) -> float:
        """Both products: their multiplications, or the reads of factors from shared memory."""
        facts, target = self.facts, self.target
        is_wide = facts.element in ("f32", "f64")
        flops = target.flops_per_clock("tf32" if is_wide else facts.element) or target.fma_flops
        times = 3 if is_wide else 1  # a product of f32 is a sum of three
        first, second = (
            times * 2 * rows * keys * features / flops for features in (facts.features, facts.value_features)
        )
        if target.matrix_instruction == "mma":
            return first + second
        read = times * rows / ROWS * self.bytes / self.constants["shared bytes"]
        first = max(first, read * facts.features * (keys + ROWS))
        return first + max(second, read * keys * facts.value_features)

    def _norm(self, parts: Iterable[float]) -> float:
        """A little more than the largest."""
        power = self.constants["norm"]
        return sum(part**power for part in parts) ** (1 / power)


def dealt(tiles: Sequence[float], count: int, processors: int) -> float:
    """When the last of `count` blocks ends, longest first, each where one has ended.

    `tiles` are the times of some of them.
    """
    longest, mean = max(tiles), sum(tiles) / len(tiles)
    if longest < _EVEN * mean:
        return -(-count // processors) * longest
    return max(longest, count * mean / processors + min(tiles))


COLUMNS = 4
"""Threads that share a row of accumulators, each with every fourth pair of its columns."""

_SPARE = 10
"""Registers that the assembler needs beside those that are counted where it may not spill."""

_EVEN = 1.05
"""Times that differ by less are those of equal blocks, which end in waves."""

LOAD_OPERATIONS = 8
"""A read of an element from the cache of the multiprocessor takes the path of so many instructions."""
