"""Loop nests for structured operations of any rank and any size of a row, on tensors in memory.

`nests.py` builds what happens between the two products of attention, where rows are whole numbers of vectors
that stay in registers. This is for what surrounds it: rotations, norms over features, gates, casts. One loop
is the *lane loop*, whose neighbouring elements make vectors; what is left of it is done by narrower vectors,
of which each width has code of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.bodies import Element, Scope
from aecompiler.backends.cpu.vectorize.positions import Spread
from aecompiler.backends.cpu.vectorize.ranges import SIZE
from aecompiler.backends.cpu.vectorize.values import Deferred, Memory, Splat, TileValue
from aecompiler.bindings import ir, memref, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import Generic, Operand, UnsupportedTile

_NEUTRAL = {
    "arith.addf": -0.0,
    "arith.mulf": 1.0,
    "arith.maximumf": float("-inf"),
    "arith.minimumf": float("inf"),
    "arith.addi": 0,
    "arith.muli": 1,
    "arith.andi": -1,
    "arith.ori": 0,
    "arith.xori": 0,
}
"""Operations whose terms may be combined in any order, and what changes nothing."""


@dataclasses.dataclass(frozen=True)
class _Point:
    """Where in the loops code is being built; at the lane loop it is the first of `width` places."""

    places: Mapping[int, ir.Value]
    lane: int | None
    width: int


class ElementLoops:
    """Builds the loop nests of one tile program that go through tensors element by element."""

    def __init__(self, scope: Scope, lanes: int, lookup: Callable[[ir.Value], TileValue]):
        self.lanes, self.lookup = lanes, lookup
        self._scopes = {lanes: scope}

    def build(self, generic: Generic, targets: Sequence[Memory]) -> None:
        """Store the results of an operation whose operands are scalars, in memory, or waiting."""
        if any(size == rw.DYNAMIC for size in generic.sizes.values()) or len(generic.sizes) < generic.rank:
            raise UnsupportedTile("a structured operation whose sizes are not known")
        lane = self._lane_loop(generic, targets)
        carried = [k for k, out in enumerate(generic.outs) if not set(generic.reductions) <= set(out.loops)]
        if any(set(generic.outs[k].loops) & set(generic.reductions) for k in carried):
            raise UnsupportedTile("a result that is reduced in a part of the loops only")
        parallel = [loop for loop in range(generic.rank) if loop not in generic.reductions and loop != lane]

        def at(places: dict[int, ir.Value]) -> None:
            if lane in generic.reductions:
                self._reduce_lanes(generic, targets, carried, lane, places)
            elif lane is None:
                self._reduce(generic, targets, carried, _Point(places, None, 1))
            else:
                self._widths(
                    generic.sizes[lane],
                    lambda start, width: self._reduce(
                        generic, targets, carried, _Point({**places, lane: start}, lane, width)
                    ),
                )

        _nest([(loop, generic.sizes[loop]) for loop in parallel], at)

    def copy(self, source: ir.Value, target: ir.Value) -> None:
        """Copy a buffer of any rank and strides to one of the same element type, as far as it reaches."""
        rank = ir.MemRefType(source.type).rank
        sizes = [vec.size(source, d) for d in range(rank)]
        fast = rank > 0 and isinstance(sizes[-1], int) and all(map(_is_side_by_side, (source, target)))

        def element(places: list[ir.Value], width: int) -> None:
            if width == 1:
                memref.store(memref.load(source, places), target, places)
            else:
                vec.store(vec.load(source, places, width), target, places)

        def at(places: dict[int, ir.Value]) -> None:
            outer = [places[d] for d in range(len(places))]
            if fast:
                self._widths(sizes[-1], lambda start, width: element([*outer, start], width))
            else:
                element(outer, 1)

        _nest(list(enumerate(sizes[:-1] if fast else sizes)), at)

    def fill(self, target: ir.Value, scalar: ir.Value) -> None:
        """Store a scalar everywhere in a static buffer of any rank whose rows lie side by side."""
        sizes = list(ir.MemRefType(target.type).shape)
        fast = bool(sizes) and _is_side_by_side(target)

        def at(places: dict[int, ir.Value]) -> None:
            outer = [places[d] for d in range(len(places))]
            if not fast:
                memref.store(scalar, target, outer)
                return

            def strip(start: ir.Value, width: int) -> None:
                if width == 1:
                    memref.store(scalar, target, [*outer, start])
                else:
                    vec.store(vec.broadcast(scalar, width), target, [*outer, start])

            self._widths(sizes[-1], strip)

        _nest(list(enumerate(sizes[:-1] if fast else sizes)), at)

    # ---- the lane loop -------------------------------------------------------------------------

    def _lane_loop(self, generic: Generic, targets: Sequence[Memory]) -> int | None:
        """The loop along which most operands lie side by side; None where vectors would serve nothing."""
        best = None
        for loop in range(generic.rank):
            reduces = loop in generic.reductions
            if generic.sizes[loop] < 2 or (reduces and not self._may_reorder(generic)):
                continue
            apart = self._apart(generic, targets, loop)
            rating = (apart, reduces, -generic.sizes[loop])
            if best is None or rating < best[0]:
                best = rating, loop
        return best[1] if best else None

    def _apart(self, generic: Generic, targets: Sequence[Memory], loop: int) -> int:
        """How many operands have the elements of a loop in places that are no neighbours."""
        found = 0
        for operand in generic.ins:
            value = self.lookup(operand.value)
            if loop in operand.loops:
                if isinstance(value, Memory):
                    found += operand.loops[-1] != loop or not _is_side_by_side(value.memref)
                elif isinstance(value, Deferred):
                    inner = Generic(value.op)
                    found += self._apart(inner, (), inner.outs[0].loops[operand.loops.index(loop)])
        for operand, target in zip(generic.outs, targets, strict=False):
            if loop in operand.loops:
                found += operand.loops[-1] != loop or not _is_side_by_side(target.memref)
        return found

    @staticmethod
    def _may_reorder(generic: Generic) -> bool:
        """Whether each result is its terms combined by an operation for which their order is free."""
        return all(_combination(generic, number) is not None for number in range(len(generic.outs)))

    def _widths(self, size: int, body: Callable[[ir.Value, int], None]) -> None:
        """Go through `size` elements by vectors, and through what is left by ever narrower ones."""

        def single(width: int, start: ir.Value, _: Sequence[ir.Value]) -> list[ir.Value]:
            body(start, width)
            return []

        start, width = 0, self.lanes
        while start < size:
            stop = size - (size - start) % width
            vec.loop(start, stop, width, [], functools.partial(single, width))
            start, width = stop, width // 2

    # ---- one place of the other loops ------------------------------------------------------------

    def _reduce(
        self, generic: Generic, targets: Sequence[Memory], carried: Sequence[int], point: _Point
    ) -> None:
        """The results at one place of the parallel loops: reductions go through their loops one by one."""
        outs = generic.outs
        flat = self._vector if point.lane is not None else _scalar
        reductions = [loop for loop in generic.reductions if loop not in point.places]
        start = [flat(self._element(outs[k], point), point) for k in carried] if reductions else []

        def at(places: Mapping[int, ir.Value], so_far: Sequence[ir.Value]) -> list[ir.Value]:
            here = _Point({**point.places, **places}, point.lane, point.width)
            given = {len(generic.ins) + k: value for k, value in zip(carried, so_far, strict=False)}
            values = [flat(value, here) for value in self._evaluate(generic, here, given)]
            for k, value in enumerate(values):
                if k not in carried:
                    self._store(value, targets[k], outs[k], here)
            return [values[k] for k in carried]

        if reductions:
            ends = _sequence([(loop, generic.sizes[loop]) for loop in reductions], start, at)
        else:
            ends = at({}, [])
        for k, value in zip(carried, ends, strict=True):
            self._store(value, targets[k], outs[k], point)

    def _reduce_lanes(
        self,
        generic: Generic,
        targets: Sequence[Memory],
        carried: Sequence[int],
        lane: int,
        places: dict[int, ir.Value],
    ) -> None:
        """Results that are reduced along the lane loop: vectors of partial results, combined at the end."""
        outs, size = generic.outs, generic.sizes[lane]
        names = [_combination(generic, k) or "" for k in carried]
        others = [(loop, generic.sizes[loop]) for loop in generic.reductions if loop != lane]
        totals = [_scalar(self._element(outs[k], _Point(places, None, 1)), None) for k in carried]
        start, width = 0, self.lanes
        while start < size:
            stop = size - (size - start) % width
            if stop > start:
                neutral = []
                for name, total in zip(names, totals, strict=True):
                    value = rw.constant(total.type, _NEUTRAL[name])
                    neutral.append(vec.broadcast(value, width) if width > 1 else value)

                def at(
                    inner: Mapping[int, ir.Value],
                    so_far: Sequence[ir.Value],
                    start: int = start,
                    stop: int = stop,
                    width: int = width,
                ) -> list[ir.Value]:
                    def step(place: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
                        here = _Point({**places, **inner, lane: place}, lane, width)
                        given = {len(generic.ins) + k: v for k, v in zip(carried, values, strict=True)}
                        found = self._evaluate(generic, here, given)
                        return [self._vector(value, here) for value in found]

                    return vec.loop(start, stop, width, so_far, step)

                parts = _sequence(others, neutral, at)
                totals = [_combine(*each) for each in zip(names, totals, parts, strict=True)]
            start, width = stop, width // 2
        for k, value in zip(carried, totals, strict=True):
            self._store(value, targets[k], outs[k], _Point(places, None, 1))

    # ---- elements ------------------------------------------------------------------------------

    def _scope(self, width: int) -> Scope:
        if width not in self._scopes:
            like = self._scopes[self.lanes]
            self._scopes[width] = Scope(width, like.scalars, like.captures)
        return self._scopes[width]

    def _vector(self, element: Element, point: _Point) -> ir.Value:
        if point.width == 1:
            return _scalar(element, point)
        return self._scope(point.width).vector(element)

    def _evaluate(
        self, generic: Generic, point: _Point, given: Mapping[int, Element] | None = None
    ) -> list[Element]:
        arguments: dict[ir.Value, Element] = {}
        for number, operand in enumerate(generic.operands):
            argument = generic.block.arguments[number]
            if given and number in given:
                arguments[argument] = given[number]
            elif next(iter(argument.uses), None) is not None:
                arguments[argument] = self._element(operand, point)
        indices: dict[int, Element] = dict(point.places)
        if point.lane is not None and point.width > 1:
            indices[point.lane] = Spread(point.places[point.lane], tuple(range(point.width)), SIZE)
        return self._scope(point.width).evaluate(generic.block, arguments, indices, {})

    def _element(self, operand: Operand, point: _Point) -> Element:
        """An operand's element: a vector where the lane loop indexes it, else a scalar."""
        value = self.lookup(operand.value)
        if isinstance(value, Splat):
            if value.scalar is None:
                return rw.constant(ir.RankedTensorType(operand.value.type).element_type, 0)
            return value.scalar
        if isinstance(value, Deferred):
            inner = Generic(value.op)
            loops = inner.outs[0].loops
            if inner.reductions or len(inner.outs) != 1 or len(set(operand.loops)) < len(operand.loops):
                raise UnsupportedTile("a reduction as an element")
            mine = dict(zip(operand.loops, loops, strict=True))
            places = {mine[loop]: place for loop, place in point.places.items() if loop in mine}
            lane = mine.get(point.lane) if point.lane is not None else None
            width = point.width if lane is not None else 1
            return self._evaluate(inner, _Point(places, lane, width))[0]
        if not isinstance(value, Memory):
            raise UnsupportedTile("a tensor that is not in memory")
        indices = [point.places[loop] for loop in operand.loops]
        if point.width == 1 or point.lane not in operand.loops:
            return memref.load(value.memref, indices)
        if _is_along(operand, point.lane, value.memref):
            return vec.load(value.memref, indices, point.width)
        lanes = [memref.load(value.memref, each) for each in self._lane_places(operand, point)]
        type_ = vec.vector_type(lanes[0].type, point.width)
        return vector.FromElementsOp(type_, lanes).result

    @staticmethod
    def _lane_places(operand: Operand, point: _Point) -> list[list[ir.Value]]:
        return [
            [vec.plus(point.places[loop], n if loop == point.lane else 0) for loop in operand.loops]
            for n in range(point.width)
        ]

    def _store(self, value: ir.Value, target: Memory, operand: Operand, point: _Point) -> None:
        places = [point.places[loop] for loop in operand.loops]
        if point.width == 1 or point.lane not in operand.loops:
            memref.store(value, target.memref, places)
        elif _is_along(operand, point.lane, target.memref):
            vec.store(value, target.memref, places)
        else:
            for n, each in enumerate(self._lane_places(operand, point)):
                memref.store(vec.extract(value, n), target.memref, each)


def _is_side_by_side(buffer: ir.Value) -> bool:
    """Whether vectors of the last dimension can be read."""
    type_ = ir.MemRefType(buffer.type)
    strides, _ = type_.get_strides_and_offset()
    return bool(strides) and strides[-1] == 1 and vec.fills_bytes(type_.element_type)


def _is_along(operand: Operand, lane: int | None, buffer: ir.Value) -> bool:
    return operand.loops[-1] == lane and operand.loops.count(lane) == 1 and _is_side_by_side(buffer)


def _scalar(element: Element, _point: object) -> ir.Value:
    assert not isinstance(element, Spread), "positions differ from lane to lane"
    return element


def _combination(generic: Generic, number: int) -> str | None:
    """The operation by which a result combines its terms, if their order is free."""
    out, yielded = generic.argument_of_out(number), generic.yielded[number]
    uses = list(out.uses)
    if isinstance(yielded.owner, ir.Block) or len(uses) != 1:
        return None
    op = yielded.owner.operation
    if op.name not in _NEUTRAL or uses[0].owner.operation != op or len(list(yielded.uses)) != 1:
        return None
    return op.name


def _combine(name: str, total: ir.Value, part: ir.Value) -> ir.Value:
    """A total with all lanes of a vector, or with one more scalar: halves are combined until one is left."""

    def both(a: ir.Value, b: ir.Value) -> ir.Value:
        return ir.Operation.create(name, results=[a.type], operands=[a, b]).results[0]

    if vec.is_vector(part):
        width = ir.VectorType(part.type).shape[0]
        while width > 1:
            width //= 2
            low, high = (
                vector.ShuffleOp(part, part, list(range(first, first + width))).result for first in (0, width)
            )
            part = both(low, high)
        part = vec.extract(part, 0)
    return both(total, part)


def _nest(loops: Sequence[tuple[int, int | ir.Value]], body: Callable[[dict[int, ir.Value]], None]) -> None:
    """Loops from 0 to each size, outermost first, without results."""

    def at(places: Mapping[int, ir.Value], _: Sequence[ir.Value]) -> list[ir.Value]:
        body(dict(places))
        return []

    _sequence(loops, [], at)


def _sequence(
    loops: Sequence[tuple[int, int | ir.Value]],
    inits: Sequence[ir.Value],
    body: Callable[[Mapping[int, ir.Value], Sequence[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Loops from 0 to each size, outermost first, that hand on values."""

    def inner(number: int, places: Mapping[int, ir.Value], carried: Sequence[ir.Value]) -> list[ir.Value]:
        if number == len(loops):
            return body(places, carried)
        loop, size = loops[number]
        return vec.loop(0, size, 1, carried, lambda i, values: inner(number + 1, {**places, loop: i}, values))

    return list(inner(0, {}, inits))
