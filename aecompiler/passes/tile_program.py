"""The tile program of one streaming form, a part of the pass `attn-tile`."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect.online import REGIONS, accumulators_of, state_size
from aecompiler.dialect.regions import Level
from aecompiler.passes import rewriting as rw
from aecompiler.passes.block_regions import Block, RegionOnBlock
from aecompiler.passes.feature_pieces import pieces_of
from aecompiler.passes.mask_analysis import MaskAnalysis, analyze
from aecompiler.passes.masked_scores import masked_reductions
from aecompiler.passes.operand_places import heads_of_group
from aecompiler.passes.region_safety import make_total
from aecompiler.passes.score_ranges import ScoreRanges, decide_everywhere
from aecompiler.passes.split_keys import Part, build_split
from aecompiler.passes.tile_lists import Tiling, build_lists
from aecompiler.passes.tile_rows import Rows
from aecompiler.passes.tile_step import Products, Stream, TileStep, is_finite

MASKED = "attn.masked"
"""The attribute of a loop over tiles of keys whose body masks elements.

Its body is right for any tile, also one that the loop does not reach: one of which the mask leaves nothing,
or that is beyond the last key, changes nothing.
"""

RETRY = "attn.retry"
"""The attribute of a branch that computes again, in another way, what the operand of its first region is.

Its results are right whichever region is taken, if its condition is false for values that are not finite.
"""


class MaskedValues(enum.Enum):
    """How a tile program keeps what v holds at masked keys from o."""

    CHECK_TILES = "check-tiles"
    """Each tile of v is asked whether it is finite."""
    CHECK_RESULT = "check-result"
    """The accumulators of a tile of rows are, after all tiles of keys; if they are not, it streams again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileOptions:
    """What may be chosen for a tile program; the options of `attn-tile`."""

    block_q: int
    block_kv: int
    rows_last: bool
    pack_gqa: bool
    split_kv: int
    masked_values: MaskedValues
    packed_rows: int = 0
    split_programs: int = 0
    retry_block_kv: int = 0
    split_features: bool = False
    first_tile_first: bool = False
    tile_lists: bool = False
    score_ranges: int = 1
    one_tile: bool = False
    """Whether one tile has room for all queries: k and v are read once."""

    @property
    def is_split(self) -> bool:
        """Whether keys are cut into parts."""
        return self.split_kv > 1 or self.split_programs > 0


def tile(op: ir.OpView, options: TileOptions, decode_rows: int = 0, decode_block_kv: int = 0) -> None:
    """Replace a streaming form by its tile program; its regions become total (`make_total`).

    With `decode_rows` calls with few queries take a second program, whose tiles have that many rows.
    """
    with ir.InsertionPoint(op), op.location:
        # The analysis reads the mask as it was written, and holds on to it.
        written = op.operation.clone()
        make_total(op.operation)
        decide_everywhere(op.operation)
        if options.packed_rows:
            block_q = max(1, options.packed_rows // _sharing_heads(op))
            options = dataclasses.replace(options, block_q=block_q, pack_gqa=True)
        program = TileProgram(op, options, written)
        outs = program.outputs()
        few = _for_decoding(program, decode_rows, decode_block_kv) if decode_rows else None
        length = ir.RankedTensorType(program.q.type).shape[2]
        if few is None or (length != rw.DYNAMIC and length > few.block_q):
            results = program.build(outs)
        elif length != rw.DYNAMIC:
            results = TileProgram(op, few, written).build(outs)
        else:
            are_few = arith.cmpi(arith.CmpIPredicate.ule, rw.dim(program.q, 2), rw.index(few.block_q))
            results = rw.if_else(
                are_few,
                [value.type for value in outs],
                lambda: TileProgram(op, few, written).build(outs),
                lambda: program.build(outs),
            )
        written.erase()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


def _sharing_heads(op: ir.OpView) -> int:
    """The number of query heads of a kv head; 1 if it is not known."""
    q_heads, kv_heads = (ir.RankedTensorType(each.type).shape[1] for each in list(op.operation.operands)[:2])
    return heads_of_group(kv_heads, q_heads)


def _for_decoding(program: TileProgram, rows: int, block_kv: int) -> TileOptions | None:
    """Tiles of `rows` rows, which are those of all query heads of a kv head if that is no odd number."""
    packed = rows % program.shared == 0
    block_q = rows // program.shared if packed else rows
    if block_q >= program.options.block_q:
        return None
    return dataclasses.replace(
        program.options, block_q=block_q, block_kv=block_kv, pack_gqa=packed, one_tile=True
    )


class TileProgram:
    """Builds the program: a grid of q tiles, each a stream over the tiles of keys that its mask leaves."""

    def __init__(self, op: ir.OpView, options: TileOptions, written: ir.Operation):
        operands = list(op.operation.operands)
        self.op, self.options, self.written = op, options, written
        self.q, self.k = operands[:2]
        self.v = operands[2] if len(operands) > 2 else None
        self.blocks = dict(zip(REGIONS, (region.blocks[0] for region in op.operation.regions), strict=True))
        self.n_state, self.n_accumulators = state_size(op), accumulators_of(op)
        self.acc = self.blocks["score"].arguments[0].type
        self.result_types = [ir.RankedTensorType(result.type) for result in op.operation.results]
        self.features = ir.RankedTensorType(self.q.type).shape[3]
        self.v_features = ir.RankedTensorType(self.v.type).shape[3] if self.v is not None else 0
        self.shared = _sharing_heads(op)
        self.group = self.shared if options.pack_gqa else 1
        self.block = Block(self.group * options.block_q, options.rows_last)
        # of batch, head, row and key
        self.levels = [Level.HEAD, Level.ROW if self.group > 1 else Level.HEAD, Level.ROW, Level.ELEMENT]
        self.mask_analysis: MaskAnalysis = analyze(written, packed=self.group > 1)
        update = self.blocks["update"]
        self.changed, nonzero = masked_reductions(update, update.arguments[self.n_state])
        first = self.n_state + self.n_accumulators
        self.masked_weights = {t for t in range(self.n_accumulators) if first + t in nonzero}

    # ---- the grid --------------------------------------------------------------------------------

    def outputs(self) -> list[ir.Value]:
        """Tensors for the results of the op."""
        return [self.empty(shaped) for shaped in self.result_types]

    def build(self, outs: list[ir.Value]) -> list[ir.Value]:
        """The results of the op, written to `outs`."""
        self._find_sizes()
        self.lists = None
        if self.options.is_split:
            return build_split(self, outs)
        if self.options.tile_lists:
            tiling = Tiling.of_operands(self.q, self.k, self.options.block_q, self.options.block_kv)
            self.lists = build_lists(self.mask_analysis, tiling)

        def body(rows: Rows, _indices: list[ir.Value], outs: list[ir.Value]) -> list:
            stream = self.stream(rows, None)
            return self.finish(rows, stream, outs)

        return self.grid([], outs, body)

    def for_merging(self, rows: int) -> TileProgram:
        """The program in tiles of at most so many rows, one of each head at least, and whole features."""
        block_q = max(1, min(self.options.block_q, rows // self.group))
        options = dataclasses.replace(self.options, block_q=block_q, split_features=False)
        program = TileProgram(self.op, options, self.written)
        program._find_sizes()
        return program

    def _find_sizes(self) -> None:
        self.batch, self.heads, self.length = (rw.dim(self.q, d) for d in range(3))
        self.kv_length = rw.dim(self.k, 2)
        self.minus_infinity = rw.constant(self.acc, float("-inf"))
        self.groups = arith.divui(self.heads, rw.index(self.group)) if self.group > 1 else self.heads
        self.n_tiles = arith.ceildivui(self.length, rw.index(self.options.block_q))

    def empty(self, shaped: ir.RankedTensorType, prefix: Sequence[int] = ()) -> ir.Value:
        """A tensor of a result's type; its dynamic sizes are those of q."""
        sizes = [
            rw.dim(self.q, d) if shaped.is_dynamic_dim(d) else shaped.shape[d] for d in range(shaped.rank)
        ]
        return tensor.empty([*prefix, *sizes], shaped.element_type)

    def grid(
        self,
        more: Sequence[ir.Value],
        outs: list[ir.Value],
        body: Callable[[Rows, list[ir.Value], list[ir.Value]], list],
    ) -> list[ir.Value]:
        """`scf.forall` over batch, head and q tile, the last tile first: a causal mask makes it longest.

        The other way round with `first_tile_first`.
        """
        bounds = [self.batch, self.groups, self.n_tiles, *more]

        def at(indices: list[ir.Value], outs: list[ir.Value]) -> list[rw.Part]:
            batch, head, number, *rest = indices
            if self.group > 1:
                head = arith.muli(head, rw.index(self.group))
            if not self.options.first_tile_first:
                number = arith.subi(arith.subi(self.n_tiles, rw.index(1)), number)
            first = arith.muli(number, rw.index(self.options.block_q))
            rows = Rows.of_tile(batch, head, self.group, self.options.block_q, first, self.length)
            return body(rows, rest, outs)

        return rw.forall(bounds, outs, at)

    # ---- streaming -------------------------------------------------------------------------------

    def region(
        self, name: str, rows: Rows, leading: Sequence[Level], other: ir.Block | None = None
    ) -> RegionOnBlock:
        """A region on the rows of a tile, or another block in the place of that region.

        `leading` are the levels of the arguments before the indices.
        """
        block = other or self.blocks[name]
        b, h, i, *j = block.arguments[len(leading) :]
        packed = self.group > 1
        heads = {b: rows.batch} if packed else {b: rows.batch, h: rows.head}
        region = RegionOnBlock(block, self.block, [*leading, *self.levels[: 3 + len(j)]], heads)
        region.enter({i: rows.position, **({h: rows.head_of} if packed else {})}, {})
        return region

    def handed_over(self, region: RegionOnBlock, groups: int) -> tuple[list, list[list]]:
        """The terminator's operands: the state, then `groups` groups with one for each accumulator."""
        values, t = region.yielded, self.n_accumulators
        rest = values[self.n_state :]
        return values[: self.n_state], [rest[t * n : t * (n + 1)] for n in range(groups)]

    def start(self) -> Stream:
        """The neutral state, and accumulators of 0."""
        *_, terminator = self.blocks["init"].operations
        mapping: dict[ir.Value, ir.Value] = {}
        for op in list(self.blocks["init"].operations)[:-1]:
            rw.clone_op(op, mapping)
        state = []
        for value in terminator.operation.operands:
            empty = tensor.empty([self.block.rows], self.acc)
            state.append(rw.fill(mapping.get(value, value), empty))
        accumulators = [
            rw.filled(self.block.ordered(size, self.block.rows), self.acc, 0.0)
            for _ in range(self.n_accumulators)
            for _, size in self.value_pieces
        ]
        return Stream(tuple(state), tuple(accumulators))

    def stream(self, rows: Rows, part: Part | None) -> Stream:
        """All tiles of keys, or those of a part."""
        kv_head = arith.divui(rows.head, rw.index(self.shared)) if self.shared > 1 else rows.head
        last_head = arith.addi(rows.head, rw.index(self.group - 1)) if self.group > 1 else rows.head
        where = (rows.batch, rows.head, last_head, rows.first, rows.last())
        step = TileStep(self, rows, kv_head, self.options.block_kv)
        start = self.start()
        if self.lists is None:
            found = self.mask_analysis.build_ranges(*where, self.options.block_kv, self.kv_length)
        else:
            found = self.lists.of_rows(rows.batch, rows.head, rows.first)
        own = part.of([*found.full, *found.partial]) if part is not None else None
        full, partial = (
            [self._clip(bounds, own, self.options.block_kv) for bounds in ranges]
            for ranges in (found.full, found.partial)
        )

        ask_result = self.options.masked_values == MaskedValues.CHECK_RESULT and self.n_accumulators > 0
        products = Products.ALL if ask_result else Products.BY_TILE

        def advance(number: ir.Value, carried: list[ir.Value], **how: Any) -> list[ir.Value]:
            number = found.position(number)
            return step.advance(number, start.like(carried), products=products, **how).values

        def test(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            nonempty, all_left = self.mask_analysis.build_test(
                *where, number, self.options.block_kv, self.kv_length
            )
            rw.hoist_invariants(ir.InsertionPoint.current.block)  # what is asked of the rows alone
            types = [value.type for value in carried]
            return rw.if_else(
                all_left,
                types,
                lambda: advance(number, carried, full=True),
                lambda: rw.if_else(
                    nonempty, types, lambda: advance(number, carried, full=False), lambda: carried
                ),
            )

        if self.mask_analysis.needs_test and self.lists is None:
            values = rw.for_ranges([*full, *partial], start.values, test)
        else:
            values = start.values
            scores = ScoreRanges(self.op, [Level.ELEMENT, *self.levels], self.mask_analysis, self.options)
            for run in scores.cut(full, where[:3], rows.first, self.kv_length):
                region = run.block and self.region("score", rows, [Level.ELEMENT], run.block)
                body = functools.partial(advance, full=True, score=region)
                values = rw.for_ranges(run.ranges, values, body, run.attribute)
            values = rw.for_ranges(partial, values, functools.partial(advance, full=False), MASKED)
        stream = start.like(values)
        if not ask_result:
            return stream

        def again() -> Stream:
            # It hardly ever runs, so that one body with masks serves all tiles: it is code to compile.
            keys = self.options.retry_block_kv or self.options.block_kv
            keys = self.options.block_kv if self.options.block_kv % keys else keys
            ranges = [*full, *partial]
            if keys != self.options.block_kv or self.lists is not None:
                again = self.mask_analysis.build_ranges(*where, keys, self.kv_length)
                ranges = [self._clip(bounds, own, keys) for bounds in (*again.full, *again.partial)]
            small = TileStep(self, rows, kv_head, keys, again=True)

            def masked(number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                return small.advance(
                    number, start.like(carried), full=False, products=Products.UNMASKED
                ).values

            return start.like(rw.for_ranges(ranges, start.values, masked))

        return _unless_finite(stream, again)

    def _clip(
        self, bounds: tuple[ir.Value, ir.Value], part: tuple[ir.Value, ir.Value] | None, keys: int
    ) -> tuple[ir.Value, ir.Value]:
        """What of a range of tiles of `keys` keys lies in a part, which counts tiles of block_kv."""
        if part is None:
            return bounds
        if keys != self.options.block_kv:
            scale = rw.index(self.options.block_kv // keys)
            part = (arith.muli(part[0], scale), arith.muli(part[1], scale))
        return arith.maxui(bounds[0], part[0]), arith.minui(bounds[1], part[1])

    # ---- the end ---------------------------------------------------------------------------------

    def finish(self, rows: Rows, stream: Stream, outs: list[ir.Value]) -> list:
        """The results of the tile's rows, as places in the results."""
        region = self.region("finalize", rows, [Level.ROW] * self.n_state)
        region.of_row.update(zip(region.region.arguments[: self.n_state], stream.state, strict=True))
        coefficients = region.yielded[: self.n_accumulators]
        extras = region.row_tensors(region.yielded[self.n_accumulators :])
        parts = []
        if self.n_accumulators:
            o, *outs = outs
            factors = region.row_tensors(coefficients)
            count = len(self.value_pieces)
            for number, (first, _) in enumerate(self.value_pieces):
                value = self._output(stream.accumulators[number::count], factors)
                parts.append(rows.place(value, o, first_feature=first))
        return [*parts, *(rows.place(value, out) for value, out in zip(extras, outs, strict=True))]

    def _output(self, accumulators: Sequence[ir.Value], factors: Sequence[ir.Value]) -> ir.Value:
        """o of the tile: [rows, features of a piece of v], of the result's type."""
        element = self.result_types[0].element_type
        count = len(accumulators)

        def combine(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            products = [arith.mulf(a, c) for a, c in zip(inputs[:count], inputs[count:], strict=True)]
            total = products[0]
            for product in products[1:]:
                total = arith.addf(total, product)
            return [rw.convert_float(total, element)]

        indexing = (1, 0) if self.block.rows_last else (0, 1)
        ins = [*((a, indexing) for a in accumulators), *((factor, (0,)) for factor in factors)]
        features = ir.RankedTensorType(accumulators[0].type).shape[0 if self.block.rows_last else 1]
        empty = tensor.empty([self.block.rows, features], element)
        return rw.generic(ins, [(empty, (0, 1))], "pp", combine)[0]

    def in_order(self, value: ir.Value) -> ir.Value:
        """[rows, features] in the order of an accumulator's dimensions, or the other way."""
        return self._transpose(value) if self.block.rows_last else value

    def _transpose(self, value: ir.Value, element: ir.Type | None = None) -> ir.Value:
        shape = ir.RankedTensorType(value.type).shape
        element = element or value.type.element_type
        empty = tensor.empty(shape[::-1], element)

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            return [rw.convert_float(inputs[0], element)]

        return rw.generic([(value, (1, 0))], [(empty, (0, 1))], "pp", body)[0]

    @property
    def feature_pieces(self) -> list[tuple[int, int]]:
        """Where pieces of q's and k's features begin, and their sizes; one piece if they are not split."""
        is_given = all(isinstance(value.owner, ir.Block) for value in (self.q, self.k))
        return pieces_of(self.features) if self.options.split_features and is_given else [(0, self.features)]

    @functools.cached_property
    def value_pieces(self) -> list[tuple[int, int]]:
        """The same of v's features, each with an accumulator of its own.

        What is computed from o is fused with it as a whole. Where keys are split, that is with o as it is
        merged, for which pieces are parts of whole partial results.
        """
        is_given = self.v is not None and isinstance(self.v.owner, ir.Block)
        users = [use.owner.operation.name for use in self.op.operation.results[0].uses]
        is_in_parts = self.options.is_split or all(name == "func.return" for name in users)
        if self.options.split_features and is_given and is_in_parts:
            return pieces_of(self.v_features)
        return [(0, self.v_features)]

    def load_queries(self, rows: Rows, piece: tuple[int, int], again: bool = False) -> ir.Value:
        """q of the tile, of the accumulator type: [features, rows] or [rows, features].

        What is read `again` is no common subexpression with what was read before, which is not kept for it.
        """
        first, size = piece
        q = rows.load(self.q, features=size, operand="q", first_feature=first)
        if again:
            slice_ = q.owner
            while slice_.name != "tensor.extract_slice":
                slice_ = slice_.operands[0].owner
            slice_.attributes[RETRY] = ir.UnitAttr.get()
        if self.block.rows_last:
            return self._transpose(q, self.acc)
        return q


def _unless_finite(stream: Stream, otherwise: Callable[[], Stream]) -> Stream:
    """`stream`, or another if its accumulators are not finite.

    A value of v that is not finite leaves no accumulator finite that it is multiplied into, whatever its
    weight: no rescale and no sum makes a number of an infinity or NaN again. The state knows nothing of v,
    and is the same in both.
    """
    values = rw.if_else(
        functools.reduce(arith.andi, map(is_finite, stream.accumulators)),
        [value.type for value in stream.values],
        lambda: stream.values,
        lambda: otherwise().values,
    )
    values[0].owner.attributes[RETRY] = ir.UnitAttr.get()
    return stream.like(values)
