"""One step of a tile program: what happens to the rows of a q tile in one tile of keys."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect.regions import Level
from aecompiler.passes import rewriting as rw
from aecompiler.passes.block_regions import RegionOnBlock, reduction_of
from aecompiler.passes.tile_rows import Rows, name_slice, pad

if TYPE_CHECKING:
    from aecompiler.passes.tile_program import TileProgram


@dataclasses.dataclass(frozen=True)
class Stream:
    """What a pass over keys carries: the state of the rows, and the accumulators.

    Of v's features in pieces, an accumulator is one tensor for each piece, one after the other.
    """

    state: tuple[ir.Value, ...]
    accumulators: tuple[ir.Value, ...]

    @property
    def values(self) -> list[ir.Value]:
        """All tensors, in the order of a loop's carried values."""
        return [*self.state, *self.accumulators]

    def like(self, values: Sequence[ir.Value]) -> Stream:
        """A stream of as many tensors."""
        split = len(self.state)
        return Stream(tuple(values[:split]), tuple(values[split:]))


class Products(enum.Enum):
    """Which products of weights with v a step adds to the accumulators."""

    ALL = "all"
    """That of a masked element is 0 times what v holds there: NaN, if that is not finite."""
    UNMASKED = "unmasked"
    """Those of masked elements are left out one by one."""
    BY_TILE = "by-tile"
    """All of them where the tile of v is finite, else the unmasked ones."""


class TileStep:
    """What happens to the rows of a q tile in one tile of `keys` keys."""

    def __init__(self, program: TileProgram, rows: Rows, kv_head: ir.Value, keys: int, again: bool = False):
        self.program, self.rows, self.kv_head = program, rows, kv_head
        self.block, self.acc = program.block, program.acc
        self.keys = keys
        self.pieces = program.feature_pieces
        self.queries = [program.load_queries(rows, piece, again) for piece in self.pieces]
        element = Level.ELEMENT
        self.score = program.region("score", rows, [element])
        self.mask = program.region("mask", rows, [])
        self.update = program.region("update", rows, [*[Level.ROW] * program.n_state, element])

    def advance(
        self,
        number: ir.Value,
        stream: Stream,
        *,
        full: bool,
        products: Products,
        score: RegionOnBlock | None = None,
    ) -> Stream:
        """The stream after tile `number`; in a full tile no element is masked by its position.

        `score` is a region that is right for this tile, if another one than for all.
        """
        program, n_state = self.program, self.program.n_state
        score = score or self.score
        first = arith.muli(number, rw.index(self.keys))
        for region in (score, self.mask, self.update):
            j = region.region.arguments[-1]
            region.enter(region.rows, {j: lambda key: arith.addi(first, key)})
        scores = self._scores(self._products(first, full), full, score)
        update = self.update
        arguments = list(update.region.arguments)
        update.of_row.update(zip(arguments[:n_state], stream.state, strict=True))
        update.of_element[arguments[n_state]] = scores
        numbered = 0
        for op in update.ops:
            if op.operation.name == "attn.row_reduce":
                self._reduce(op.operation, scores, numbered in program.changed)
                numbered += 1
        state, (rescales, weights) = program.handed_over(update, 2)
        update.require_rows([*state, *rescales])
        new_state = update.row_tensors(state)
        accumulators = []
        if program.n_accumulators:
            tiles = []
            for first_feature, size in program.value_pieces:
                v = self._load("v", first, size, full, first_feature)
                tiles.append((v, is_finite(v) if products == Products.BY_TILE else products == Products.ALL))
            before = iter(stream.accumulators)
            for t in range(program.n_accumulators):
                weight = self._weights(weights[t], scores, t in program.masked_weights)
                for v, all_products in tiles:
                    kept = self._rescale(next(before), rescales[t])
                    accumulators.append(self._accumulate(kept, weight, scores, v, all_products))
        return Stream(tuple(new_state), tuple(accumulators))

    def _load(
        self, operand: str, first: ir.Value, features: int, full: bool, first_feature: int = 0
    ) -> ir.Value:
        """A tile of k or v: [keys, features]; keys past the end are 0."""
        source = getattr(self.program, operand)
        offsets = [self.rows.batch, self.kv_head, first, first_feature]
        if full:
            whole = rw.extract_slice(source, offsets, [1, 1, self.keys, features], (2, 3))
            return name_slice(whole, operand, once=self.program.options.one_tile)
        real = arith.minui(rw.index(self.keys), arith.subi(self.program.kv_length, first))
        slice_ = rw.extract_slice(source, offsets, [1, 1, real, features], (2, 3))
        named = name_slice(slice_, operand, once=self.program.options.one_tile)
        return pad(named, 0, self.keys, real)

    def _products(self, first: ir.Value, full: bool) -> ir.Value:
        """q . k of the tile's elements."""
        products = rw.filled(self.block.ordered(self.keys, self.block.rows), self.acc, 0.0)

        def multiply(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            a, b = (rw.convert_float(each, self.acc) for each in inputs)
            return [arith.addf(outputs[0], arith.mulf(a, b))]

        for q, (start, features) in zip(self.queries, self.pieces, strict=True):
            k = self._load("k", first, features, full, start)
            ins = [(k, (0, 2)), (q, (2, 1))] if self.block.rows_last else [(q, (0, 2)), (k, (1, 2))]
            products = rw.generic(ins, [(products, (0, 1))], "ppr", multiply)[0]
        return products

    def _scores(self, products: ir.Value, full: bool, score: RegionOnBlock) -> ir.Value:
        """The scores; -inf where masked."""
        mask, element = self.mask, self.block.element
        argument = score.region.arguments[0]
        value = score.prepare(score.yielded)
        keep = None if full else mask.prepare(mask.yielded)
        if full and value.targets == [argument]:
            return products
        split = len(value.operands)
        j = mask.region.arguments[-1]

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            product, *inputs = inputs
            (new,) = value.build(inputs[:split], {argument: product})
            if keep is None:
                return [new]
            (kept,) = keep.build(inputs[split:])
            position = mask.keys[j](rw.loop_index(self.block.key_loop))
            real = arith.cmpi(arith.CmpIPredicate.slt, position, self.program.kv_length)
            kept = arith.andi(real, kept)
            return [arith.select(kept, new, self.program.minus_infinity)]

        ins = [(products, element), *value.operands, *(keep.operands if keep else [])]
        return rw.generic(ins, [(self._empty_elements(), element)], "pp", body)[0]

    def _empty_elements(self) -> ir.Value:
        return tensor.empty(self.block.ordered(self.keys, self.block.rows), self.acc)

    def _masked(self, score: ir.Value) -> ir.Value:
        return arith.cmpf(arith.CmpFPredicate.OEQ, score, self.program.minus_infinity)

    def _reduce(self, op: ir.Operation, scores: ir.Value, masked: bool) -> None:
        """One reduction over the tile; its operand is kept if more than the reduction needs it."""
        update, block = self.update, self.block
        value = op.operands[0]
        law = reduction_of(op)
        elements = update.prepare([value])
        uses = [use.owner for use in value.uses]
        keep = update.value_level(value) == Level.ELEMENT and value not in update.of_element and len(uses) > 1

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            (element,) = elements.build(inputs[: len(elements.operands)])
            counted = element
            if masked:
                counted = arith.select(self._masked(inputs[-1]), rw.constant(self.acc, law.identity), element)
            reduced = getattr(arith, law.combine)(outputs[0], counted)
            return [reduced, element] if keep else [reduced]

        outs: list[rw.Indexed] = [(rw.filled([block.rows], self.acc, law.identity), block.row)]
        if keep:
            outs.append((self._empty_elements(), block.element))
        ins = list(elements.operands)
        # The loop over keys needs an operand of their number, also if the value is uniform over the row.
        if masked or not any(indexing == block.element for _, indexing in ins):
            ins.append((scores, block.element))
        results = rw.generic(ins, outs, block.reduce_keys, body)
        update.of_row[op.results[0]] = results[0]
        if keep:
            update.of_element[value] = results[1]

    def _weights(self, weight: ir.Value, scores: ir.Value, masked: bool) -> ir.Value:
        update, element = self.update, self.block.element
        if weight in update.of_element and not masked:
            return update.of_element[weight]
        elements = update.prepare([weight])

        def weigh(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            (value,) = elements.build(inputs[: len(elements.operands)])
            if masked:
                value = arith.select(self._masked(inputs[-1]), rw.constant(self.acc, 0.0), value)
            return [value]

        ins = [*elements.operands, *([(scores, element)] if masked else [])]
        return rw.generic(ins, [(self._empty_elements(), element)], "pp", weigh)[0]

    def _rescale(self, accumulator: ir.Value, rescale: ir.Value) -> ir.Value:
        if rw.float_value(rescale) == 1.0:
            return accumulator
        (factor,) = self.update.row_tensors([rescale])

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            return [arith.mulf(outputs[0], inputs[0])]

        return rw.generic([(factor, self.block.row)], [(accumulator, (0, 1))], "pp", body)[0]

    def _accumulate(
        self,
        accumulator: ir.Value,
        weights: ir.Value,
        scores: ir.Value,
        v: ir.Value,
        all_products: ir.Value | bool,
    ) -> ir.Value:
        """accumulator + sum_j weight_j v_j, with the products of masked elements or without.

        The weight of a masked element is 0, which leaves out its v if that is finite. Any element may be
        masked by a score of -inf, in full tiles too: by an infinite q or k, or by overflow.
        """
        rows_last = self.block.rows_last
        pair = (2, 1) if rows_last else (0, 2)
        v_map = (2, 0) if rows_last else (2, 1)

        def add(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            weight, element, *score = inputs
            product = arith.mulf(weight, rw.convert_float(element, self.acc))
            if score:
                product = arith.select(self._masked(score[0]), rw.constant(self.acc, 0.0), product)
            return [arith.addf(outputs[0], product)]

        ins = [(weights, pair), (v, v_map)]
        outs: list[rw.Indexed] = [(accumulator, (0, 1))]

        def with_masked() -> list[ir.Value]:
            return rw.generic(ins, outs, "ppr", add)

        def without_masked() -> list[ir.Value]:
            return rw.generic([*ins, (scores, pair)], outs, "ppr", add)

        if isinstance(all_products, bool):
            (result,) = with_masked() if all_products else without_masked()
        else:
            (result,) = rw.if_else(all_products, [accumulator.type], with_masked, without_masked)
        return result


def is_finite(value: ir.Value) -> ir.Value:
    """Whether a tensor of rank 2 has neither NaN nor an infinity: 0 times it sums to 0."""
    element = value.type.element_type
    acc = element if element.width >= 32 else ir.F32Type.get()

    def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
        zero = rw.constant(acc, 0.0)
        return [arith.addf(outputs[0], arith.mulf(rw.convert_float(inputs[0], acc), zero))]

    (total,) = rw.generic([(value, (0, 1))], [(rw.filled([], acc, 0.0), ())], "rr", body)
    return arith.cmpf(arith.CmpFPredicate.OEQ, tensor.extract(total, []), rw.constant(acc, 0.0))
