"""Bank conflicts of accesses to local memory, by the model of `backends/amd/banks.py`.

Accesses of two places (`ds_read2`) count as one each.
"""

from __future__ import annotations

import numpy as np

from aecompiler.backends.amd.banks import phases


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
        known = phases(self._banks, width, writes)
        groups = self._phases.setdefault((width, writes), [np.array(group) for group in known])
        total = 0
        for group in groups:
            chosen = addresses[group[active[group]]]
            words = np.unique((chosen[:, None] >> 2) + np.arange(max(1, width // 4)))
            if words.size:
                total += int(np.bincount(words % self._banks).max()) - 1
        return total
