"""The direct lowering of `attn.attention`, a part of the pass `convert-attn-to-linalg`.

A block of query rows is computed whole: its scores against all keys, the reductions of the normaliser one
after the other, the weights, the weighted sum of v. Tensors of a block have the row as their last dimension,
so that the innermost loop is parallel and of static size, whatever the reduction. Rows past the end of q
repeat the last row and are not stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.dialect.regions import Level
from aecompiler.passes import rewriting as rw
from aecompiler.passes.block_regions import Block, RegionOnBlock, reduction_of
from aecompiler.passes.operand_places import head_in

MAX_BLOCK_Q = 4096
"""The most query rows of a block: its scores are in memory at once, for each row one for each key."""

_KEY_AND_ROW, _ROW = (0, 1), (1,)
"""How tensors of a block are indexed in loops over keys and rows."""

_LEVELS = [Level.HEAD, Level.HEAD, Level.ROW, Level.ELEMENT]
"""The levels of b, h, i, j, the last arguments of each region."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The block of query rows that is being computed: `start` is its first row, `last` the last row of q."""

    size: int
    start: ir.Value
    last: ir.Value

    def position(self, row: ir.Value) -> ir.Value:
        """The query position of a row of the block."""
        return arith.minui(arith.addi(self.start, row), self.last)


def lower_attention(op: ir.OpView, block_q: int) -> None:
    """Replace an `attn.attention` by loops over linalg; its regions are total (`make_total`)."""
    with ir.InsertionPoint(op), op.location:
        results = _Attention(op, block_q).build()
    for old, new in zip(op.operation.results, results, strict=True):
        old.replace_all_uses_with(new)
    op.operation.erase()


class _Attention:
    def __init__(self, op: ir.OpView, block_q: int):
        self.q, self.k, self.v = list(op.operands)[:3]
        self.result_types = [ir.RankedTensorType(result.type) for result in op.operation.results]
        self.score, self.mask, self.normalize = (region.blocks[0] for region in op.operation.regions)
        self.acc = self.score.arguments[0].type
        rows = ir.RankedTensorType(self.q.type).shape[2]
        self.block_q = block_q if rows == rw.DYNAMIC else max(1, min(block_q, rows))

    def build(self) -> list[ir.Value]:
        batch, heads, self.length = (rw.dim(self.q, d) for d in range(3))
        self.kv_length = rw.sizes(self.k)[2]
        self.features, self.v_features = (ir.RankedTensorType(t.type).shape[3] for t in (self.q, self.v))
        self.last = arith.subi(self.length, rw.index(1))
        self.minus_infinity = rw.constant(self.acc, float("-inf"))
        outs = []
        for shaped in self.result_types:
            sizes = [
                rw.dim(self.q, d) if shaped.is_dynamic_dim(d) else shaped.shape[d] for d in range(shaped.rank)
            ]
            outs.append(tensor.empty(sizes, shaped.element_type))
        return rw.loop_nest([batch, heads], outs, self._head)

    def _head(self, indices: list[ir.Value], outs: list[ir.Value]) -> list[ir.Value]:
        """All rows of one query head."""
        self.b, self.h = indices
        kv_head = head_in(self.k, ir.RankedTensorType(self.q.type).shape[1], self.h)
        shape = Block(self.block_q, rows_last=True)
        regions = []
        for region in (self.score, self.mask, self.normalize):
            *scores, b, h, _, _ = region.arguments
            heads = {b: self.b, h: self.h}
            regions.append(RegionOnBlock(region, shape, [*[Level.ELEMENT] * len(scores), *_LEVELS], heads))
        k, v = (
            rw.extract_slice(t, [self.b, kv_head, 0, 0], [1, 1, self.kv_length, features], keep=(2, 3))
            for t, features in ((self.k, self.features), (self.v, self.v_features))
        )

        def rows(start: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            block = Rows(self.block_q, start, self.last)
            for region in regions:
                *_, i, j = region.region.arguments
                region.enter({i: block.position}, {j: lambda key: key})
            return self._rows(block, regions, k, v, carried)

        return rw.for_loop(rw.index(0), self.length, rw.index(self.block_q), outs, rows)

    def _rows(
        self, block: Rows, regions: list[RegionOnBlock], k: ir.Value, v: ir.Value, outs: list[ir.Value]
    ) -> list[ir.Value]:
        score, mask, normalize = regions
        *_, yielded = self.normalize.operations
        weight, *extras = yielded.operands
        products = self._products(block, k)
        scores, any_left = self._scores(score, mask, products, count=bool(extras))
        normalize.of_element[self.normalize.arguments[0]] = scores
        for op in self.normalize.operations:
            if op.operation.name == "attn.row_reduce":
                self._reduce(normalize, op, scores)
        o = self._weighted_sum(normalize, weight, scores, v)
        count = arith.minui(rw.index(block.size), arith.subi(self.length, block.start))
        stored = [self._store(o, outs[0], block, count)]
        if extras:
            values = self._extras(normalize, extras, any_left)
            for value, out in zip(values, outs[1:], strict=True):
                used = rw.extract_slice(value, [0], [count], keep=(0,))
                stored.append(rw.insert_slice(used, out, [self.b, self.h, block.start], [1, 1, count]))
        return stored

    def _products(self, block: Rows, k: ir.Value) -> ir.Value:
        """q . k for the rows of the block: [keys, rows]."""

        def load(_: list[ir.Value], __: list[ir.Value]) -> list[ir.Value]:
            position = block.position(rw.loop_index(1))
            element = tensor.extract(self.q, [self.b, self.h, position, rw.loop_index(0)])
            return [rw.convert_float(element, self.acc)]

        empty = tensor.empty([self.features, block.size], self.acc)
        (q,) = rw.generic([], [(empty, (0, 1))], "pp", load)

        def multiply(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            key, query = inputs
            return [arith.addf(outputs[0], arith.mulf(rw.convert_float(key, self.acc), query))]

        zeros = rw.filled([self.kv_length, block.size], self.acc, 0.0)
        (products,) = rw.generic([(k, (0, 1)), (q, (1, 2))], [(zeros, (0, 2))], "prp", multiply)
        return products

    def _scores(
        self, score: RegionOnBlock, mask: RegionOnBlock, products: ir.Value, count: bool
    ) -> tuple[ir.Value, ir.Value | None]:
        """The scores, -inf where masked; with `count`, also which rows have an unmasked element."""
        value = score.prepare(score.yielded)
        keep = mask.prepare(mask.yielded)
        split = len(value.operands)

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            (new,) = value.build(inputs[:split], {self.score.arguments[0]: outputs[0]})
            (kept,) = keep.build(inputs[split:])
            new = arith.select(kept, new, self.minus_infinity)
            if not count:
                return [new]
            left = arith.cmpf(arith.CmpFPredicate.UNE, new, self.minus_infinity)
            return [new, arith.ori(outputs[1], left)]

        outs: list[rw.Indexed] = [(products, _KEY_AND_ROW)]
        if count:
            size = ir.RankedTensorType(products.type).shape[1]
            outs.append((rw.filled([size], ir.IntegerType.get_signless(1), 0), _ROW))
        results = rw.generic([*value.operands, *keep.operands], outs, "rp" if count else "pp", body)
        return results[0], results[1] if count else None

    def _reduce(self, normalize: RegionOnBlock, op: ir.OpView, scores: ir.Value) -> None:
        """One reduction over the unmasked elements; its operand is kept if it is an element's value."""
        value = op.operands[0]
        law = reduction_of(op)
        elements = normalize.prepare([value])
        keep = normalize.value_level(value) == Level.ELEMENT and value not in normalize.of_element

        def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            *arguments, score = inputs
            (element,) = elements.build(arguments)
            masked = arith.cmpf(arith.CmpFPredicate.OEQ, score, self.minus_infinity)
            counted = arith.select(masked, rw.constant(self.acc, law.identity), element)
            reduced = getattr(arith, law.combine)(outputs[0], counted)
            return [reduced, element] if keep else [reduced]

        outs: list[rw.Indexed] = [(rw.filled([self.block_q], self.acc, law.identity), _ROW)]
        if keep:
            outs.append((tensor.empty([self.kv_length, self.block_q], self.acc), _KEY_AND_ROW))
        results = rw.generic([*elements.operands, (scores, _KEY_AND_ROW)], outs, "rp", body)
        normalize.of_row[op.operation.results[0]] = results[0]
        if keep:
            normalize.of_element[value] = results[1]

    def _weighted_sum(
        self, normalize: RegionOnBlock, weight: ir.Value, scores: ir.Value, v: ir.Value
    ) -> ir.Value:
        """sum_j weight_j v_j over the unmasked elements: [features of v, rows]."""
        elements = normalize.prepare([weight])

        def weigh(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            return elements.build(inputs)

        if weight in normalize.of_element:
            weights = normalize.of_element[weight]
        else:
            empty = tensor.empty([self.kv_length, self.block_q], self.acc)
            (weights,) = rw.generic(elements.operands, [(empty, _KEY_AND_ROW)], "pp", weigh)

        def accumulate(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
            score, factor, element = inputs
            masked = arith.cmpf(arith.CmpFPredicate.OEQ, score, self.minus_infinity)
            product = arith.mulf(factor, rw.convert_float(element, self.acc))
            # A product with a masked element's v is left out, not multiplied by 0: v may be NaN there.
            product = arith.select(masked, rw.constant(self.acc, 0.0), product)
            return [arith.addf(outputs[0], product)]

        zeros = rw.filled([self.v_features, self.block_q], self.acc, 0.0)
        ins = [(scores, (0, 2)), (weights, (0, 2)), (v, (0, 1))]
        (o,) = rw.generic(ins, [(zeros, (1, 2))], "rpp", accumulate)
        return o

    def _store(self, o: ir.Value, out: ir.Value, block: Rows, count: ir.Value) -> ir.Value:
        """Convert and transpose the first `count` rows of a block into the result."""
        offsets = [self.b, self.h, block.start, 0]
        sizes = [1, 1, count, self.v_features]
        place = rw.extract_slice(out, offsets, sizes, keep=(2, 3))
        used = rw.extract_slice(o, [0, 0], [self.v_features, count], keep=(0, 1))

        def convert(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            return [rw.convert_float(inputs[0], self.result_types[0].element_type)]

        (converted,) = rw.generic([(used, (1, 0))], [(place, (0, 1))], "pp", convert)
        return rw.insert_slice(converted, out, offsets, sizes)

    def _extras(
        self, normalize: RegionOnBlock, extras: Sequence[ir.Value], any_left: ir.Value | None
    ) -> list[ir.Value]:
        """The extra results as tensors [rows]; NaN is 0 in rows without an unmasked element."""
        normalize.require_rows(extras)
        rows = [value for value in dict.fromkeys(extras) if value in normalize.of_row]

        def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
            left, *values = inputs
            mapping = {**normalize.heads, **dict(zip(rows, values, strict=True))}
            results = []
            for extra in extras:
                value = mapping.get(extra, extra)
                is_nan = arith.cmpf(arith.CmpFPredicate.UNO, value, value)
                undefined = arith.andi(is_nan, arith.xori(left, rw.constant(left.type, 1)))
                results.append(arith.select(undefined, rw.constant(self.acc, 0.0), value))
            return results

        ins = [(any_left, (0,)), *((normalize.of_row[value], (0,)) for value in rows)]
        outs = [(tensor.empty([self.block_q], self.acc), (0,)) for _ in extras]
        return rw.generic(ins, outs, "p", body)
