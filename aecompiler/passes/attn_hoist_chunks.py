"""The pass `attn-hoist-chunks`: what chunks have without the state is computed in a grid before."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Iterable

from aecompiler.bindings import arith, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_law import FALLBACK
from aecompiler.passes.chunk_program import CHUNKS
from aecompiler.passes.infra import Pass, option, register_pass
from aecompiler.passes.tile_rows import OPERAND
from aecompiler.passes.tile_sums import PREFIX_SUM


class Hoisted(enum.Enum):
    """What is taken out of a loop over chunks."""

    AUTO = "auto"
    """All, where decays are summed up for each key feature; else sums, and what takes many products."""
    ALL = "all"
    """All that the state, or what depends on it, is combined with."""
    VECTORS = "vectors"
    """Sums over vectors, as of the logarithms of decays."""


@register_pass
class HoistChunks(Pass):
    """Compute what chunks have without the state in a grid over all chunks, before the one with loops.

    A loop over chunks is a sequential program: whatever is in it is waited for once for each chunk. What does
    not depend on the state, as the decays of a chunk, the inverse of I + N, or weighed queries and keys, can
    be computed for all chunks at once, by as many programs as there are chunks; it costs memory.

    *Before*: tile programs of `attn-tile-chunked` without duplicates (`canonicalize`, `cse`). *After*: before
    each grid that has a loop with the attribute `attn.chunks` there is another, over sequences, heads and
    chunks, whose results the loop reads. Grids of variable-length forms, whose chunks are not known before,
    and loops in which there is nothing to take out stay as they are.

    A branch with the attribute `attn.fallback`, whose second part is hardly ever needed, would cost all
    programs the registers of that part. Its first part is computed in the grid before, which also tells where
    the condition does not hold, and a second grid computes the tiles of these chunks again by the other part.

    With `shared-heads`, a product that at least so many heads have alike, as of q and k that they share, is
    computed once for them, too: the grid before has the heads that differ.

    What is read from memory as it stands, and what depends on v, stays in the loop. Tiles of two dimensions
    that are nothing but factors of products are rounded to bf16 if q is bf16: products would do the same.

    ```mlir
    scf.forall (%b, %h) in (%batch, 8) ... {
      scf.for %n = %c0 to %chunks ... iter_args(%state = ...) {
        %sums = linalg.generic ... {attn.prefix_sum}
        %rows = linalg.generic ... ins(%sums, %state) ...
      } {attn.chunks}
    }
    ```
    becomes
    ```mlir
    %all = scf.forall (%b, %h, %n) in (%batch, 8, %chunks) ... {%sums = ...}
    scf.forall (%b, %h) in (%batch, 8) ... {
      scf.for %n = %c0 to %chunks ... iter_args(%state = ...) {
        %sums = tensor.extract_slice %all[%b, %h, %n, 0] ...
        %rows = linalg.generic ... ins(%sums, %state) ...
      } {attn.chunks}
    }
    ```
    """

    NAME = "attn-hoist-chunks"

    take: Hoisted = option(Hoisted.AUTO, "what is taken out: auto, all or vectors")
    shared_heads: int = option(0, "how many heads have a product alike that is taken out; 0: none is")

    def __post_init__(self) -> None:
        if self.shared_heads < 0 or self.shared_heads == 1:
            raise ValueError(f"expects shared-heads to be 2 or more, or 0 for none, got {self.shared_heads}")

    def run(self, op: ir.Operation) -> None:
        """Split every grid in `op` that has a loop over chunks."""
        for loop in [each for each in rw.walk_list(op, "scf.for") if CHUNKS in each.attributes]:
            grid = loop.parent.operation
            if grid.name == "scf.forall":
                _Split(grid, loop, self.take, self.shared_heads).run()


MANY_PRODUCTS = 3
"""So many products without the state are too many for a loop; q k^T is one."""


class _Split:
    """One grid and its loop."""

    def __init__(self, grid: ir.Operation, loop: ir.Operation, take: Hoisted, shared_heads: int):
        self.grid, self.loop = grid, loop
        self.outer, self.inner = grid.regions[0].blocks[0], loop.regions[0].blocks[0]
        rank = len(self.outer.arguments) - len(grid.results)
        self.positions = list(self.outer.arguments)[:rank]
        self.number, *carried = self.inner.arguments
        # What changes with the value features, or in them, is not the same for all programs of a head.
        outside = _followers(self.outer, {*self.positions[2:], *list(self.outer.arguments)[rank:]})
        self.bound_to_loop = _followers(self.inner, {*carried, *outside}, _reads_values)
        self.shared_heads = shared_heads
        self.take = take
        if take == Hoisted.AUTO and self._sums_rows():
            self.take = Hoisted.ALL

    def run(self) -> None:
        """Make the grid before, and let the loop read its results."""
        lower, upper, step = list(self.loop.operands)[:3]
        count = _outside(self.grid, upper)
        if count is None or rw.constant_value(lower) != 0 or rw.constant_value(step) != 1:
            return
        found = [value for view in self.inner.operations for value in self._hoisted(view.operation)]
        by_heads: dict[int, list[ir.Value]] = {1: found} if found else {}
        for value, heads in self._shared_products(found):
            by_heads.setdefault(heads, []).append(value)
        for heads, values in sorted(by_heads.items()):
            self._take_out(values, heads, count)

    def _take_out(self, found: list[ir.Value], heads: int, count: ir.Value) -> None:
        """Compute values before, which so many heads have alike."""
        types = [self._stored_type(value, heads > 1) for value in found]
        with ir.InsertionPoint(self.grid), self.grid.location:
            made = self._grids_before(found, types, count, heads)
        sequence, head = self.positions[:2]
        with ir.InsertionPoint.at_block_begin(self.inner), self.loop.location:
            if heads > 1:
                head = arith.divui(head, rw.index(heads))
            for value, type_, source in zip(found, types, made, strict=True):
                _replace(value, _tile_of(source, [sequence, head, self.number], type_))

    def _shared_products(self, found: list[ir.Value]) -> list[tuple[ir.Value, int]]:
        """Products that many heads have alike and that no other one of these is made of; how many heads."""
        if not self.shared_heads:
            return []
        products = []
        for view in self.inner.operations:
            op = view.operation
            if _is_product(op) and op not in self.bound_to_loop and self._is_left(op, found):
                heads = self._heads_alike(op)
                if heads >= self.shared_heads:
                    products.append((op, heads))
        parts = {each for op, _ in products for each in _slice(self.inner, [op]) if each != op}
        return [(op.results[0], heads) for op, heads in products if op not in parts]

    def _is_left(self, op: ir.Operation, found: list[ir.Value]) -> bool:
        """Whether the loop needs the results of an operation once it has the values in `found`."""
        left = [value for value in op.results if value not in found]
        users = {user for value in left for user in self._users(value)}
        return any(user in self.bound_to_loop or self._is_left(user, found) for user in users)

    def _heads_alike(self, op: ir.Operation) -> int:
        """For how many heads in a row the results of an operation are the same; 1 if that is not known."""
        inside = _slice(self.inner, [op])
        head, heads = self.positions[1], 0
        for each in [*_slice(self.outer, inside), *inside]:
            nested = [each, *rw.walk_list(each)]
            if not any(operand == head for made in nested for operand in made.operands):
                continue
            divisor = rw.constant_value(each.operands[1]) if each.name == "arith.divui" else None
            if divisor is None or each.operands[0] != head:
                return 1
            heads = math.gcd(heads, divisor)
        bound = _bounds(self.grid)[1]
        known = bound if isinstance(bound, int) else rw.constant_value(bound)
        return math.gcd(heads, known) if known else 1

    def _hoisted(self, op: ir.Operation) -> list[ir.Value]:
        """The results of an operation that the grid before computes for the loop."""
        results = [value for value in op.results if _is_tile(value)]
        if not results or op in self.bound_to_loop or not self._is_computed(op):
            return []
        found = []
        for value in results:
            users = self._users(value)
            is_end = any(user in self.bound_to_loop for user in users)
            if self.take != Hoisted.ALL and not (is_end and self._is_expensive(op)):
                is_end = _is_vector(value) and self._is_needed(value) and not self._is_simple(op)
            if is_end:
                found.append(value)
        return found

    def _sums_rows(self) -> bool:
        """Whether there are running sums of more than vectors, such as of decays for each key feature."""
        sums = [each for each in rw.walk_list(self.loop, "linalg.generic") if PREFIX_SUM in each.attributes]
        return any(not _is_vector(each.results[0]) for each in sums)

    def _users(self, value: ir.Value) -> set[ir.Operation]:
        """The operations of the loop's body that use a value, in their regions too."""
        return {_in_block(use.owner.operation, self.inner) for use in value.uses}

    def _is_needed(self, value: ir.Value) -> bool:
        """Whether the loop needs a vector, as it is or for what it may as well compute itself."""
        for user in self._users(value):
            if not _makes_vectors(user):
                return True
            if self._is_simple(user) and any(map(self._is_needed, user.results)):
                return True
        return False

    def _is_simple(self, op: ir.Operation) -> bool:
        """Whether a vector is made by elements of one that is taken out anyway."""
        if op.name != "linalg.generic" or not _makes_vectors(op) or _reduces(op):
            return False
        sources = [rw.definer(operand) for operand in list(op.operands)[: -len(op.results)]]
        return all(
            source is not None
            and source.name == "linalg.generic"
            and not self._is_simple(source)
            and any(
                not _makes_vectors(_in_block(use.owner.operation, self.inner))
                for use in source.results[0].uses
            )
            for source in sources
        )

    def _is_expensive(self, op: ir.Operation) -> bool:
        """Whether results are worth memory of their own: an inverse is, what one product makes is not."""
        products = [
            each
            for made in _slice(self.inner, [op])
            for each in (made, *rw.walk_list(made))
            if _is_product(each)
        ]
        return self.take == Hoisted.AUTO and len(products) >= MANY_PRODUCTS

    def _is_computed(self, op: ir.Operation) -> bool:
        """Whether more than reading is in what an operation's results are made of."""
        return any(each.name in ("linalg.generic", "scf.if") for each in _slice(self.inner, [op]))

    def _stored_type(self, value: ir.Value, is_weight: bool) -> ir.RankedTensorType:
        """The type in which a tile is kept in memory; products of q and k are weights before they decay."""
        type_ = ir.RankedTensorType(value.type)
        narrow = {each.element_type for each in self._types_of_operands() if str(each.element_type) == "bf16"}
        is_factor = is_weight or all(_is_factor(use) for use in value.uses)
        if type_.rank < 2 or str(type_.element_type) != "f32" or not narrow or not is_factor:
            return type_
        return ir.RankedTensorType.get(type_.shape, narrow.pop())

    def _types_of_operands(self) -> list[ir.RankedTensorType]:
        slices = rw.walk_list(self.loop, "tensor.extract_slice")
        return [each.operands[0].type for each in slices if OPERAND in each.attributes]

    def _grids_before(
        self, found: list[ir.Value], types: list[ir.RankedTensorType], count: ir.Value, heads: int
    ) -> list[ir.Value]:
        """The tiles of all chunks, with three dimensions before their own, of which `heads` are alike."""
        bounds = [rw.index(each) if isinstance(each, int) else each for each in _bounds(self.grid)[:2]]
        if (known := rw.constant_value(bounds[1])) is not None and heads > 1:
            bounds[1] = rw.index(known // heads)
        bounds.append(count)
        branches = [
            op
            for op in _slice(self.inner, [value.owner.operation for value in found])
            if FALLBACK in op.attributes
        ]

        def usual(indices: list[ir.Value]) -> list[ir.Value]:
            mapping = self._compute(found, indices, 0, heads)
            tiles = [_converted(mapping[value], type_) for value, type_ in zip(found, types, strict=True)]
            return [*tiles, *([_as_number(mapping, branches)] if branches else [])]

        flag = [ir.RankedTensorType.get([], ir.F32Type.get())] if branches else []
        made = self._grid(bounds, [*types, *flag], usual)
        if not branches:
            return made
        *made, flags = made
        changed = _followers(self.inner, {result for op in branches for result in op.results})
        again = [number for number, value in enumerate(found) if value in changed]

        def repaired(indices: list[ir.Value]) -> list[ir.Value]:
            def first() -> list[ir.Value]:
                return [_tile_of(made[number], indices, types[number]) for number in again]

            def other() -> list[ir.Value]:
                mapping = self._compute([found[number] for number in again], indices, 1, heads)
                return [_converted(mapping[found[number]], types[number]) for number in again]

            fits = arith.cmpf(
                arith.CmpFPredicate.OEQ,
                tensor.extract(flags, indices),
                rw.constant(ir.F32Type.get(), 1.0),
            )
            tiles = rw.if_else(fits, [types[number] for number in again], first, other)
            tiles[0].owner.attributes[CHUNKS] = ir.UnitAttr.get()
            return tiles

        for number, tile in zip(again, self._grid(bounds, [types[n] for n in again], repaired), strict=True):
            made[number] = tile
        return made

    def _grid(
        self,
        bounds: list[ir.Value],
        types: list[ir.RankedTensorType],
        tiles: Callable[[list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """A grid of programs that make tiles of these types, each for one chunk."""
        sizes = [_size(bound) for bound in bounds]
        outs = [tensor.empty([*sizes, *type_.shape], type_.element_type) for type_ in types]

        def program(indices: list[ir.Value], into: list[ir.Value]) -> list[rw.Part]:
            return [
                (tile, out, [*indices, *[0] * type_.rank], [1, 1, 1, *type_.shape])
                for tile, type_, out in zip(tiles(indices), types, into, strict=True)
            ]

        made = rw.forall(bounds, outs, program)
        made[0].owner.attributes[CHUNKS] = ir.UnitAttr.get()
        return made

    def _compute(
        self, found: list[ir.Value], indices: list[ir.Value], part: int, heads: int
    ) -> dict[ir.Value, ir.Value]:
        """What is at the insertion point what values of the loop are, for the chunk at `indices`.

        Of branches with a fallback it is the first part or the second, whatever the condition is.
        """
        sequence, head, number = indices
        if heads > 1:
            head = arith.muli(head, rw.index(heads))
        mapping = dict(zip([*self.positions[:2], self.number], [sequence, head, number], strict=True))
        inside = _slice(self.inner, [value.owner.operation for value in found])
        for op in [*_slice(self.outer, inside), *inside]:
            if FALLBACK not in op.attributes:
                rw.clone_op(op, mapping)
                continue
            *body, terminator = op.regions[part].blocks[0].operations
            for each in body:
                rw.clone_op(each.operation, mapping)
            for result, value in zip(op.results, terminator.operands, strict=True):
                mapping[result] = mapping.get(value, value)
        return mapping


def _as_number(mapping: dict[ir.Value, ir.Value], branches: list[ir.Operation]) -> ir.Value:
    """A tile `[]` that is 1 where the conditions of all branches hold, and else 0."""
    f32 = ir.F32Type.get()
    holds = functools.reduce(arith.andi, [mapping.get(op.operands[0], op.operands[0]) for op in branches])
    number = arith.select(holds, rw.constant(f32, 1.0), rw.constant(f32, 0.0))
    return rw.fill(number, tensor.empty([], f32))


def _tile_of(tiles: ir.Value, indices: list[ir.Value], type_: ir.RankedTensorType) -> ir.Value:
    rank = type_.rank
    return rw.extract_slice(tiles, [*indices, *[0] * rank], [1, 1, 1, *type_.shape], range(3, 3 + rank))


def _followers(
    block: ir.Block,
    starts: set[ir.Value],
    also: Callable[[ir.Operation], bool] = lambda op: False,
) -> set[ir.Operation | ir.Value]:
    """The operations of a block that use one of `starts`, or `also` says; what uses them; all results."""
    found: set[ir.Operation | ir.Value] = set(starts)
    for view in block.operations:
        op = view.operation
        used = [operand for each in (op, *rw.walk_list(op)) for operand in each.operands]
        if any(value in found for value in used) or also(op):
            found.add(op)
            found.update(op.results)
    return found


def _reads_values(op: ir.Operation) -> bool:
    return OPERAND in op.attributes and op.attributes[OPERAND].value == "v"


def _slice(block: ir.Block, ends: Iterable[ir.Operation]) -> list[ir.Operation]:
    """The operations of a block that `ends` stand on, with those of `ends` that are in it, in order."""
    needed: set[ir.Operation] = set()
    todo = list(ends)
    while todo:
        op = todo.pop()
        if op.block == block:
            if op in needed:
                continue
            needed.add(op)
        for each in (op, *rw.walk_list(op)):
            for operand in each.operands:
                made = rw.definer(operand)
                if made is not None and made.block == block and made != op:
                    todo.append(made)
    return [view.operation for view in block.operations if view.operation in needed]


def _outside(grid: ir.Operation, value: ir.Value) -> ir.Value | None:
    """A value of a grid's body before the grid; None if it depends on the program."""
    block = grid.regions[0].blocks[0]
    made = rw.definer(value)
    if made is None:
        return None if value.owner == block else value
    if made.block != block:
        return value
    ops = _slice(block, [made])
    arguments = set(block.arguments)
    if any(operand in arguments for op in ops for operand in op.operands):
        return None
    mapping: dict[ir.Value, ir.Value] = {}
    with ir.InsertionPoint(grid), grid.location:
        for op in ops:
            rw.clone_op(op, mapping)
    return mapping[value]


def _bounds(grid: ir.Operation) -> list[int | ir.Value]:
    dynamic = iter(grid.operands)
    return [next(dynamic) if bound == rw.DYNAMIC else bound for bound in grid.attributes["staticUpperBound"]]


def _size(bound: ir.Value) -> int | ir.Value:
    known = rw.constant_value(bound)
    return bound if known is None else known


def _is_tile(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and rw.DYNAMIC not in value.type.shape


def _is_vector(value: ir.Value) -> bool:
    return not isinstance(value.type, ir.RankedTensorType) or len(value.type.shape) < 2


def _makes_vectors(op: ir.Operation) -> bool:
    """Whether an operation makes tiles of one dimension of such tiles."""
    return op.name.startswith("linalg.") and all(map(_is_vector, [*op.operands, *op.results]))


def _reduces(op: ir.Operation) -> bool:
    return any("reduction" in str(each) for each in op.attributes["iterator_types"])


def _in_block(op: ir.Operation, block: ir.Block) -> ir.Operation:
    """The operation of a block that `op` is, or is in."""
    while op.block != block:
        op = op.parent.operation
    return op


def _is_product(op: ir.Operation) -> bool:
    """Whether an operation is a sum of products of two matrices."""
    if op.name != "linalg.generic" or len(op.operands) != 3:
        return False
    kinds = [str(each) for each in op.attributes["iterator_types"]]
    return len(kinds) == 3 and sum("reduction" in kind for kind in kinds) == 1


def _is_factor(use: ir.OpOperand) -> bool:
    return _is_product(use.owner.operation) and use.operand_number < 2


def _converted(tile: ir.Value, type_: ir.RankedTensorType) -> ir.Value:
    if tile.type == type_:
        return tile
    every = tuple(range(type_.rank))
    out = (tensor.empty(type_.shape, type_.element_type), every)
    letters = "p" * type_.rank
    return rw.generic([(tile, every)], [out], letters, lambda e, _: [arith.truncf(type_.element_type, e[0])])[
        0
    ]


def _replace(value: ir.Value, tile: ir.Value) -> None:
    """Let all that uses a tile use another one, which may have a narrower type where it is a factor."""
    if tile.type != value.type:
        element = ir.RankedTensorType(value.type).element_type
        for use in list(value.uses):
            argument = use.owner.operation.regions[0].blocks[0].arguments[use.operand_number]
            uses = list(argument.uses)
            argument.set_type(ir.RankedTensorType(tile.type).element_type)
            with ir.InsertionPoint.at_block_begin(argument.owner), use.owner.operation.location:
                wide = arith.extf(element, argument)
            for inner in uses:
                inner.owner.operation.operands[inner.operand_number] = wide
    value.replace_all_uses_with(tile)
