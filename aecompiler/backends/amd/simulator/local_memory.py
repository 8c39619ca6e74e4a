"""The local memory (LDS) of one workgroup, and what may race in it.

Every access has a number. For each cell of memory the last write and each wave's last read are kept, and for
each access and wave since which barrier the access is known to be over: a wave's own accesses are in order,
those of other waves are over when the wave that issued them has waited for its counter (lgkmcnt, or vmcnt for
loads from memory straight into LDS) and has then passed a barrier together with the others. A wave that reads
bytes whose write isn't over in this sense, that writes where a read of another wave isn't, or that writes
other bytes where a write of another wave isn't, has a race. Loads from memory into LDS aren't even over for
their own wave before it has waited.

Memory starts out as poison, the byte 0xff: a NaN in every float type.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aecompiler.backends.amd.simulator.errors import LocalMemoryError, LocalMemoryRace
from aecompiler.backends.amd.simulator.text import Instruction

NEVER, ALWAYS = 1 << 30, -1


class LocalMemory:
    """`size` bytes shared by `waves` waves. Races are found in cells of `cell` bytes (1, 2 or 4).

    `bytes`, `halves`, `words` are views of the memory.
    """

    def __init__(self, size: int, waves: int, cell: int):
        self.size, self.cell = size, cell
        self._waves = waves
        padded = max(16, -(-size // 16) * 16)
        self.bytes = np.empty(padded, np.uint8)
        self.halves, self.words = self.bytes.view(np.uint16), self.bytes.view(np.uint32)
        cells = padded // cell
        self._writer = np.zeros(cells, np.int32)
        self._reader = np.zeros((waves, cells), np.int32)
        self._over = np.full((waves, 1024), ALWAYS, np.int32)
        self.reset()

    def reset(self) -> None:
        """The state at the start of a workgroup."""
        self.bytes.fill(0xFF)
        self._writer.fill(0)
        self._reader.fill(0)
        self._over[:, 0] = ALWAYS
        self._accesses: list[tuple[int, Instruction | None, bool]] = [(0, None, False)]

    def begin(self, wave: int, instruction: Instruction, into_local: bool = False) -> int:
        """The number of a new access. `into_local`: a load from memory, which completes some time later."""
        number = len(self._accesses)
        if number == self._over.shape[1]:
            self._over = np.concatenate([self._over, np.full_like(self._over, ALWAYS)], axis=1)
        self._accesses.append((wave, instruction, into_local))
        self._over[:, number] = NEVER
        if not into_local:
            self._over[wave, number] = ALWAYS
        return number

    def retire(self, number: int, epoch: int) -> None:
        """The wave that issued an access knows that it is over: it has waited, after `epoch` barriers."""
        wave = self._accesses[number][0]
        self._over[:, number] = epoch
        self._over[wave, number] = ALWAYS

    def bounds(self, addresses: np.ndarray, width: int, instruction: Instruction) -> None:
        """Raise where `addresses` aren't inside, or not at a multiple of what `width` bytes ask for."""
        together = int(np.bitwise_or.reduce(addresses))  # at least as large as each of them
        align = min(width, 4)
        if 0 <= together <= self.size - width and not together & align - 1:
            return
        low, high = int(addresses.min()), int(addresses.max())
        if low < 0 or high + width > self.size:
            address = low if low < 0 else high
            raise LocalMemoryError(
                f"LDS access of {width} bytes at {address:#x} outside the workgroup's {self.size} bytes",
                instruction,
            )
        if together & align - 1:
            raise LocalMemoryError(f"LDS access at an address that is no multiple of {align}", instruction)

    def read(self, wave: int, epoch: int, cells: np.ndarray, number: int, instruction: Instruction) -> None:
        """Record a read of `cells` and raise where a write of them isn't over."""
        writers = self._writer.take(cells)
        over = self._over[wave].take(writers)
        if over.max() >= epoch:
            self._race("reads", writers[over >= epoch][0], instruction, wave)
        self._reader[wave, cells] = number

    def write(
        self,
        wave: int,
        epoch: int,
        cells: np.ndarray,
        number: int,
        instruction: Instruction,
        same: Callable[[], np.ndarray],
    ) -> None:
        """Record a write of `cells`; raise where an access isn't over.

        Two writes may be unordered where they write the same: `same` says where bytes stay what they are.
        """
        row = self._over[wave]
        writers = self._writer.take(cells)
        over = row.take(writers)
        if over.max() >= epoch:
            late = (over >= epoch) & ~same()
            if late.any():
                self._race("writes", writers[late][0], instruction, wave)
        if self._waves > 1:
            readers = self._reader[:, cells]
            over = row.take(readers)
            if over.max() >= epoch:
                self._race("writes", readers[over >= epoch][0], instruction, wave)
        self._writer[cells] = number

    def _race(self, what: str, number: int, instruction: Instruction, wave: int) -> None:
        other, issued, into_local = self._accesses[number]
        assert issued is not None
        if other == wave:
            raise LocalMemoryRace(
                f"a wave {what} LDS bytes before it has waited for its load into them at line {issued.line} "
                f"({issued.text})",
                instruction,
            )
        counter = "vmcnt" if into_local else "lgkmcnt"
        over = self._over[wave, number]
        reason = (
            f"which wave {other} hasn't waited for ({counter})"
            if over == NEVER
            else "with no barrier between its wait and this access"
        )
        raise LocalMemoryRace(
            f"race: wave {wave} {what} LDS bytes that wave {other} accesses at line {issued.line} "
            f"({issued.text}), {reason}",
            instruction,
        )
