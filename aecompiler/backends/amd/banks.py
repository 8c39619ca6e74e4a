"""Which lanes of a wave access local memory together, and where they meet.

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

import functools
from collections.abc import Sequence

BANK_BYTES = 4


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


@functools.cache
def phases(banks: int, width: int, writes: bool) -> list[list[int]]:
    """The lanes of each phase of an access of `width` bytes per lane."""
    if width == 16 and not writes:
        half = _READS_16_BYTES[banks]
        return [[lane + base for lane in group] for base in (0, 32) for group in half]
    lanes = min(64, banks * 4 // max(width, 4))
    size = 1 << lanes.bit_length() - 1
    return [list(range(start, start + size)) for start in range(0, 64, size)]


def conflict_cycles(addresses: Sequence[int], banks: int, width: int, writes: bool) -> int:
    """Conflict cycles of an access of `width` bytes at the `addresses` of 64 lanes."""
    total = 0
    for group in phases(banks, width, writes):
        words = {
            addresses[lane] // BANK_BYTES + n for lane in group for n in range(max(1, width // BANK_BYTES))
        }
        busy = [0] * banks
        for word in words:
            busy[word % banks] += 1
        total += max(busy) - 1
    return total
