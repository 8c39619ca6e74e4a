"""Keys cut into parts that stream on their own, and the merge of their partial results: for few queries."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect.regions import Level
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_rows import Rows
from aecompiler.passes.tile_step import Stream

if TYPE_CHECKING:
    from aecompiler.passes.tile_program import TileProgram

_MERGED_ROWS = 16
"""The rows of a tile whose partial results are merged: there are few, and more tiles run at a time."""

_MERGED_PARTS = 4
"""The parts that are read before the first of them is merged, so that reads do not wait for one another."""

_MERGED_FEATURES = 512
"""The most features of v that these have together, which are held at a time."""

_MORE_TURNS = 4
"""How often programs take turns on a chip where one for each of its places leaves too many of them empty."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the keys of a tile of rows: the tiles that its mask leaves are shared out evenly."""

    number: ir.Value
    parts: ir.Value

    def of(self, ranges: list[tuple[ir.Value, ir.Value]]) -> tuple[ir.Value, ir.Value]:
        """The tiles of the part, a half-open range, of those in `ranges`."""
        (begin, end), *others = ranges
        for lower, upper in others:
            begin, end = arith.minsi(begin, lower), arith.maxsi(end, upper)
        tiles = arith.maxsi(arith.subi(end, begin), rw.index(0))
        share = arith.ceildivui(tiles, self.parts)
        begin = arith.addi(begin, arith.muli(self.number, share))
        return begin, arith.addi(begin, share)


def build_split(program: TileProgram, outs: list[ir.Value]) -> list[ir.Value]:
    """The results, written to `outs`, of partial results for each part and a second grid that merges them."""
    parts = _count_parts(program)
    q = ir.RankedTensorType(program.q.type)
    row_type = ir.RankedTensorType.get(list(q.shape[:3]), program.acc)
    acc_type = ir.RankedTensorType.get([*q.shape[:3], program.v_features], program.acc)
    types = [row_type] * program.n_state + [acc_type] * program.n_accumulators
    states = [program.empty(shaped, [parts]) for shaped in types]
    number_of_parts = rw.index(parts) if isinstance(parts, int) else parts

    def partial(rows: Rows, indices: list[ir.Value], outs: list[ir.Value]) -> list:
        (part,) = indices
        stream = program.stream(rows, Part(part, number_of_parts))
        of_pieces = [(out, first) for out in outs[program.n_state :] for first, _ in program.value_pieces]
        return [
            *(rows.place(*each, [part]) for each in zip(stream.state, outs[: program.n_state], strict=True)),
            *(
                rows.place(program.in_order(accumulator), out, [part], first_feature)
                for accumulator, (out, first_feature) in zip(stream.accumulators, of_pieces, strict=True)
            ),
        ]

    partials = program.grid([number_of_parts], states, partial)
    return _build_merge(program.for_merging(_MERGED_ROWS), partials, number_of_parts, outs)


def _count_parts(program: TileProgram) -> int | ir.Value:
    """The number of parts: as given, or as many as fill a chip, and no more than there are tiles of keys.

    They fill it where each of its places has a program, or, if too many have none, a few.
    """
    options = program.options
    if not options.split_programs:
        return options.split_kv
    one, places = rw.index(1), options.split_programs
    tiles = arith.muli(arith.muli(program.batch, program.groups), program.n_tiles)
    tiles = arith.maxui(tiles, one)
    few, more = (arith.maxui(arith.divui(rw.index(turns * places), tiles), one) for turns in (1, _MORE_TURNS))
    are_full = arith.cmpi(
        arith.CmpIPredicate.uge,
        arith.muli(arith.muli(tiles, few), rw.index(8)),
        rw.index(7 * places),
    )
    are_more = arith.cmpi(arith.CmpIPredicate.uge, tiles, rw.index(_MORE_TURNS * places))
    parts = arith.select(arith.ori(are_full, are_more), few, more)
    most = arith.ceildivui(program.kv_length, rw.index(options.block_kv))
    return arith.maxui(arith.minui(parts, most), one)


def _build_merge(
    program: TileProgram, partials: list[ir.Value], parts: ir.Value, outs: list[ir.Value]
) -> list[ir.Value]:
    """The grid that merges the partial results of each tile of rows."""
    together = max(1, min(_MERGED_PARTS, _MERGED_FEATURES // max(program.v_features, 1)))

    def read(rows: Rows, part: ir.Value, start: Stream) -> Stream:
        """The partial results of a part; those of a part that does not exist change nothing."""
        exists = arith.cmpi(arith.CmpIPredicate.ult, part, parts)
        place = arith.minui(part, arith.subi(parts, rw.index(1)))
        loaded = [rows.load(value, [place]) for value in partials[: program.n_state]]
        loaded += [
            program.in_order(rows.load(value, [place], program.v_features))
            for value in partials[program.n_state :]
        ]
        return start.like(
            [_choose(exists, value, neutral) for value, neutral in zip(loaded, start.values, strict=True)]
        )

    def merge(rows: Rows, _indices: list[ir.Value], outs: list[ir.Value]) -> list:
        start = program.start()

        def add(first: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            places = [arith.addi(first, rw.index(n)) for n in range(together)]
            read_parts = [read(rows, place, start) for place in places]
            stream = start.like(carried)
            for other in read_parts:
                stream = _merged(program, rows, stream, other)
            return stream.values

        merged = rw.for_loop(rw.index(0), parts, rw.index(together), start.values, add)
        return program.finish(rows, start.like(merged), outs)

    return program.grid([], outs, merge)


def _choose(condition: ir.Value, value: ir.Value, other: ir.Value) -> ir.Value:
    """One of two tensors."""
    shaped = ir.RankedTensorType(value.type)
    indexing = tuple(range(shaped.rank))

    def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
        return [arith.select(condition, *inputs)]

    empty = tensor.empty(shaped.shape, shaped.element_type)
    return rw.generic([(value, indexing), (other, indexing)], [(empty, indexing)], "p" * shaped.rank, body)[0]


def _merged(program: TileProgram, rows: Rows, a: Stream, b: Stream) -> Stream:
    """Two partial results as one, by the region `merge`."""
    n_state = program.n_state
    region = program.region("merge", rows, [Level.ROW] * (2 * n_state))
    region.of_row.update(zip(region.region.arguments[: 2 * n_state], [*a.state, *b.state], strict=True))
    state, (first, second) = program.handed_over(region, 2)
    accumulators = []
    for mine, others, ra, rb in zip(a.accumulators, b.accumulators, first, second, strict=True):

        def combine(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            x, y, rescale_x, rescale_y = inputs
            return [arith.addf(arith.mulf(x, rescale_x), arith.mulf(y, rescale_y))]

        ins = [
            (mine, (0, 1)),
            (others, (0, 1)),
            *((factor, program.block.row) for factor in region.row_tensors([ra, rb])),
        ]
        empty = tensor.empty(ir.RankedTensorType(mine.type).shape, program.acc)
        accumulators.append(rw.generic(ins, [(empty, (0, 1))], "pp", combine)[0])
    return Stream(tuple(region.row_tensors(state)), tuple(accumulators))
