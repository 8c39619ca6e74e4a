"""Lists of the tiles of keys that a mask leaves to each tile of rows, a part of the pass `attn-tile`.

Where ranges can't tell which tiles are empty, full or partial, a program of its own tests all of them, before
the one that streams over keys. For each tile of rows it writes a list of positions of tiles of keys, as i32:
those of full tiles from its beginning on, in order, and those of partial tiles from its end on, backwards.
What lies between is 0, so that the first place holds a tile that exists, or 0, also where all are empty. A
loop over a part of the list needs no branch.

Tests ask for the extremes of tensors over a tile. What they read of the keys alone stands in tables, of the
extremes over each tile of keys, which programs before write; what they read of the rows alone is asked once
for each list.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from math import prod

from aecompiler.algebra.arithmetic import Span, evaluate, largest, smallest, span
from aecompiler.algebra.bands import KEY, ROW, Rows
from aecompiler.algebra.integers import Read, extent
from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.mask_analysis import MaskAnalysis, Range, Ranges
from aecompiler.passes.mask_arithmetic import IndexArithmetic, materialize, materialize_bool

TESTED = 64
"""The tiles of keys that are tested at a time."""

PLACES = 128
"""The places of a list that one program fills."""

ROW_SIZE = 4
"""Last dimensions are multiples of it: GPUs read faster where strides are multiples of 16 bytes."""

_FEW = 9
"""So many elements that a tile reads are compared one by one, where it is tested."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """How the rows and the keys of an attention op are cut into tiles."""

    batch: ir.Value
    heads: ir.Value
    length: ir.Value
    block_q: int
    tiles_q: ir.Value
    kv_length: ir.Value
    block_kv: int
    tiles_kv: ir.Value

    @classmethod
    def of_operands(cls, q: ir.Value, k: ir.Value, block_q: int, block_kv: int) -> Tiling:
        """The tiles of attention over q and k."""
        length, kv_length = rw.dim(q, 2), rw.dim(k, 2)
        return cls(
            batch=rw.dim(q, 0),
            heads=rw.dim(q, 1),
            length=length,
            block_q=block_q,
            tiles_q=arith.ceildivui(length, rw.index(block_q)),
            kv_length=kv_length,
            block_kv=block_kv,
            tiles_kv=arith.ceildivui(kv_length, rw.index(block_kv)),
        )

    def of(self, name: str) -> tuple[ir.Value, int]:
        """The number of positions, and of those in a tile: of rows or of keys."""
        return (self.length, self.block_q) if name == ROW else (self.kv_length, self.block_kv)


@dataclasses.dataclass(frozen=True)
class ListedRanges(Ranges):
    """The list of one tile of rows: numbers of tiles are places in it."""

    positions: ir.Value
    at: tuple[ir.Value, ...]
    most: ir.Value

    def position(self, number: ir.Value) -> ir.Value:
        """The tile of keys at a place; one of those that exist, so that its range is known."""
        found = _as_index(tensor.extract(self.positions, [*self.at, number]))
        return arith.maxsi(arith.minsi(found, self.most), rw.index(0))


@dataclasses.dataclass(frozen=True)
class TileLists:
    """The lists of all tiles of rows: `[batches, heads, tiles of rows, places]`."""

    tiling: Tiling
    varies: tuple[bool, bool]
    """Whether they depend on the batch, and on the head."""
    positions: ir.Value
    full_ends: ir.Value
    partial_begins: ir.Value
    """Where full tiles end, and where partial ones begin: several times, the first of which is read."""

    def of_rows(self, batch: ir.Value, head: ir.Value, first: ir.Value) -> Ranges:
        """The list of the tile of rows that begins with row `first`."""
        tiling = self.tiling
        place = _place((batch, head), self.varies)
        at = (*place, arith.divui(first, rw.index(tiling.block_q)))
        end, begin = (
            _as_index(tensor.extract(each, [*at, rw.index(0)]))
            for each in (self.full_ends, self.partial_begins)
        )
        most = arith.subi(tiling.tiles_kv, rw.index(1))
        full, partial = (rw.index(0), end), (begin, tiling.tiles_kv)
        return ListedRanges((full,), (partial,), self.positions, at, most)


def build_lists(analysis: MaskAnalysis, tiling: Tiling) -> TileLists | None:
    """Programs that write lists of tiles, at the insertion point.

    None where tiles need no test, where a test takes a loop, and where rows of a tile are of several heads.
    """
    classes = analysis.classes
    if not analysis.needs_test or analysis.packed or classes.takes_loop:
        return None
    lister = _Lister(analysis, tiling)
    if not lister.knows_all_reads:
        return None
    return lister.build()


class _Lister:
    def __init__(self, analysis: MaskAnalysis, tiling: Tiling):
        self.analysis, self.tiling = analysis, tiling
        self.varies = (analysis.depends_on(0), analysis.depends_on(1))
        blocks = {ROW: tiling.block_q, KEY: tiling.block_kv}
        reads = analysis.classes.reads
        self.counts = {read: [extent(index, blocks) for index in read.indices] for read in reads}

    @property
    def knows_all_reads(self) -> bool:
        """Whether all elements that a test asks for are few, or of the rows or the keys alone."""
        return all(self._is_few(read) or self._of_one(read) for read in self.counts)

    def _is_few(self, read: Read) -> bool:
        counts = self.counts[read]
        return None not in counts and prod(1 + (count or 0) for count in counts) <= _FEW

    def _of_one(self, read: Read) -> str:
        """Which of the positions the element depends on, if it is one of them alone."""
        names = read.names & {ROW, KEY}
        return next(iter(names)) if len(names) == 1 else ""

    def build(self) -> TileLists:
        tables = {
            read: self._table(read)
            for read in self.counts
            if self._of_one(read) == KEY and not self._is_few(read)
        }
        tiling = self.tiling
        chunks = arith.maxui(arith.ceildivui(tiling.tiles_kv, rw.index(PLACES)), rw.index(1))
        bounds = [*_bounds(tiling, self.varies), tiling.tiles_q, chunks]
        i32 = ir.IntegerType.get_signless(32)
        lists = tensor.empty([*bounds[:3], arith.muli(chunks, rw.index(PLACES))], i32)
        ends = tensor.empty([*bounds[:3], arith.muli(chunks, rw.index(ROW_SIZE))], i32)

        def body(at: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
            batch, head, tile, chunk = at
            first_place = arith.muli(chunk, rw.index(PLACES))
            first = arith.muli(tile, rw.index(tiling.block_q))
            last = _last(first, tiling.block_q, tiling.length)
            (hull,) = self.analysis.build_ranges(
                batch, head, head, first, last, tiling.block_kv, tiling.kv_length
            ).partial
            rows = self.analysis.build_rows(batch, (head, head), first, last, tiling.kv_length)
            test = self._test(batch, head, tile, rows, tables)
            places, full, partial = _Compaction(tiling.tiles_kv, hull, first_place, test).build()
            begin = arith.subi(arith.index_cast(i32, tiling.tiles_kv), partial)
            values = [places, *(rw.fill(value, tensor.empty([ROW_SIZE], i32)) for value in (full, begin))]
            first_end = arith.muli(chunk, rw.index(ROW_SIZE))
            offsets = [[batch, head, tile, place] for place in (first_place, first_end, first_end)]
            sizes = [[1, 1, 1, size] for size in (PLACES, ROW_SIZE, ROW_SIZE)]
            return list(zip(values, outs, offsets, sizes, strict=True))

        return TileLists(tiling, self.varies, *rw.forall(bounds, [lists, ends, ends], body))

    # ---- the test of a tile ----------------------------------------------------------------------

    def _test(
        self, batch: ir.Value, head: ir.Value, tile: ir.Value, rows: Rows, tables: Mapping[Read, _Table]
    ) -> Callable[[ir.Value], tuple[ir.Value, ir.Value]]:
        """Whether a tile of keys is not empty for a tile of rows, and whether it is full."""
        tiling = self.tiling
        on = IndexArithmetic(self.analysis.build_names(batch, head)[1])
        of_rows: dict[str, Span] = {}
        for read in self.counts:
            if self._of_one(read) == ROW and not self._is_few(read):
                low, high = self._extremes(read, batch, head, tile)
                of_rows[str(read)] = _as_index(low), _as_index(high)

        def test(keys: ir.Value) -> tuple[ir.Value, ir.Value]:
            first_key = arith.muli(keys, rw.index(tiling.block_kv))
            last_key = _last(first_key, tiling.block_kv, tiling.kv_length)
            spans = rows.spans(first_key, last_key)
            reads = dict(of_rows)
            for read in self.counts:
                if self._is_few(read):
                    reads[str(read)] = self._extremes_of_few(on, read, spans)
                elif read in tables:
                    reads[str(read)] = tables[read].at(batch, head, keys)
            tested = dataclasses.replace(rows, reads=reads)
            nonempty, full = self.analysis.classes.test(tested, keys, tiling.block_kv)
            return materialize_bool(nonempty), materialize_bool(full)

        return test

    def _extremes_of_few(self, on: IndexArithmetic, read: Read, spans: Mapping[str, Span]) -> Span:
        """The extremes of an element whose indices take few values: all of them, some perhaps twice."""
        places = []
        for index, count in zip(read.indices, self.counts[read], strict=True):
            first, last = span(index, on, spans)
            steps = range((count or 0) + 1)
            places.append([on.minimum(on.add(first, step), last) if step else first for step in steps])
        found = [on.element(read.tensor, list(at)) for at in itertools.product(*places)]
        return smallest(on, *found), largest(on, *found)

    # ---- tables ----------------------------------------------------------------------------------

    def _table(self, read: Read) -> _Table:
        """A program that writes the extremes of an element over each tile of keys."""
        varies = self.analysis.names_depend_on(read.names, 0), self.analysis.names_depend_on(read.names, 1)
        bounds = [*_bounds(self.tiling, varies), self.tiling.tiles_kv]
        element = self._element_of(read)

        def body(at: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
            ends = [rw.fill(end, tensor.empty([1], element)) for end in self._extremes(read, *at)]
            return [(end, out, at, [1] * 3) for end, out in zip(ends, outs, strict=True)]

        rows = arith.ceildivui(self.tiling.tiles_kv, rw.index(ROW_SIZE))
        empty = tensor.empty([*bounds[:2], arith.muli(rows, rw.index(ROW_SIZE))], element)
        return _Table(varies, *rw.forall(bounds, [empty, empty], body))

    def _element_of(self, read: Read) -> ir.Type:
        """The type that holds what is read."""
        element = self.analysis.reading.tensors[read.tensor].type.element_type
        is_wide = isinstance(element, ir.IndexType) or element.width > 32
        return ir.IntegerType.get_signless(64 if is_wide else 32)

    def _extremes(self, read: Read, batch: ir.Value, head: ir.Value, tile: ir.Value) -> list[ir.Value]:
        """The least and the largest of an element over a tile of rows, or of keys."""
        name = self._of_one(read)
        count, block = self.tiling.of(name)
        symbols, tensors = self.analysis.build_names(batch, head)
        on, element = IndexArithmetic(tensors), self._element_of(read)
        first = arith.muli(tile, rw.index(block))
        last = _last(first, block, count)

        def element_at(_inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            position = arith.minsi(arith.addi(first, rw.loop_index(0)), last)
            names = {**symbols, name: position}
            places = [evaluate(index, on, names) for index in read.indices]
            return [arith.index_cast(element, materialize(on.element(read.tensor, places)))]

        def compare(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            return [arith.minsi(outputs[0], inputs[0]), arith.maxsi(outputs[1], inputs[0])]

        (elements,) = rw.generic([], [(tensor.empty([block], element), (0,))], "p", element_at)
        most = (1 << (element.width - 1)) - 1
        starts: list[rw.Indexed] = [(rw.filled([], element, value), ()) for value in (most, -most - 1)]
        found = rw.generic([(elements, (0,))], starts, "r", compare)
        return [tensor.extract(value, []) for value in found]


@dataclasses.dataclass(frozen=True)
class _Table:
    """The least and the largest of some elements over each tile: `[batches, heads, tiles]`."""

    varies: tuple[bool, bool]
    low: ir.Value
    high: ir.Value

    def at(self, batch: ir.Value, head: ir.Value, tile: ir.Value) -> Span:
        """The extremes over a tile."""
        at = [*_place((batch, head), self.varies), tile]
        return _as_index(tensor.extract(self.low, at)), _as_index(tensor.extract(self.high, at))


class _Compaction:
    """Tests the tiles of keys in a range for one tile of rows, and fills a part of its list, in chunks."""

    def __init__(
        self,
        tiles: ir.Value,
        hull: Range,
        first_place: ir.Value,
        test: Callable[[ir.Value], tuple[ir.Value, ir.Value]],
    ):
        self.tiles, self.hull, self.first_place, self.test = tiles, hull, first_place, test
        self.i32 = ir.IntegerType.get_signless(32)

    def build(self) -> list[ir.Value]:
        """The places of the list from `first_place` on, and the numbers of full and of partial tiles."""
        zero = rw.constant(self.i32, 0)
        starts = [rw.filled([PLACES], self.i32, 0), zero, zero]
        return rw.for_loop(*self.hull, rw.index(TESTED), starts, self._add)

    def _add(self, first: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        """Add the chunk of tiles that begins with tile `first`."""
        places, *counts = carried
        kinds = self._kinds(first)
        before = self._numbers_before(kinds)
        wanted = self._wanted(kinds, before, counts)
        return [
            self._put(first, wanted, places),
            *(arith.addi(count, self._sum(kind)) for count, kind in zip(counts, kinds, strict=True)),
        ]

    def _empty(self) -> rw.Indexed:
        return tensor.empty([TESTED], self.i32), (0,)

    def _kinds(self, first: ir.Value) -> list[ir.Value]:
        """1 for each tile that is full, and for each that is partial, and else 0."""

        def kind(_inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            tile = arith.addi(first, rw.loop_index(0))
            exists = arith.cmpi(arith.CmpIPredicate.slt, tile, self.hull[1])
            nonempty, is_full = self.test(arith.minsi(tile, arith.subi(self.tiles, rw.index(1))))
            is_partial = arith.andi(nonempty, arith.xori(is_full, materialize_bool(True)))
            return [arith.extui(self.i32, arith.andi(exists, each)) for each in (is_full, is_partial)]

        return rw.generic([], [self._empty(), self._empty()], "p", kind)

    def _numbers_before(self, kinds: Sequence[ir.Value]) -> list[ir.Value]:
        """How many tiles of each kind come before a tile in the chunk."""

        def count(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            comes_before = arith.cmpi(arith.CmpIPredicate.slt, rw.loop_index(1), rw.loop_index(0))
            zero = rw.constant(self.i32, 0)
            return [
                arith.addi(total, arith.select(comes_before, kind, zero))
                for kind, total in zip(inputs, outputs, strict=True)
            ]

        outs: list[rw.Indexed] = [(rw.filled([TESTED], self.i32, 0), (0,)) for _ in kinds]
        return rw.generic([(kind, (1,)) for kind in kinds], outs, "pr", count)

    def _wanted(
        self, kinds: Sequence[ir.Value], before: Sequence[ir.Value], counts: Sequence[ir.Value]
    ) -> ir.Value:
        """The place in the list of each tile: full ones from the first on, partial ones from the last on."""
        last = arith.subi(arith.index_cast(self.i32, self.tiles), rw.constant(self.i32, 1))

        def place(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            full, partial, full_before, partial_before = inputs
            zero, none = (rw.constant(self.i32, number) for number in (0, -1))
            is_full, is_partial = (arith.cmpi(arith.CmpIPredicate.ne, kind, zero) for kind in (full, partial))
            from_begin = arith.addi(counts[0], full_before)
            from_end = arith.subi(last, arith.addi(counts[1], partial_before))
            return [arith.select(is_full, from_begin, arith.select(is_partial, from_end, none))]

        ins = [(each, (0,)) for each in (*kinds, *before)]
        return rw.generic(ins, [self._empty()], "p", place)[0]

    def _put(self, first: ir.Value, wanted: ir.Value, places: ir.Value) -> ir.Value:
        """Put the tiles of the chunk where they are wanted: at most one is at each place."""
        first_tile, first_place = (arith.index_cast(self.i32, each) for each in (first, self.first_place))

        def put(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            here, tile = (arith.index_cast(self.i32, rw.loop_index(loop)) for loop in (0, 1))
            is_here = arith.cmpi(arith.CmpIPredicate.eq, inputs[0], arith.addi(first_place, here))
            zero = rw.constant(self.i32, 0)
            return [arith.addi(outputs[0], arith.select(is_here, arith.addi(first_tile, tile), zero))]

        return rw.generic([(wanted, (1,))], [(places, (0,))], "pr", put)[0]

    def _sum(self, kind: ir.Value) -> ir.Value:
        def add(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            return [arith.addi(outputs[0], inputs[0])]

        (total,) = rw.generic([(kind, (0,))], [(rw.filled([], self.i32, 0), ())], "r", add)
        return tensor.extract(total, [])


def _bounds(tiling: Tiling, varies: tuple[bool, bool]) -> list[ir.Value]:
    """The numbers of batches and heads that something depends on, 1 where it does not."""
    one = rw.index(1)
    return [each if does else one for each, does in zip((tiling.batch, tiling.heads), varies, strict=True)]


def _place(at: tuple[ir.Value, ir.Value], varies: tuple[bool, bool]) -> list[ir.Value]:
    zero = rw.index(0)
    return [each if does else zero for each, does in zip(at, varies, strict=True)]


def _last(first: ir.Value, block: int, count: ir.Value) -> ir.Value:
    """The last position of a tile."""
    end = arith.minui(arith.addi(first, rw.index(block)), count)
    return arith.subi(end, rw.index(1))


def _as_index(value: ir.Value) -> ir.Value:
    return arith.index_cast(ir.IndexType.get(), value)
