"""Structured operations on tiles: elementwise ones, reductions, products of matrices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.elementwise import evaluate
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.running_sums import counted, scan_vector, scanned, sum_rows
from aecompiler.backends.triton.tiles import Tile
from aecompiler.bindings import arith, ir, scf
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_law import INVERSE
from aecompiler.passes.structured_ops import EXACT, Generic, Operand, UnsupportedTile, identity_of

if TYPE_CHECKING:
    from aecompiler.backends.triton.kernel import KernelBuilder

Combine = Callable[[ir.Value, ir.Value], ir.Value]


class Structured:
    """One structured operation of a tile program."""

    def __init__(self, kernel: KernelBuilder, op: ir.Operation):
        self.kernel = kernel
        self.generic = Generic(op, self._shape)
        count = self.generic.rank
        self.sizes = [self.generic.sizes[loop] for loop in range(count)]
        self.merged = self._merged_loops()
        """Loops that are the first of these in registers."""
        self.padded = self._padded()

    def _shape(self, value: ir.Value) -> Sequence[int]:
        """The sizes of an operand, some of which may not be known."""
        return self.kernel.tile(value).shape

    def _merged_loops(self) -> tuple[int, ...]:
        """The loops over dimensions of operands that are one in registers; none if there are none."""
        tiles = [(operand.loops, self._tile(operand)) for operand in self.generic.operands]
        tiles = [(loops, tile) for loops, tile in tiles if tile.value is not None and loops]
        found = {loops[: tile.merged] for loops, tile in tiles if tile.merged > 1}
        if not found:
            return ()
        merged, *others = found
        for loops, tile in tiles:
            if others or (tile.merged == 1 and set(loops) & set(merged)) or self.generic.reductions:
                raise UnsupportedTile("dimensions that are one in registers beside such that are not")
        return merged

    def _padded(self) -> tuple[int, ...]:
        """The sizes of loops in registers."""
        sizes = list(self.sizes)
        for loop in self.merged:
            sizes[loop] = 1
        if self.merged:
            sizes[self.merged[0]] = math.prod(self.sizes[loop] for loop in self.merged)
        return tt.register_sizes(sizes)

    def build(self) -> list[Tile]:
        """The results."""
        tiles = self._build()
        limits: dict[int, Lanes] = {}
        for operand in self.generic.ins:
            for loop, limit in zip(operand.loops, self._tile(operand).limits, strict=False):
                if limit is not None:
                    limits[loop] = limit
        if not limits:
            return tiles
        if limits.keys() & set(self.generic.reductions):
            raise UnsupportedTile("a reduction of a tensor whose size is not known")
        return [
            dataclasses.replace(tile, limits=tuple(limits.get(loop) for loop in out.loops))
            for tile, out in zip(tiles, self.generic.outs, strict=True)
        ]

    def _build(self) -> list[Tile]:
        product = self._as_product()
        if product is not None:
            return [self._product(*product)]
        if (sums := self._running_sums()) is not None:
            return [sums]
        inner = self.generic.reductions[-1:] if self.generic.rank > 2 else []
        if inner:
            return self._one_by_one(inner[0])
        body = _Body(self, {})
        return [self._result(body, number) for number in range(len(self.generic.outs))]

    def _sizes(self, out: Operand) -> tuple[int, ...]:
        return tuple(self.sizes[loop] for loop in out.loops)

    def _tile(self, operand: Operand) -> Tile:
        if isinstance(operand.value.type, ir.RankedTensorType):
            return self.kernel.tile(operand.value)
        return Tile(None, self.kernel.lanes(operand.value), ())

    def _result(self, body: _Body, number: int) -> Tile:
        out = self.generic.outs[number]
        shape = self._sizes(out)
        left = [loop for loop in self.generic.reductions if loop not in out.loops]
        yielded = self.generic.yielded[number]
        if not left:
            return self._placed(body.value(yielded), out.loops, shape)
        combine, elements, identity = self._reduction(yielded, self.generic.argument_of_out(number))
        loops = tuple(sorted({*out.loops, *left}))
        element = self._combined(combine, [body.value(each) for each in elements])
        lanes = ln.spread(self._without_padding(element, left, identity), loops, self.padded)
        value = lanes.value
        for axis in sorted((loops.index(loop) for loop in left), reverse=True):
            value = tt.reduce(value, axis, combine)
        kept = tuple(sorted(out.loops))
        start = self._tile(out)
        if not _is_constant(start, identity):
            (first, second), kept = ln.together([start.lanes(out.loops), Lanes(value, kept)], self.padded)
            value = combine(first.value, second.value)
        return self._placed(Lanes(value, kept), out.loops, shape)

    def _placed(self, lanes: Lanes, loops: Sequence[int], shape: tuple[int, ...]) -> Tile:
        """The tile whose dimensions are `loops`."""
        if lanes.range is not None:
            lanes = Lanes(ln.wide(lanes), lanes.loops)
        if not lanes.loops:
            return Tile(None, lanes, shape)
        merged = 1
        if self.merged and set(loops) & set(self.merged):
            merged = len(self.merged)
            if tuple(loops[:merged]) != self.merged:
                raise UnsupportedTile("a result of some of the dimensions that are one in registers")
            loops = [*loops[:1], *loops[merged:]]
        whole = ln.spread(lanes, sorted(loops), self.padded)
        order = [sorted(loops).index(loop) for loop in loops]
        return Tile(tt.trans(whole.value, order), None, shape, merged=merged)

    def _reduction(
        self, yielded: ir.Value, argument: ir.Value
    ) -> tuple[Combine, list[ir.Value], int | float]:
        """How a result is reduced: the operation, what of each element, and the identity."""
        op = rw.definer(yielded)
        name = op.name.removeprefix("arith.") if op is not None else ""
        elements = _others(yielded, argument, op.name) if op is not None else None
        if elements is None:
            raise UnsupportedTile("a reduction that is no operation on the result and elements")
        identity = identity_of(f"arith.{name}", yielded.type)
        if identity is None:
            raise UnsupportedTile(f"a reduction by 'arith.{name}'")
        return getattr(arith, name), elements, identity

    def _combined(self, combine: Combine, values: Sequence[Lanes]) -> Lanes:
        """All of the values combined."""
        result, *others = values
        for other in others:
            (a, b), loops = ln.together([result, other], self.padded)
            result = Lanes(combine(a.value, b.value), loops)
        return result

    def _without_padding(self, lanes: Lanes, loops: Sequence[int], identity: int | float) -> Lanes:
        """The values, with the identity where loops go beyond the sizes of the tile."""
        for loop in loops:
            if self.padded[loop] == self.sizes[loop]:
                continue
            inside = self._inside(loop)
            other = Lanes(tt.constant(lanes.element, identity))
            lanes = ln.choose(inside, lanes, other, self.padded)
        return lanes

    def inside(self, loops: Collection[int]) -> list[Lanes]:
        """Where each of these loops is not beyond its size: what is there may be outside of a tensor."""
        longer = [loop for loop in sorted(loops) if self.padded[loop] != self.sizes[loop]]
        return [self._inside(loop) for loop in longer if loop not in self.merged]

    def _inside(self, loop: int) -> Lanes:
        return ln.less(self.position(loop), ln.constant(self.sizes[loop]), self.padded)

    def position(self, loop: int) -> Lanes:
        """The index of a loop."""
        if loop in self.merged:
            number, sizes = self._number(self.merged[0]), [self.sizes[each] for each in self.merged]
            return ln.digits(number, sizes, self.padded)[self.merged.index(loop)]
        return self._number(loop)

    def _number(self, loop: int) -> Lanes:
        n = self.padded[loop]
        return ln.number(tt.make_range(n), (loop,), (0, n - 1))

    # ---- products of matrices --------------------------------------------------------------------

    def _as_product(self) -> tuple[Operand, Operand] | None:
        """The operands a [x, k] and b [k, y] of out [x, y] + a b, each widened at most."""
        generic = self.generic
        if (
            generic.rank != 3
            or len(generic.reductions) != 1
            or len(generic.outs) != 1
            or len(generic.ins) != 2
        ):
            return None
        (k,), (x, *more) = generic.reductions, generic.outs[0].loops
        if len(more) != 1 or k in (x, *more):
            return None
        by_loops = {frozenset(operand.loops): operand for operand in generic.ins}
        a, b = by_loops.get(frozenset({x, k})), by_loops.get(frozenset({k, more[0]}))
        if a is None or b is None or not self._adds_products():
            return None
        out_type = generic.argument_of_out(0).type
        if str(out_type) == "f64" and self.kernel.reads_narrow_floats:
            return None  # Triton chooses a layout by the narrowest type behind an operand, and has none then
        return a, b

    def _adds_products(self) -> bool:
        """Whether the body is out + a * b, with a and b widened at most."""
        total = rw.definer(self.generic.yielded[0])
        out = self.generic.argument_of_out(0)
        if total is None or total.name != "arith.addf" or out not in list(total.operands):
            return False
        left, right = total.operands
        product = rw.definer(right if left == out else left)
        if product is None or product.name != "arith.mulf":
            return False
        found = [_widened(factor) for factor in product.operands]
        wanted = [self.generic.argument(operand) for operand in self.generic.ins]
        return found in (wanted, wanted[::-1])

    def _product(self, a: Operand, b: Operand) -> Tile:
        (k,), out = self.generic.reductions, self.generic.outs[0]
        x, y = out.loops
        left, right = self._matrix(a, (x, k)), self._matrix(b, (k, y))
        types = [tt.element_of(each) for each in (left, right)]
        # One factor may be wider: the weights, which may be rounded to the type of v.
        narrow, wide = sorted(types, key=lambda type_: type_.width)
        if EXACT in self.generic.op.attributes and narrow != wide:
            narrow = wide = self.generic.argument_of_out(0).type
        if (
            str(narrow) == "f16"
            and str(wide) == "f32"
            and not _is_shifted_power(a if types[0] == wide else b)
        ):
            narrow = wide  # weights of any size: f16 would make infinities or zeros of them
        if self.kernel.rounds_chunks and str(narrow) == "f32" and INVERSE not in self.generic.op.attributes:
            narrow = ir.BF16Type.get()
        left, right = (_converted(each, narrow) for each in (left, right))
        start = self._tile(out)
        into = tt.trans(ln.spread(start.lanes(out.loops), sorted((x, y)), self.padded).value, _order((x, y)))
        precision = self.kernel.precision if str(narrow) == "f32" else "ieee"
        if narrow.width < 32:
            precision = "tf32"  # of no effect
        return Tile(tt.dot(left, right, into, precision), None, self._sizes(out))

    def _running_sums(self) -> Tile | None:
        """What a sum over the positions before each position, or after it, gives; None for what is none."""
        if (counts := counted(self)) is not None:
            (rows,), (out,) = self.generic.ins, self.generic.outs
            matrix = self._matrix(rows, (self.generic.reductions[0], out.loops[1]))
            start = ln.spread(self._tile(out).lanes(out.loops), out.loops, self.padded)
            return sum_rows(self, _Body(self, {}).value(counts), matrix, start.value)
        law = scanned(self)
        if law is None or not _is_constant(self._tile(self.generic.outs[0]), 0.0):
            return None
        (vector,) = self.generic.ins
        lanes = ln.spread(self._tile(vector).lanes(vector.loops), vector.loops, self.padded)
        return scan_vector(self, law, self._without_padding(lanes, self.generic.reductions, 0))

    def _matrix(self, operand: Operand, loops: tuple[int, int]) -> ir.Value:
        """An operand with these loops as its dimensions, 0 where the sum goes beyond its size."""
        tile, (k,) = self._tile(operand), self.generic.reductions
        if tile.value is not None and (tile.clean or self.padded[k] == self.sizes[k]):
            return _source(tt.trans(tile.value, [operand.loops.index(loop) for loop in loops]))
        lanes = self._without_padding(tile.lanes(operand.loops), [k], 0)
        whole = ln.spread(lanes, sorted(loops), self.padded)
        return _source(tt.trans(whole.value, _order(loops)))

    # ---- one element of the sum after another ------------------------------------------------------

    def _one_by_one(self, k: int) -> list[Tile]:
        """Reductions in three loops that are no products: a loop over `k`, the other two in registers."""
        generic = self.generic
        if any(k in out.loops for out in generic.outs) or generic.reductions != [k]:
            raise UnsupportedTile("a reduction in more than two loops")
        starts = []
        for out in generic.outs:
            lanes = ln.spread(self._tile(out).lanes(out.loops), sorted(out.loops), self.padded)
            starts.append(lanes)
        zero, one, end = (tt.constant(tt.integer(32), n) for n in (0, 1, self.sizes[k]))
        loop = scf.ForOp(zero, end, one, [each.value for each in starts])
        with ir.InsertionPoint(loop.body):
            place = ln.number(loop.induction_variable, (), (0, self.sizes[k] - 1))
            body = _Body(self, {k: place})
            new = []
            for number, (start, carried) in enumerate(zip(starts, loop.inner_iter_args, strict=True)):
                yielded = generic.yielded[number]
                combine, elements, _ = self._reduction(yielded, generic.argument_of_out(number))
                element = self._combined(combine, [body.value(each) for each in elements])
                lanes = ln.spread(element, start.loops, self.padded)
                new.append(combine(carried, lanes.value))
            scf.YieldOp(new)
        return [
            self._placed(Lanes(value, start.loops), out.loops, self._sizes(out))
            for value, start, out in zip(loop.results, starts, generic.outs, strict=True)
        ]

    def at(self, lanes: Lanes, loop: int, place: Lanes) -> Lanes:
        """What stands at `place` along a loop: the sum over it with 0 for all others."""
        if loop not in lanes.loops:
            return lanes
        here = ln.equal(self.position(loop), place, self.padded)
        element = lanes.element
        is_float = not isinstance(element, ir.IntegerType)
        wide = ir.F32Type.get() if is_float and element.width < 32 else element
        if element == tt.integer(1):
            wide = tt.integer(32)
        value = lanes.value
        shape = tt.shape_of(value)
        if wide != element:
            extend = arith.extf if is_float else arith.extui
            value = extend(tt.typed(shape, wide), value)
        chosen = ln.choose(here, Lanes(value, lanes.loops), Lanes(tt.constant(wide, 0)), self.padded)
        axis = chosen.loops.index(loop)
        add = arith.addf if is_float else arith.addi
        total = tt.reduce(chosen.value, axis, add)
        if wide != element:
            shrink = arith.truncf if is_float else arith.trunci
            total = shrink(tt.typed(tt.shape_of(total), element), total)
        return Lanes(total, tuple(each for each in chosen.loops if each != loop))


class _Body:
    """Computes values of an operation's body, each once; loops in `places` are at one position."""

    def __init__(self, structured: Structured, places: Mapping[int, Lanes]):
        self.structured, self.kernel, self.places = structured, structured.kernel, places
        self.known: dict[ir.Value, Lanes] = {}
        generic = structured.generic
        self.block = generic.block
        self.operands = dict(zip(self.block.arguments, generic.operands, strict=True))

    def value(self, value: ir.Value) -> Lanes:
        """A value of the body, or one from outside."""
        if value not in self.known:
            self.known[value] = self._value(value)
        return self.known[value]

    def _value(self, value: ir.Value) -> Lanes:
        structured = self.structured
        if isinstance(value.owner, ir.Block):
            if value.owner != self.block:
                return self.kernel.lanes(value)
            operand = self.operands[value]
            lanes = structured._tile(operand).lanes(operand.loops)
            for loop, place in self.places.items():
                lanes = structured.at(lanes, loop, place)
            if isinstance(value.type, ir.IndexType):
                return ln.number(lanes.value, lanes.loops, (-(1 << 63), (1 << 63) - 1))
            return lanes
        op = value.owner.operation
        if op.block != self.block:
            return self.kernel.lanes(value)
        if op.name == "linalg.index":
            loop = op.attributes["dim"].value
            return self.places[loop] if loop in self.places else structured.position(loop)
        if op.name == "tensor.extract":
            places = [self.value(place) for place in list(op.operands)[1:]]
            source = self.kernel.entry(op.operands[0])
            if isinstance(source, Tile) and not source.shape:
                return source.scalar()
            loops = {loop for place in places for loop in place.loops}
            return self.kernel.gather(op, places, structured.padded, structured.inside(loops))
        operands = [self.value(operand) for operand in op.operands]
        return evaluate(op, operands, structured.padded, self.kernel.library)


def _others(value: ir.Value, argument: ir.Value, name: str) -> list[ir.Value] | None:
    """The operands beside `argument` of operations called `name`, one of whose operands it is."""
    op = rw.definer(value)
    if op is None or op.name != name or len(op.operands) != 2:
        return None
    left, right = op.operands
    if argument in (left, right):
        return [right if left == argument else left]
    for inner, other in ((left, right), (right, left)):
        found = _others(inner, argument, name)
        if found is not None:
            return [*found, other]
    return None


def _widened(value: ir.Value) -> ir.Value:
    """What a value is the widening of, if it is one."""
    op = rw.definer(value)
    return op.operands[0] if op is not None and op.name == "arith.extf" else value


def _order(loops: Sequence[int]) -> list[int]:
    """The order that brings dimensions in increasing order of their loops to the order of `loops`."""
    ordered = sorted(loops)
    return [ordered.index(loop) for loop in loops]


def _source(value: ir.Value) -> ir.Value:
    """A matrix as it was before it was widened: the product is the same."""
    op = rw.definer(value)
    if op is None:
        return value
    if op.name == "arith.extf":
        return _source(op.operands[0])
    if op.name == "tt.trans":
        inner = _source(op.operands[0])
        if inner != op.operands[0]:
            return tt.trans(inner, list(op.attributes["order"]))
    return value


def _converted(value: ir.Value, element: ir.Type) -> ir.Value:
    """A matrix of floats in another type."""
    if tt.element_of(value) == element:
        return value
    change = arith.truncf if element.width < tt.element_of(value).width else arith.extf
    return change(tt.typed(tt.shape_of(value), element), value)


def _is_shifted_power(operand: Operand) -> bool:
    """Whether weights are powers of scores that something of the row is subtracted from: some are about 1."""
    value = operand.value
    producer = rw.definer(value)
    if producer is None or producer.name != "linalg.generic":
        return False
    *_, terminator = producer.regions[0].blocks[0].operations
    op = rw.definer(terminator.operands[list(producer.results).index(value)])
    if op is None or op.name not in ("math.exp", "math.exp2"):
        return False
    inner = rw.definer(op.operands[0])
    while inner is not None and inner.name == "arith.mulf":
        factors = [rw.definer(factor) for factor in inner.operands]
        inner = next((f for f in factors if f is not None and f.name != "arith.constant"), None)
    return inner is not None and inner.name == "arith.subf"


def _is_constant(tile: Tile, number: int | float) -> bool:
    """Whether all elements are a constant."""
    if tile.everywhere is None:
        return False
    op = rw.definer(tile.everywhere.value)
    if op is None or op.name != "arith.constant":
        return False
    attribute = op.attributes["value"]
    return isinstance(attribute, ir.FloatAttr | ir.IntegerAttr) and attribute.value == number
