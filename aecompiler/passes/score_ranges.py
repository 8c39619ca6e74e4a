"""Ranges of tiles in which the score needs less: comparisons of positions in it are decided there.

A score that reads a table at a bounded index, as `bias[h, min(max(j - i, -n), n) + n]`, reads one element of
it in all tiles that are far enough from the diagonal. A *case* is a set of comparisons that are decided, such
that fewer reads are made for each element. The tiles that lie within a case are a range in closed form, by
the same analysis as the full tiles of a mask: the case is the mask. Only cases that reach to the first or to
the last key count, since others have room for a few tiles at most.

```python
found = ScoreRanges(op, levels, analysis, options)        # op: a streaming form with total regions
for part in found.cut(full, ...):  ...                    # a score region, and where it is right
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from aecompiler.algebra import formulas as fm
from aecompiler.algebra.bands import HEAD, KEY, ROW, Rows
from aecompiler.algebra.integers import upper_bound
from aecompiler.algebra.ranges import Range
from aecompiler.algebra.solving import band_of
from aecompiler.algebra.tile_classes import TileClasses, tile_classes
from aecompiler.bindings import ir
from aecompiler.dialect.regions import Level
from aecompiler.passes import rewriting as rw
from aecompiler.passes.decided_regions import decide, decide_for_some, governing, reads_of_elements
from aecompiler.passes.mask_analysis import MaskAnalysis, build_names
from aecompiler.passes.mask_arithmetic import IndexArithmetic, materialize
from aecompiler.passes.mask_reading import KV_LEN, Q_LEN, read_comparisons

if TYPE_CHECKING:
    from aecompiler.passes.tile_program import TileOptions

Literals = frozenset[fm.Literal]
Decisions = Mapping[int, bool]
"""By the number of a comparison's operation in the region."""

_ALTERNATIVES = 8
"""Conditions of more alternatives are not followed."""
_MOST_VISITED = 64
"""As many sets of decisions are looked at."""
_POSITIONS = frozenset({"b", HEAD, ROW, KEY, Q_LEN, KV_LEN})
"""Names that stand for the same in all regions."""


GENERAL = "attn.general"
"""The attribute of a loop over tiles of keys whose body is right for each tile of the loops beside it.

There is one such tile at least.
"""


@dataclasses.dataclass(frozen=True)
class Part:
    """A score region, None for that of the op, and the ranges of tiles that it is right for."""

    block: ir.Block | None
    ranges: list[tuple[ir.Value, ir.Value]]
    attribute: str = ""
    """That of the loop over them."""


@dataclasses.dataclass(frozen=True)
class _Case:
    """Decisions, and the tiles in which they hold."""

    decisions: Decisions
    literals: Literals
    classes: TileClasses
    saved: int
    """The number of reads that are no longer made for each element."""
    ends_at_last: bool
    """Whether its tiles are the last ones, not the first ones."""


def decide_everywhere(op: ir.Operation) -> None:
    """Decide the comparisons in the score of a streaming form that come out the same for all positions."""
    reading, comparisons = read_comparisons(op, packed=True)
    if reading.guards or reading.limit is not None:
        return
    decisions = {}
    for value, formula in comparisons.items():
        for holds in (True, False):
            opposite = fm.negation(formula) if holds else formula
            if fm.alternatives(opposite, _ALTERNATIVES) == []:
                decisions[value] = holds
    decide(op.regions[0].blocks[0], decisions)


class ScoreRanges:
    """The cases of a score, and the ranges of tiles that they cut from those without a mask."""

    def __init__(
        self,
        op: ir.Operation,
        arguments: Sequence[Level],
        mask: MaskAnalysis,
        options: TileOptions,
    ):
        """`arguments` are the levels of the region's arguments."""
        self._op, self._arguments = op.operation, list(arguments)
        self._block = self._op.regions[0].blocks[0]
        self._packed = mask.packed
        self._block_q, self._block_kv = options.block_q, options.block_kv
        # between that of the first pair of a tile and that of the last
        self._diagonals = self._block_q + self._block_kv - 2
        self._covers = mask.reading.formula == fm.TRUE and not options.is_split
        self._clones: list[ir.Operation] = []
        self._cases: list[tuple[_Case, ir.Block]] = []
        self._reads = len(reads_of_elements(self._block, self._arguments))
        if options.score_ranges < 2 or mask.needs_test or not self._reads:
            return
        self._reading, comparisons = read_comparisons(self._op, packed=self._packed)
        numbers = {value: n for n, value in enumerate(_results(self._block))}
        self._formulas = {numbers[value]: formula for value, formula in comparisons.items()}
        self._mask = _of_positions(mask.reading.formula)
        first, last = None, None
        for case in self._search():
            if case.ends_at_last:
                last = _better(last, case)
            else:
                first = _better(first, case)
        best = sorted((case for case in (first, last) if case), key=lambda case: -case.saved)
        best = best[: (options.score_ranges - 1) // max(mask.full_count, 1)]  # each of them cuts all ranges
        self._cases = [(case, self._decided(case.decisions)) for case in best]

    # ---- the search ------------------------------------------------------------------------------

    def _search(self) -> Iterator[_Case]:
        """Decide comparisons that reads hang on, one after the other, both ways."""
        pending: list[tuple[Decisions, Literals]] = [({}, frozenset())]
        visited = 0
        while pending and visited < _MOST_VISITED:
            decisions, literals = pending.pop()
            visited += 1
            undecided, saved = self._left(decisions)
            if saved and (case := self._case(decisions, literals, saved)):
                yield case
            for number in undecided[:1]:
                formula = self._formulas[number]
                for holds in (True, False):
                    condition = formula if holds else fm.negation(formula)
                    pending += [
                        ({**decisions, number: holds}, more) for more in self._met(literals, condition)
                    ]

    def _left(self, decisions: Decisions) -> tuple[list[int], int]:
        """The comparisons that reads hang on after some decisions, and how many reads are saved."""
        clone = self._op.clone()
        block = clone.regions[0].blocks[0]
        results = _results(block)
        decide(block, {results[n]: holds for n, holds in decisions.items()})
        reads = reads_of_elements(block, self._arguments)
        hang_on = governing(block, reads)
        undecided = [n for n in self._formulas if n not in decisions and results[n] in hang_on]
        clone.erase()
        return undecided, self._reads - len(reads)

    def _met(self, literals: Literals, condition: fm.Formula) -> Iterator[Literals]:
        """The alternatives of a condition beside literals that reach to an end of the keys, and are met."""
        for found in fm.alternatives(fm.conjunction(*literals, condition), _ALTERNATIVES) or []:
            more = fm.without_implied(found)
            band = band_of(more, packed=self._packed)
            if band is None or not (band.starts_at_zero or band.ends_at_last):
                continue
            attended = fm.alternatives(fm.conjunction(*more, self._mask), _ALTERNATIVES)
            if attended is None or any(map(self._may_have_tiles, attended)):
                yield more

    def _may_have_tiles(self, literals: Literals) -> bool:
        """Whether a tile may lie within literals, as far as its diagonals tell."""
        band = band_of(literals, packed=self._packed)
        if band is None:
            return False
        widths = [upper_bound(high - low) for low in band.lower for high in band.upper]
        return all(width >= self._diagonals for width in widths)

    def _case(self, decisions: Decisions, literals: Literals, saved: int) -> _Case | None:
        band = band_of(literals, packed=self._packed)
        if band is None or band.starts_at_zero == band.ends_at_last:
            return None  # it says nothing of the keys
        formula = fm.conjunction(*literals)
        classes = tile_classes(formula, self._reading.guards, self._reading.limit, packed=self._packed)
        if classes.needs_test or classes.full_count != 1:
            return None
        return _Case(decisions, literals, classes, saved, band.ends_at_last)

    def _decided(self, decisions: Decisions) -> ir.Block:
        """The region with decisions, in a clone of the op."""
        clone = self._op.clone()
        self._clones.append(clone)
        block = clone.regions[0].blocks[0]
        results = _results(block)
        decide_for_some(block, self._arguments, {results[n]: holds for n, holds in decisions.items()})
        return block

    # ---- the tiles -------------------------------------------------------------------------------

    def cut(
        self,
        ranges: Sequence[tuple[ir.Value, ir.Value]],
        heads: tuple[ir.Value, ir.Value, ir.Value],
        first_row: ir.Value,
        kv_len: ir.Value,
    ) -> Iterator[Part]:
        """Parts of ranges of tiles, those with the costliest score first; can be called once.

        `heads` are a batch, and the first and the last head of the tile of rows. It counts with its padding:
        what is computed for that must be defined as well. Regions last until the iteration ends.
        """
        if not self._cases:
            yield Part(None, list(ranges))
            return
        batch, head, last_head = heads
        symbols, tensors = build_names(self._block, self._reading, batch, head)
        on = IndexArithmetic(tensors)
        last_row = on.add(first_row, self._block_q - 1)
        where = Rows(on, symbols, first_row, last_row, kv_len, last_head if self._packed else None)
        found: list[tuple[ir.Block | None, list[Range]]] = []
        rest: list[Range] = list(ranges)
        for case, block in self._cases:
            ((begin, end),) = case.classes.ranges(where, self._block_kv).full
            has_tiles = on.at_most(on.add(begin, 1), end)
            mine, others = [], []
            for low, high in rest:
                if case.ends_at_last:
                    border = on.maximum(low, on.minimum(on.choose(has_tiles, begin, high), high))
                    mine.append((border, high))
                    others.append((low, border))
                else:
                    border = on.minimum(high, on.maximum(on.choose(has_tiles, end, low), low))
                    mine.append((low, border))
                    others.append((border, high))
            found.append((block, mine))
            rest = others
        keys = rw.constant_value(kv_len)
        has_tile = self._covers and keys is not None and keys >= self._block_kv
        for part, parts in [(None, rest), *found]:
            own = [(materialize(begin), materialize(end)) for begin, end in parts]
            yield Part(part, own, GENERAL if has_tile and part is None else "")
        for clone in self._clones:
            clone.erase()


def _results(block: ir.Block) -> list[ir.Value]:
    """The results of the operations in a region, which have one each, but for the terminator."""
    return [view.operation.results[0] for view in list(block.operations)[:-1]]


def _better(best: _Case | None, case: _Case) -> _Case:
    """Of two cases the one that saves more reads, or holds in more tiles since less is decided."""
    if best is None or (case.saved, -len(case.literals)) > (best.saved, -len(best.literals)):
        return case
    return best


def _of_positions(mask: fm.Formula) -> fm.Formula:
    """A formula that follows from a mask, whose names stand for the same in other regions."""
    found = fm.alternatives(mask, _ALTERNATIVES)
    if found is None:
        return fm.TRUE
    known = [[literal for literal in each if literal.names <= _POSITIONS] for each in found]
    return fm.disjunction(*(fm.conjunction(*each) for each in known))
