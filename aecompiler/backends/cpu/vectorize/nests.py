"""Loop nests for the structured operations of a tile program, with the register tile spelled out.

A tensor of elements is `[n, lanes]`: a vector holds neighbouring elements of one row. A *chunk* is the number
of a vector in a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.bodies import Element, Scope
from aecompiler.backends.cpu.vectorize.contractions import (
    Contraction,
    Key,
    PairedOperands,
    Prepared,
    multiply_pairs,
    pack_pair,
    pair_operands,
    plain_operands,
)
from aecompiler.backends.cpu.vectorize.positions import Spread
from aecompiler.backends.cpu.vectorize.prefetch import next_keys, next_values
from aecompiler.backends.cpu.vectorize.storage import Storage
from aecompiler.backends.cpu.vectorize.values import Deferred, Memory, Pairs, Rows, Splat, TileValue
from aecompiler.bindings import arith, ir, memref
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import Generic, Operand, UnsupportedTile

MAX_CHUNKS = 64
"""Vectors of a row: there is code for each of them."""

_SUMS = 8
"""Vectors in which a sum over a whole tile is gathered."""

Lookup = Callable[[ir.Value], TileValue]


@dataclasses.dataclass
class Point:
    """Where in the loops of an operation code is being built.

    `loops`: the place in each loop that is not the lane loop; `lane`: the lane loop, `chunk`: the vector in
    it. `given`: elements that are in registers already. `uniform` and `loaded` remember what is the same for
    several points.
    """

    loops: Mapping[int, ir.Value]
    lane: int | None
    chunk: int
    given: Mapping[ir.Value, ir.Value]
    uniform: MutableMapping[ir.Value, ir.Value]
    loaded: MutableMapping[object, Element]


class Nests:
    """Builds the loop nests of one tile program."""

    def __init__(self, scope: Scope, storage: Storage, lookup: Lookup):
        self.scope, self.storage, self.lookup = scope, storage, lookup
        self.machine, self.lanes = storage.machine, storage.lanes
        self.pairs: dict[ir.Value, Pairs] = {}
        self.transposed: dict[ir.Value, Memory] = {}
        """Tiles whose columns products sum over, their rows being lanes: as they are read there."""
        self.transpose: Callable[[ir.Value, ir.Value], None]
        self.turned: dict[ir.Value, ir.Value] = {}
        """Reads in bodies whose elements are in memory already, [keys, rows]."""

    def groups(self, length: int) -> list[list[int]]:
        """The chunks of a row, in groups that share a register tile."""
        if length == rw.DYNAMIC:
            raise UnsupportedTile("a tensor whose sizes are not known")
        if length % self.lanes:
            raise UnsupportedTile(f"a row of {length} elements on vectors of {self.lanes}")
        chunks = list(range(length // self.lanes))
        if len(chunks) > MAX_CHUNKS:
            raise UnsupportedTile("rows so long that the code for their vectors would be")
        step = self.machine.tile_q
        return [chunks[i : i + step] for i in range(0, len(chunks), step)]

    # ---- elements ------------------------------------------------------------------------------

    def element(self, operand: Operand, point: Point) -> Element:
        """An operand's element at a point: a vector where the lane loop indexes it, else a scalar."""
        if operand.value in point.given:
            return point.given[operand.value]
        value = self.lookup(operand.value)
        if isinstance(value, Splat):
            if value.scalar is None:
                return rw.constant(ir.RankedTensorType(operand.value.type).element_type, 0)
            return value.scalar
        if isinstance(value, Rows):
            if operand.loops != (point.lane,):
                raise UnsupportedTile("a row tensor that is not read along its rows")
            return (value.positions or value.vectors)[point.chunk]
        if isinstance(value, Deferred):
            return self._deferred(value, operand, point)
        if isinstance(value, Memory):
            return self._loaded(value, operand, point)
        raise UnsupportedTile("a tensor in a packed form as an element")

    def _loaded(self, value: Memory, operand: Operand, point: Point) -> Element:
        if point.lane in operand.loops[:-1]:
            raise UnsupportedTile("a transposed operand")
        along = bool(operand.loops) and operand.loops[-1] == point.lane
        places = [point.loops[loop] for loop in operand.loops if loop != point.lane]
        key = (value.memref, tuple(places), point.chunk if along else None)
        if key not in point.loaded:
            if along:
                places.append(rw.index(point.chunk * self.lanes))
                point.loaded[key] = vec.load(value.memref, places, self.lanes)
            else:
                point.loaded[key] = memref.load(value.memref, places)
        return point.loaded[key]

    def _deferred(self, value: Deferred, operand: Operand, point: Point) -> Element:
        generic = Generic(value.op)
        out = generic.outs[0].loops
        if generic.reductions or len(out) != len(operand.loops):
            raise UnsupportedTile("a product of matrices as an element")
        inner = Point(
            {
                mine: point.loops[theirs]
                for mine, theirs in zip(out, operand.loops, strict=True)
                if theirs != point.lane
            },
            next((m for m, t in zip(out, operand.loops, strict=True) if t == point.lane), None),
            point.chunk,
            point.given,
            {},
            point.loaded,
        )
        return self.evaluate(generic, inner)[0]

    def evaluate(
        self,
        generic: Generic,
        point: Point,
        given: Mapping[int, Element] | None = None,
        results: Sequence[ir.Value] | None = None,
    ) -> list[Element]:
        """What the body yields at a point, or `results`; `given` has elements by the operand's number."""
        arguments: dict[ir.Value, Element] = {}
        for number, operand in enumerate(generic.operands):
            argument = generic.block.arguments[number]
            if given and number in given:
                arguments[argument] = given[number]
            elif next(iter(argument.uses), None) is not None:
                arguments[argument] = self.element(operand, point)
        for value, memory in self.turned.items():
            if value.owner.operation.block == generic.block and point.lane is not None:
                key, _ = element_loops(generic)
                place = [point.loops[key], rw.index(point.chunk * self.lanes)]
                arguments[value] = vec.load(memory, place, self.lanes)
        indices: dict[int, Element] = dict(point.loops)
        if point.lane is not None:
            indices[point.lane] = self.scope.positions.along(point.chunk * self.lanes)
        return self.scope.evaluate(generic.block, arguments, indices, point.uniform, results)

    # ---- rows ----------------------------------------------------------------------------------

    def rows(self, generic: Generic) -> list[Rows]:
        """An operation over the rows alone."""
        length = generic.sizes[0]
        results: list[list[Element]] = [[] for _ in generic.outs]
        uniform: dict[ir.Value, ir.Value] = {}
        for group in self.groups(length):
            for chunk in group:
                values = self.evaluate(generic, Point({}, 0, chunk, {}, uniform, {}))
                for result, value in zip(results, values, strict=True):
                    result.append(value)
        rows = []
        for result in results:
            are_positions = all(isinstance(value, Spread) for value in result)
            vectors = tuple(self.scope.vector(value) for value in result)
            rows.append(Rows(vectors, tuple(result) if are_positions else ()))
        return rows

    def total(self, generic: Generic) -> Splat:
        """A sum over all elements of a tensor in memory: a tensor of rank 0."""
        yielded = generic.yielded[0]
        out = generic.argument(generic.outs[0])
        if isinstance(yielded.owner, ir.Block) or yielded.owner.operation.name != "arith.addf":
            raise UnsupportedTile("a reduction of all elements that is no sum")
        if out not in list(yielded.owner.operation.operands) or len(list(out.uses)) != 1:
            raise UnsupportedTile("a reduction of all elements that is no sum")
        if len(generic.outs) != 1 or len(generic.ins) != 1 or generic.ins[0].loops != (0, 1):
            raise UnsupportedTile("a reduction of all elements of more than one tensor")
        rows, columns = generic.sizes[0], generic.sizes[1]
        memory = self.memory(generic.ins[0].value)
        acc = out.type
        whole = columns - columns % self.lanes
        zero = rw.constant(acc, 0.0)

        def add(n: ir.Value, c: ir.Value, so_far: ir.Value, width: int) -> ir.Value:
            place = [n, c]
            element = (
                vec.load(memory.memref, place, width) if width > 1 else memref.load(memory.memref, place)
            )
            arguments = {generic.argument(generic.ins[0]): element, out: so_far}
            return self.scope.evaluate(generic.block, arguments, {}, {})[0]

        # Sums that do not wait for each other: as many as an addition takes cycles, and more.
        count = max(1, min(_SUMS, whole // self.lanes))

        def row(n: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            *sums, rest = carried

            def strip(c: ir.Value, number: int, sums: list[ir.Value]) -> list[ir.Value]:
                places = [vec.plus(c, i * self.lanes) for i in range(number // self.lanes)]
                added = [add(n, place, part, self.lanes) for place, part in zip(places, sums, strict=False)]
                return [*added, *sums[len(added) :]]

            sums = vec.strips(whole, count * self.lanes, sums, strip)
            (rest,) = vec.loop(whole, columns, 1, [rest], lambda c, s: [add(n, c, s[0], 1)])
            return [*sums, rest]

        start = self.element(generic.outs[0], Point({}, None, 0, {}, {}, {}))
        zeros = [vec.broadcast(zero, self.lanes)] * count
        *sums, rest = vec.loop(0, rows, 1, [*zeros, start], row)
        while len(sums) > 1:
            sums = [
                arith.addf(*sums[i : i + 2]) if i + 1 < len(sums) else sums[i] for i in range(0, len(sums), 2)
            ]
        return Splat(arith.addf(vec.sum_of(sums[0]), rest))

    # ---- elements of a tile --------------------------------------------------------------------

    def tile(
        self,
        members: Sequence[Generic],
        contraction: Contraction | None,
        targets: Mapping[ir.Value, Sequence[Memory | Pairs]],
    ) -> dict[ir.Value, Rows]:
        """Operations over the same elements in one nest, on top of the register tile of a contraction.

        Returns the row tensors that they reduce to; elements are stored where `targets` says.
        """
        if contraction is not None:
            n_loop, lane, sizes = contraction.x, contraction.lane, contraction.generic.sizes
        else:
            (n_loop, lane), sizes = element_loops(members[0]), members[0].sizes
        pairs = any(isinstance(t, Pairs) for found in targets.values() for t in found)
        reduced = [
            (generic, number)
            for generic in members
            for number, out in enumerate(generic.outs)
            if len(out.loops) == 1
        ]
        results: dict[ir.Value, list[ir.Value]] = {g.op.results[n]: [] for g, n in reduced}
        prepared = self.prepare(contraction) if contraction else None
        for group in self.groups(sizes[lane]):
            inits = []
            for generic, number in reduced:
                _, its_lane = element_loops(generic)
                for chunk in group:
                    start = self.element(generic.outs[number], Point({}, its_lane, chunk, {}, {}, {}))
                    inits.append(self.scope.vector(start))

            def strip(n: ir.Value, count: int, carried: list[ir.Value], group: list[int] = group) -> list:
                return self._strip(members, prepared, targets, reduced, group, n, count, list(carried))

            step = self._rows_of_register_tile(self.machine.tile_kv, group) if contraction else 1
            step = max(step - step % 2, 2) if pairs else step
            carried = vec.strips(sizes[n_loop], step, inits, strip)
            for position, (generic, number) in enumerate(reduced):
                part = carried[position * len(group) : (position + 1) * len(group)]
                results[generic.op.results[number]].extend(part)
        return {value: Rows(tuple(parts)) for value, parts in results.items()}

    def _strip(
        self,
        members: Sequence[Generic],
        prepared: Prepared | None,
        targets: Mapping[ir.Value, Sequence[Memory | Pairs]],
        reduced: Sequence[tuple[Generic, int]],
        group: Sequence[int],
        n: ir.Value,
        count: int,
        carried: list[ir.Value],
    ) -> list[ir.Value]:
        """`count` rows from `n` on of a group of chunks."""
        products = self.contract(prepared, n, count, group) if prepared else {}
        slot = {
            (g.op.results[k], c): i * len(group) + p
            for i, (g, k) in enumerate(reduced)
            for p, c in enumerate(group)
        }
        waiting: dict[tuple[ir.Value, int], ir.Value] = {}
        for row in range(count):
            place = vec.plus(n, row)
            uniform: list[dict[ir.Value, ir.Value]] = [{} for _ in members]
            loaded: dict[object, Element] = {}
            for chunk in group:
                given: dict[ir.Value, ir.Value] = {}
                if prepared:
                    product = prepared.contraction.result
                    given[product] = products[row, chunk]
                    self._store(
                        targets.get(product, ()), products[row, chunk], place, row, chunk, waiting, product
                    )
                for generic, known in zip(members, uniform, strict=True):
                    n_loop, lane = element_loops(generic)
                    sofar = {
                        len(generic.ins) + k: carried[slot[generic.op.results[k], chunk]]
                        for k, out in enumerate(generic.outs)
                        if len(out.loops) == 1
                    }
                    point = Point({n_loop: place}, lane, chunk, given, known, loaded)
                    values = self.evaluate(generic, point, sofar)
                    for k, value in enumerate(values):
                        result, flat = generic.op.results[k], self.scope.vector(value)
                        if len(generic.outs[k].loops) == 1:
                            carried[slot[result, chunk]] = flat
                        else:
                            given[result] = flat
                            self._store(targets.get(result, ()), flat, place, row, chunk, waiting, result)
        return carried

    def _store(
        self,
        targets: Sequence[Memory | Pairs],
        value: ir.Value,
        place: ir.Value,
        row: int,
        chunk: int,
        waiting: dict[tuple[ir.Value, int], ir.Value],
        key: ir.Value,
    ) -> None:
        column = rw.index(chunk * self.lanes)
        for target in targets:
            if isinstance(target, Memory):
                vec.store(value, target.memref, [place, column])
            elif row % 2 == 0:
                waiting[key, chunk] = value
            else:
                word = pack_pair(waiting.pop((key, chunk)), value, self.lanes)
                vec.store(word, target.memref, [arith.divui(place, rw.index(2)), column])

    # ---- products of matrices ------------------------------------------------------------------

    def product(self, contraction: Contraction, target: Memory) -> None:
        """A contraction whose result is stored."""
        prepared = self.prepare(contraction)
        for group in self.groups(contraction.generic.sizes[contraction.lane]):

            def strip(x: ir.Value, count: int, _: list[ir.Value], group: list[int] = group) -> list[ir.Value]:
                for (row, chunk), value in self.contract(prepared, x, count, group).items():
                    vec.store(value, target.memref, [vec.plus(x, row), rw.index(chunk * self.lanes)])
                return []

            step = self._rows_of_register_tile(self.machine.tile_d, group)
            vec.strips(contraction.generic.sizes[contraction.x], step, [], strip)

    def _rows_of_register_tile(self, rows: int, group: Sequence[int]) -> int:
        """The rows of a register tile: more where a row has fewer vectors than the schedule thinks of."""
        return rows * self.machine.tile_q // len(group)

    def prepare(self, contraction: Contraction) -> Prepared:
        """Bring the operands into a form that is cheap to read, before the loops."""
        paired = self._paired(contraction)
        wide = {}
        if paired is None:
            acc = contraction.generic.argument(contraction.generic.outs[0]).type
            few_lanes = contraction.generic.sizes[contraction.lane] <= self.lanes
            for operand in plain_operands(contraction):
                memory = self.memory(operand.value)
                # Each element is used for few products only: what counts is that memory is read row by row.
                if memory.type.element_type != acc or (few_lanes and not memory.owned):
                    wide[operand.value] = self.storage.widen(memory, acc)
            for operand in contraction.generic.ins:
                if operand.loops == (contraction.lane, contraction.k):
                    self._transpose(operand.value, acc)
        return Prepared(contraction, paired, wide)

    def _transpose(self, value: ir.Value, acc: ir.Type) -> None:
        """Make the transposed form of a tile."""
        if value not in self.transposed:
            memory = self.memory(value)
            target = self.storage.allocate(list(memory.type.shape)[::-1], acc)
            self.transpose(memory.memref, target)
            self.transposed[value] = Memory(target, owned=True)

    def _paired(self, contraction: Contraction) -> PairedOperands | None:
        found = pair_operands(contraction) if self.machine.pair_products else None
        if found is None:
            return None
        a, b = found
        packed = self.packed(b.value)
        if packed is None:
            return None
        memory = self.memory(a.value)
        if a.loops[0] == contraction.x:
            return PairedOperands(memory.memref, False, packed.memref)
        return PairedOperands(self.storage.interleave(memory), True, packed.memref)

    def contract(
        self, prepared: Prepared, x: ir.Value, count: int, group: Sequence[int]
    ) -> dict[Key, ir.Value]:
        """The register tile: `count` rows from `x` on, the chunks of `group`."""
        contraction = prepared.contraction
        generic = contraction.generic
        keys = [(row, chunk) for row in range(count) for chunk in group]
        inits = []
        for row, chunk in keys:
            point = Point({contraction.x: vec.plus(x, row)}, contraction.lane, chunk, {}, {}, {})
            inits.append(self.scope.vector(self.element(generic.outs[0], point)))

        def step(k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            accumulators = dict(zip(keys, carried, strict=True))
            if self.machine.prefetch:
                self._prefetch(prepared, x, k, count)
            if prepared.paired:
                return multiply_pairs(prepared.paired, x, k, keys, accumulators, self.lanes)
            uniform: list[dict[ir.Value, ir.Value]] = [{} for _ in range(count)]
            loaded: dict[object, Element] = {}
            results = []
            for row, chunk in keys:
                place = {contraction.x: vec.plus(x, row), contraction.k: k}
                point = Point(place, contraction.lane, chunk, {}, uniform[row], {})
                given: dict[int, Element] = {len(generic.ins): accumulators[row, chunk]}
                for number, operand in enumerate(generic.ins):
                    name = (
                        number,
                        row if contraction.x in operand.loops else None,
                        chunk if contraction.lane in operand.loops else None,
                    )
                    if name not in loaded:
                        loaded[name] = self._factor(prepared, operand, point)
                    given[number] = loaded[name]
                results.append(self.scope.vector(self.evaluate(generic, point, given)[0]))
            return results

        size = contraction.size // 2 if prepared.paired else contraction.size
        return dict(zip(keys, vec.loop(0, size, 1, inits, step), strict=True))

    def _factor(self, prepared: Prepared, operand: Operand, point: Point) -> Element:
        """An element of an operand of a product, read from the form that it was brought into."""
        lane, k = prepared.contraction.lane, prepared.contraction.k
        if operand.loops == (lane, k):
            return self._loaded(self.transposed[operand.value], Operand(operand.value, (k, lane)), point)
        wide = prepared.wide.get(operand.value)
        return self._loaded(wide, operand, point) if wide else self.element(operand, point)

    def _prefetch(self, prepared: Prepared, x: ir.Value, k: ir.Value, count: int) -> None:
        """Ask for a part of the next tile of k or v, in a step of a register tile that reads this one."""
        contraction, paired = prepared.contraction, prepared.paired
        for operand in plain_operands(contraction):
            memory = self.memory(operand.value)
            is_read = operand.value not in prepared.wide and not (paired and paired.interleaved)
            if not is_read or memory.owned:
                continue
            if operand.loops[0] == contraction.x:
                keys = contraction.generic.sizes[contraction.x]
                next_keys(memory.memref, keys, x, count, k, 2 if paired else 1)
            else:
                next_values(memory.memref, contraction.size, k, x)

    def packed(self, value: ir.Value) -> Pairs | None:
        """The packed form of a tensor, if it was made."""
        return self.pairs.get(value)

    def memory(self, value: ir.Value) -> Memory:
        """A tensor that is in memory."""
        found = self.lookup(value)
        if not isinstance(found, Memory):
            raise UnsupportedTile("a tensor that is not in memory")
        return found


def element_loops(generic: Generic) -> tuple[int, int]:
    """The loop over rows and the loop over lanes of an operation on elements."""
    for operand in (*generic.outs, *generic.ins):
        if len(operand.loops) == 2:
            return operand.loops[0], operand.loops[1]
    raise UnsupportedTile("an operation without a tensor of elements")
