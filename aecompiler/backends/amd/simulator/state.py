"""The registers of one wave, and masks of lanes as integers and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aecompiler.backends.amd.simulator.waits import Counters

if TYPE_CHECKING:
    from aecompiler.backends.amd.simulator.banks import BankModel
    from aecompiler.backends.amd.simulator.global_memory import GlobalMemory
    from aecompiler.backends.amd.simulator.local_memory import LocalMemory

LANES = 64
LANE = np.arange(LANES)
ALL_LANES = (1 << 64) - 1
WORD = 0xFFFFFFFF

VCC, M0, EXEC = 106, 124, 126  # numbers of scalar registers in encodings of gfx9
ACCUMULATORS = 256  # accumulation registers stand behind the 256 vector registers
SCALARS = 512  # scalar registers stand behind both in masks of registers
POISON = (
    0xFFFA5A5A  # a NaN as f32 and in both halves as f16 and bf16, and far outside every array as an address
)

_unpacked: dict[int, np.ndarray] = {}


def to_bits(lanes: np.ndarray) -> int:
    """A mask of lanes (64 booleans) as an integer, lane 0 lowest."""
    value = int(np.packbits(lanes, bitorder="little").view(np.uint64)[0])
    _remember(value, lanes)
    return value


def to_lanes(value: int) -> np.ndarray:
    """The 64 booleans of an integer. The array is shared: don't write to it."""
    lanes = _unpacked.get(value)
    if lanes is None:
        raw = np.array([value], np.uint64).view(np.uint8)
        lanes = np.unpackbits(raw, bitorder="little").astype(bool)
        _remember(value, lanes)
    return lanes


def _remember(value: int, lanes: np.ndarray) -> None:
    if len(_unpacked) > 4096:
        _unpacked.clear()
    _unpacked[value] = lanes


class Wave:
    """One wave: 256 vector registers, 256 accumulation registers, scalar registers, EXEC, SCC, and its
    counters.

    `vector` is [512, 64] uint32 and `values` the same as float32; `words`, `floats` and `integers` are its
    rows as uint32, float32 and int32. Code is fast where it takes rows from these lists. `epoch` counts the
    barriers that the wave has passed, `executed` its instructions up to the last barrier. All registers that
    the entry state doesn't give hold a poison value. `local`, `memory` are the memories that it sees; `banks`
    counts conflicts, which `conflicts` has for each instruction.
    """

    __slots__ = (
        "banks",
        "conflicts",
        "counters",
        "epoch",
        "exec",
        "executed",
        "floats",
        "full",
        "identity",
        "integers",
        "local",
        "mask",
        "memory",
        "pc",
        "scalar",
        "scc",
        "values",
        "vector",
        "words",
    )

    def __init__(
        self, identity: int, local: LocalMemory, memory: GlobalMemory, banks: BankModel, conflicts: list[int]
    ):
        self.identity = identity
        self.local, self.memory, self.banks, self.conflicts = local, memory, banks, conflicts
        self.vector = np.empty((2 * ACCUMULATORS, LANES), np.uint32)
        self.values = self.vector.view(np.float32)
        self.words = list(self.vector)
        self.floats = list(self.vector.view(np.float32))
        self.integers = list(self.vector.view(np.int32))
        self.reset(())

    def reset(self, registers: Sequence[int]) -> None:
        """The state at entry: `registers` are the first scalar registers; v0 is the number of the thread."""
        self.vector.fill(POISON)
        self.words[0][:] = self.identity * LANES + LANE
        self.scalar = [*registers, *[POISON] * (128 - len(registers))]
        self.scc = self.pc = self.epoch = self.executed = 0
        self.counters = Counters()
        self.set_exec(ALL_LANES)

    def set_exec(self, value: int) -> None:
        """Choose the active lanes."""
        self.exec = value
        self.full = value == ALL_LANES
        self.mask = to_lanes(value)
