"""Reductions and products of matrices around attention, as loops in the programs of a grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.element_computations import Nest
from aecompiler.passes.element_grids import MOST_COLUMNS, TILE, Target, at_most, make_grid, tile_blocks
from aecompiler.passes.element_tiles import Space, compute, factor, range_of, tiles_of
from aecompiler.passes.structured_ops import EXACT, identity_of
from aecompiler.passes.tensor_elements import Elements, Expression, Positions, loop, loops_of
from aecompiler.passes.tensor_parts import Indices

PRODUCT, SUMMED = 64, 32
"""The rows and columns of a tile of a product, and what is summed at once."""


@dataclasses.dataclass(frozen=True)
class Law:
    """How a result is reduced: by an operation of `arith`, with an element of the body."""

    operation: str
    element: ir.Value
    identity: int | float


class Reduction:
    """A structured operation that reduces, with the elements of its operands.

    Loops of its results are numbered as their dimensions, those that reduce behind them.
    """

    def __init__(self, nest: Nest, target: Target, inlined: set[ir.Value]):
        self.nest, self.target = nest, target
        rank = len(target.sizes)
        self.sizes = {rank + n: nest.size(each) for n, each in enumerate(nest.reductions)}
        every = {*target.long, *(n for n, size in self.sizes.items() if size.number != 1)}
        self.elements = Elements(inlined, every)
        places = tuple(loop(d) for d in range(rank))
        self.loops = nest.loops(0, places)
        self.operands = nest.elements_of(self.elements, self.loops)
        count = len(nest.inputs)
        self.inputs, self.begins = self.operands[:count], self.operands[count:]

    def build(self) -> list[ir.Value]:
        """The grid that makes the results."""
        product = self._factors()
        if product is not None:
            return self._product(*product)
        laws = [law for number in range(len(self.begins)) if (law := self._law(number)) is not None]
        return self._in_tiles(laws) if len(laws) == len(self.begins) else self._one_by_one()

    # ---- products ----

    def _factors(self) -> tuple[int, int, int] | None:
        """The loops of rows, columns and sums, if the operation adds products of two matrices."""
        if len(self.inputs) != 2 or len(self.begins) != 1 or len(self.sizes) != 1:
            return None
        if not adds_products(self.nest) or self.target.elements[0].width < 32:
            return None
        rows, columns = (self._loops_of(each) & set(self.target.long) for each in self.inputs)
        rows, columns = rows - columns, columns - rows
        (summed,) = self.sizes
        is_summed = all(summed in self._loops_of(each) for each in self.inputs)
        if not rows or not columns or not is_summed:
            return None
        return max(rows), max(columns), summed

    def _loops_of(self, expression: Expression) -> set[int]:
        found: set[int] = set()
        for each in expression.every():
            if each.read is not None:
                found.update(number for place in each.read[1] for number in loops_of(place))
        return found

    def _product(self, rows: int, columns: int, summed: int) -> list[ir.Value]:
        """Tiles of sums of products, by the multiplication of matrices."""
        sizes = self.target.sizes
        blocks = {number: at_most(sizes[number], PRODUCT) for number in (rows, columns)}

        def program(space: Space, order: Sequence[int]) -> list[ir.Value]:
            def step(inner: Space, carried: list[ir.Value]) -> list[ir.Value]:
                loops = (rows, columns, summed)
                arguments = self.nest.block.arguments
                tiles = [
                    factor(each, argument.type, (own, summed), summed, inner)
                    for each, own, argument in zip(self.inputs, loops, arguments, strict=False)
                ]
                ins = [(tile, [loops.index(number) for number in own]) for tile, own in tiles]
                out = [loops.index(number) for number in order]

                def body(inputs: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
                    return self._after([*inputs, *outputs], inner.before())

                results = rw.generic(ins, [(carried[0], out)], "ppr", body)
                results[0].owner.attributes[EXACT] = ir.UnitAttr.get()
                return results

            begins = tiles_of(self.begins, self.target.elements, order, space)
            return self._over(space, {summed: at_most(self.sizes[summed], SUMMED)}, begins, step)

        return make_grid(self.target, blocks, self.elements.guarded, program)

    # ---- other reductions ----

    def _tiles(self) -> tuple[dict[int, int], int, int]:
        """The size of a tile by loop, the loop that is reduced in tiles, and how much of it at once.

        Neighbours in memory are in one tile, whether they are reduced or not.
        """
        widest = max(
            (each.read[1] for value in self.inputs for each in value.every() if each.read is not None),
            key=lambda places: len(set().union(*map(loops_of, places), set())),
            default=(),
        )
        inner = [number for place in widest for number in sorted(loops_of(place))]
        is_row = not inner or inner[-1] in self.sizes
        summed = next((number for number in reversed(inner) if number in self.sizes), max(self.sizes))
        kept = [number for number in inner if number in self.target.long] or self.target.long
        blocks: dict[int, int] = {}
        if is_row:
            taken = at_most(self.sizes[summed], MOST_COLUMNS if kept else TILE // 2)
            if kept:
                blocks = {kept[-1]: at_most(self.target.sizes[kept[-1]], TILE // max(taken, 16))}
        else:
            blocks = {kept[-1]: at_most(self.target.sizes[kept[-1]], MOST_COLUMNS // 2)}
            taken = at_most(self.sizes[summed], TILE // max(blocks[kept[-1]], 16))
        return blocks, summed, taken

    def _in_tiles(self, laws: Sequence[Law]) -> list[ir.Value]:
        """One loop that reduces in tiles, combined by operations whose identities are known."""
        blocks, summed, taken = self._tiles()

        def program(space: Space, order: Sequence[int]) -> list[ir.Value]:
            def step(within: Space, carried: list[ir.Value]) -> list[ir.Value]:
                every = [*order, summed]

                def combine(values: list[ir.Value], outputs: list[ir.Value]) -> list[ir.Value]:
                    mapping = self.nest.body([*values, *outputs], self.loops, within.inside(every))
                    results = []
                    for law, out in zip(laws, outputs, strict=True):
                        new = mapping.get(law.element, law.element)
                        if not within.ranges[summed].is_full:
                            here = within.is_inside(summed, every)
                            new = arith.select(here, new, rw.constant(new.type, law.identity))
                        results.append(getattr(arith, law.operation)(out, new))
                    return results

                return compute(self.inputs, every, within, carried, order, combine)

            begins = tiles_of(self.begins, self.target.elements, order, space)
            return self._over(space, {summed: taken}, begins, step)

        return make_grid(self.target, blocks, self.elements.guarded, program)

    def _one_by_one(self) -> list[ir.Value]:
        """Loops that reduce, one element after the other, whatever the operation is."""

        def program(space: Space, order: Sequence[int]) -> list[ir.Value]:
            def step(within: Space, carried: list[ir.Value]) -> list[ir.Value]:
                given = [(tile, range(len(order))) for tile in carried]
                outs = [
                    (tensor.empty(tile.type.shape, tile.type.element_type), range(len(order)))
                    for tile in carried
                ]

                def body(inputs: list[ir.Value], _outputs: list[ir.Value]) -> list[ir.Value]:
                    positions = within.inside(order)
                    built: dict[Expression, ir.Value] = {}
                    values = [each.build(positions, built) for each in self.inputs]
                    return self._after([*values, *inputs], positions)

                return rw.generic(given, outs, "p" * len(order), body)

            begins = tiles_of(self.begins, self.target.elements, order, space)
            return self._over(space, {}, begins, step)

        return make_grid(self.target, tile_blocks(self.target), self.elements.guarded, program)

    def _after(self, values: Sequence[ir.Value], positions: Positions) -> list[ir.Value]:
        """What the body makes of elements and results."""
        mapping = self.nest.body(values, self.loops, positions)
        return [mapping.get(each, each) for each in self.nest.yielded]

    def _over(
        self,
        space: Space,
        blocks: Mapping[int, int],
        begins: Sequence[ir.Value],
        step: Callable[[Space, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """Nested loops over what is reduced, one of which may go in tiles; `step` is done in each turn."""
        indices = Indices()
        sizes = {number: indices.build(size) for number, size in self.sizes.items()}
        values = {n: rw.index(size) if isinstance(size, int) else size for n, size in sizes.items()}
        zero, one = rw.index(0), rw.index(1)
        order = sorted(values, key=lambda number: number in blocks)

        def nest(left: Sequence[int], within: Space, carried: list[ir.Value]) -> list[ir.Value]:
            if not left:
                return step(within, carried)
            number, *rest = left
            size = values[number]
            if number in blocks and self.sizes[number].number == blocks[number]:
                return nest(rest, within.within({}, {number: range_of(None, size, blocks[number])}), carried)

            def turn(index: ir.Value, inner: list[ir.Value]) -> list[ir.Value]:
                if number in blocks:
                    new = within.within({}, {number: range_of(index, size, blocks[number])})
                else:
                    new = within.within({number: index}, {})
                return nest(rest, new, inner)

            count = arith.ceildivui(size, rw.index(blocks[number])) if number in blocks else size
            return rw.for_loop(zero, count, one, carried, turn)

        return nest(order, space, list(begins))

    def _law(self, number: int) -> Law | None:
        """How a result is reduced; None if that is not known."""
        nest = self.nest
        yielded = nest.yielded[number]
        if isinstance(yielded.owner, ir.Block):
            return None
        op = yielded.owner.operation
        name = op.name.removeprefix("arith.")
        identity = identity_of(op.name, yielded.type)
        argument = nest.argument_of_out(number)
        if identity is None or op.block != nest.block or argument not in list(op.operands):
            return None
        left, right = op.operands
        element = right if left == argument else left
        outs = {nest.argument_of_out(n) for n in range(len(nest.outputs))}
        return None if _depends(element, outs) else Law(name, element, identity)


def adds_products(nest: Nest) -> bool:
    """Whether the body is out + a * b, of floats that are widened at most."""
    total, out = rw.definer(nest.yielded[0]), nest.argument_of_out(0)
    if total is None or total.name != "arith.addf" or out not in list(total.operands):
        return False
    left, right = total.operands
    product = rw.definer(right if left == out else left)
    if product is None or product.name != "arith.mulf":
        return False
    factors = []
    for each in product.operands:
        made = rw.definer(each)
        factors.append(made.operands[0] if made is not None and made.name == "arith.extf" else each)
    return set(factors) == set(list(nest.block.arguments)[:2])


def _depends(value: ir.Value, others: set[ir.Value]) -> bool:
    """Whether a value is computed from one of others."""
    if value in others:
        return True
    made = rw.definer(value)
    return made is not None and any(_depends(each, others) for each in made.operands)
