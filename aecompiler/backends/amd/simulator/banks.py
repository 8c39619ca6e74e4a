"""Bank conflicts of accesses to local memory.

The model. LDS has banks of 4 bytes: 32 on gfx90a and gfx942, 64 on gfx950. An access of a wave goes in
phases, each of some of its lanes; in one cycle each bank serves one word, which all lanes of the phase may
take. A phase takes as many cycles as its busiest bank has different words, and each cycle beyond the first is
a *conflict cycle*.

Which lanes are in one phase:
- 32 banks, 4 bytes per lane or fewer: lanes 0-31, 32-63; 8 bytes: 16 neighbours; 16 bytes, writes: 8
  neighbours; 16 bytes, reads: lanes 0-3 and 20-23, 4-7 and 16-19, 8-11 and 28-31, 12-15 and 24-27, and the
  same from 32 on.
- 64 banks, 4 bytes: all lanes; 8 bytes: 32 neighbours; 16 bytes, writes: 16 neighbours; 16 bytes, reads:
  lanes 0-3, 12-15 and 20-27, then 4-11, 16-19 and 28-31, and the same from 32 on.

Sources: groups of `ds_read_b128` and `ds_write_b128` with 32 banks from "Understanding AMD GPU LDS and Bank
Conflicts" in the documentation of Composable Kernel; the ones with 64 banks, and `ds_read_b64` there, from
measurements published for an MI350X with the HipKittens paper (analysis of phases). Groups of 8 bytes with 32
banks and of writes with 64 banks aren't documented: neighbours are assumed. Accesses of two places
(`ds_read2`) count as one each.
"""

from __future__ import annotations

import numpy as np


def _runs(*ranges: tuple[int, int]) -> list[int]:
    return [lane for start, stop in ranges for lane in range(start, stop)]


_READS_16_BYTES = {
    32: [
        _runs((0, 4), (20, 24)),
        _runs((4, 8), (16, 20)),
        _runs((8, 12), (28, 32)),
        _runs((12, 16), (24, 28)),
    ],
    64: [_runs((0, 4), (12, 16), (20, 28)), _runs((4, 12), (16, 20), (28, 32))],
}


def phases(banks: int, width: int, writes: bool) -> list[np.ndarray]:
    """The lanes of each phase of an access of `width` bytes per lane."""
    if width == 16 and not writes:
        half = _READS_16_BYTES[banks]
        return [np.array(group) + base for base in (0, 32) for group in half]
    lanes = min(64, banks * 4 // max(width, 4))
    size = 1 << lanes.bit_length() - 1
    return [np.arange(start, start + size) for start in range(0, 64, size)]


class BankModel:
    """Counts conflict cycles. Patterns repeat, so their counts are kept."""

    def __init__(self, banks: int):
        self._banks = banks
        self._phases: dict[tuple[int, bool], list[np.ndarray]] = {}
        self._known: dict[tuple[int, bool, int, bytes], int] = {}

    def conflict_cycles(
        self, addresses: np.ndarray, active: np.ndarray, mask: int, width: int, writes: bool
    ) -> int:
        """Conflict cycles of an access of `width` bytes at `addresses` [64] (int64) by the `active` lanes.

        `mask` is `active` as an integer.
        """
        if not mask:
            return 0
        # a shift by whole banks turns the banks around and changes no count
        first = addresses[(mask & -mask).bit_length() - 1]
        relative = addresses - (first & ~3)
        key = (width, writes, mask, relative.tobytes())
        count = self._known.get(key)
        if count is None:
            count = self._known[key] = self._count(relative, active, width, writes)
        return count

    def _count(self, addresses: np.ndarray, active: np.ndarray, width: int, writes: bool) -> int:
        groups = self._phases.setdefault((width, writes), phases(self._banks, width, writes))
        total = 0
        for group in groups:
            chosen = addresses[group[active[group]]]
            words = np.unique((chosen[:, None] >> 2) + np.arange(max(1, width // 4)))
            if words.size:
                total += int(np.bincount(words % self._banks).max()) - 1
        return total
