"""How many tiles of keys a mask leaves of a tile of rows, where that is known before a call."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

from aecompiler.algebra.arithmetic import Numbers
from aecompiler.algebra.bands import HEAD, Rows
from aecompiler.bindings import ir
from aecompiler.passes.mask_analysis import MaskAnalysis, analyze
from aecompiler.passes.mask_reading import KV_LEN, Q_LEN

_SAMPLES = 16
"""Tiles of rows whose tiles of keys are counted: they stand for the others."""

_MOST_TESTED = 1 << 14
"""Keys up to which tiles are tested one by one."""


@dataclasses.dataclass(frozen=True)
class Visited:
    """The tiles of keys that a mask leaves of a tile of rows: those without masked elements, and others."""

    full: int
    partial: int

    @property
    def all(self) -> int:
        """Both."""
        return self.full + self.partial


Visits = Callable[[int, int], list[Visited]]
"""Of tiles of so many rows and keys: what is left of some tiles of rows, the first rows first."""


@dataclasses.dataclass(frozen=True)
class MaskTiles:
    """The tiles that a mask leaves of so many rows and keys.

    `most_tests`: so many tiles of keys are tested at most, where tiles have to be tested one by one, those of
    all tiles of rows together, but two of each; they stand for the others. 0: all are tested.
    """

    analysis: MaskAnalysis
    q_len: int
    kv_len: int
    most_tests: int = 0

    @classmethod
    def of(cls, form: ir.Operation, length: int, most_tests: int = 0) -> MaskTiles:
        """Those of an attention op; sizes that are not known are taken for `length`."""
        q_len, kv_len = (
            length if shaped.is_dynamic_dim(2) else shaped.shape[2]
            for shaped in (ir.RankedTensorType(value.type) for value in list(form.operands)[:2])
        )
        return cls(analyze(form), q_len, kv_len, most_tests)

    @functools.cached_property
    def is_known(self) -> bool:
        """Whether that can be told before a call, without testing too many tiles."""
        if self.analysis.reads_tensors or (self.analysis.needs_test and self.kv_len > _MOST_TESTED):
            return False
        return all(name in self._symbols for name in self.analysis.reading.symbols)

    @property
    def _symbols(self) -> dict[str, int]:
        return {"b": 0, HEAD: 0, Q_LEN: self.q_len, KV_LEN: self.kv_len}

    def visits(self, block_q: int, block_kv: int) -> list[Visited]:
        """What is left of some tiles of rows; everything, where the mask is not known before a call."""
        q_tiles = -(-self.q_len // block_q)
        if not self.is_known:
            return [Visited(-(-self.kv_len // block_kv), 0)] * min(q_tiles, _SAMPLES)
        return self._visits_of(_samples(q_tiles, _SAMPLES), block_q, block_kv)

    def last_may_be_longest(self, block_q: int, block_kv: int) -> bool:
        """Whether more keys may be left of the last tile of rows than of the middle one."""
        last = -(-self.q_len // block_q) - 1
        if not self.is_known or last < 1:
            return True
        middle, end = self._visits_of([last // 2, last], block_q, block_kv)
        return middle.all < end.all

    def _visits_of(self, numbers: Sequence[int], block_q: int, block_kv: int) -> list[Visited]:
        """What is left of the tiles of rows with these numbers."""
        rows = [
            Rows(Numbers(), self._symbols, first, min(first + block_q, self.q_len) - 1, self.kv_len)
            for first in (number * block_q for number in numbers)
        ]
        ranges = [self.analysis.classes.ranges(row, block_kv) for row in rows]
        if self.analysis.needs_test:
            return [
                self._tested(row, [*each.full, *each.partial], block_kv, len(rows))
                for row, each in zip(rows, ranges, strict=True)
            ]
        return [
            Visited(*(sum(end - begin for begin, end in kind) for kind in (each.full, each.partial)))
            for each in ranges
        ]

    def _tested(self, row: Rows, ranges: Sequence[tuple[int, int]], block_kv: int, count: int) -> Visited:
        """What tests leave of the tiles of keys in some ranges; so many tiles of rows are tested in all."""
        tiles = [tile for begin, end in ranges for tile in range(begin, end)]
        most = max(2, self.most_tests // count // 2 * 2) if self.most_tests else len(tiles)
        tested = [tiles[n] for n in _samples(len(tiles), most)]
        found = [self.analysis.classes.test(row, tile, block_kv) for tile in tested]
        full = sum(is_full for _, is_full in found)
        partial = sum(is_nonempty and not is_full for is_nonempty, is_full in found)
        times = len(tiles) / max(len(tested), 1)
        return Visited(round(full * times), round(partial * times))


def _samples(count: int, most: int) -> list[int]:
    """At most so many of a count, an even number, from both ends alike: their mean is that of all."""
    number = min(count, most)
    front = [(2 * n + 1) * count // (2 * number) for n in range((number + 1) // 2)]
    return sorted({*front, *(count - 1 - each for each in front)})
