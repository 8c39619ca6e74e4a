"""The pass `tt-skew-products`: the second product of attention one tile of keys late."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.bindings import arith, ir, scf
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass
from aecompiler.passes.score_ranges import GENERAL
from aecompiler.passes.tile_program import MASKED

_MOST_COPIES = 4
"""A loop around loops over tiles turns at most so often, and is unrolled."""


@register_pass
class SkewProducts(Pass):
    """Delay the product of weights and v by one tile of keys, in every kernel.

    In a turn of the loop the scores of a tile and the weighted sum of the tile before can then be computed
    at the same time, while in the program as written the second product waits for the weights.

    *Before*: kernels of `convert-tiles-to-tt{descriptors=true}`. In each there is a chain of loops over tiles
    of keys, whose bodies end in `tt.dot`s that add to carried accumulators. *After*: loops carry, in place of
    an accumulator a, the factors of its last sum, w (a tile of weights) and c (the accumulator, rescaled),
    and the number n of the tile of v; a turn begins with a = c + w v_n. Sums that have the same weights, as
    those of pieces of v's features, share one w. The first tile stands before the loops, where there is
    nothing to add yet, and the last sum after them.

    Loops that mask (attribute `attn.masked`) come first: tiles may be merged in any order. The first tile
    takes the body of one of them, which is right for any tile: where the mask leaves no tile at all, that
    body gets one whose elements are all masked, and changes nothing. Its number is then where the last of the
    loops begins, so that what bodies read at a number, as the place of a tile in a list, has to be there.
    Where none masks, it takes the body of the loop with the attribute `attn.general`, which is right for the
    tiles of all. A loop around loops, over ranges of tiles, is unrolled. Kernels without products stay as
    they are.

    ```mlir
    %acc = scf.for %n = %lo to %hi step %c1 iter_args(%a = %zero) {
      %s = tt.dot %q, %k_n ...
      %w, %alpha = ... %s ...
      %c = %a * %alpha
      %next = tt.dot %w, %v_n, %c
      scf.yield %next
    }
    ```
    becomes
    ```mlir
    %w0, %c0 = ...                                       // of the tile %first
    %1:3 = scf.for %n = %lo1 to %hi step %c1 iter_args(%w = %w0, %c = %c0, %last = %first) {
      %w16 = %w as the type of v
      %s = tt.dot %q, %k_n ...
      %a = tt.dot %w16, %v_last, %c
      %w1, %alpha = ... %s ...
      %c1 = %a * %alpha
      scf.yield %w1, %c1, %n
    }
    %acc = tt.dot %1#0, %v_(1#2), %1#1
    ```

    Refused, naming the operation: kernels with products but without such loops; accumulators that are used
    otherwise; tiles of v that are no `tt.descriptor_load` (others are not readable beyond the tensor).
    """

    NAME = "tt-skew-products"

    carry_rounded: bool = option(False, "loops carry weights that are rounded to the type of v, not before")

    def run(self, op: ir.Operation) -> None:
        """Rewrite all kernels in `op`."""
        for function in kir.kernels_with_products(op):
            block = kir.body_of(function)
            _unroll_ranges(block)
            with function.location:
                _skew(function, _loops_over_tiles(function, block, self.carry_rounded))
            kir.erase_dead(block)


def _unroll_ranges(block: ir.Block) -> None:
    """Replace loops around loops over tiles by copies of their bodies."""
    for view in list(block.operations):
        loop = view.operation
        if loop.name != "scf.for" or not _has_nested_loop(loop):
            continue
        lower, upper, step = (rw.constant_value(each) for each in list(loop.operands)[:3])
        if lower is None or upper is None or step != 1 or not 1 <= upper - lower <= _MOST_COPIES:
            raise PassFailure(loop, "unsupported: a loop around loops over tiles that can't be unrolled")
        values = list(loop.operands)[3:]
        with ir.InsertionPoint(loop), loop.location:
            for number in range(lower, upper):
                index = tt.constant(loop.operands[0].type, number)
                values = rw.inline_block(loop.regions[0].blocks[0], [index, *values])
        for old, new in zip(loop.results, values, strict=True):
            old.replace_all_uses_with(new)
        loop.erase()


def _has_nested_loop(loop: ir.Operation) -> bool:
    return any(view.operation.name == "scf.for" for view in loop.regions[0].blocks[0].operations)


@dataclass(frozen=True)
class _Late:
    """A product that adds to a carried value: `at` is its position among them."""

    at: int
    dot: ir.Operation


@dataclass(frozen=True)
class _Weights:
    """A first factor of late products, as they take it."""

    factor: ir.Value
    is_rounded: bool

    @property
    def written(self) -> ir.Value:
        """The factor before it is rounded, if it is."""
        made = rw.definer(self.factor)
        return self.factor if made is None or made.name != "arith.truncf" else made.operands[0]

    @property
    def carried(self) -> ir.Value:
        """The factor as it is carried, usually before it is rounded."""
        return self.factor if self.is_rounded else self.written

    def rounded(self, weights: ir.Value) -> ir.Value:
        """Weights of the type of v."""
        type_ = self.factor.type
        return weights if weights.type == type_ else arith.truncf(type_, weights)


class _Loop:
    """A loop over tiles of keys, and its products that may come late."""

    def __init__(self, op: ir.Operation, carry_rounded: bool):
        self.op = op
        self.lower, self.upper, step, *self.inits = op.operands
        self.block = op.regions[0].blocks[0]
        self.number, *self.carried = self.block.arguments
        *_, terminator = self.block.operations
        self.yielded = list(terminator.operands)
        if rw.constant_value(step) != 1:
            raise PassFailure(op, "unsupported: a loop over tiles with another step than 1")
        self.late = [
            _Late(at, dot)
            for at, value in enumerate(self.yielded)
            if (dot := rw.definer(value)) is not None and dot.name == "tt.dot" and dot.block == self.block
            if self.carried[at] in self._sources(dot.operands[2])
        ]
        for late in self.late:
            self._check(late)
        self.weights: list[_Weights] = []
        """The factors that are carried, each once: products with pieces of v's features share them."""
        self.weights_of: list[int] = []
        """Which of them each late product has."""
        self._find_weights(carry_rounded)

    def _find_weights(self, carry_rounded: bool) -> None:
        known: dict[tuple[ir.Value, ir.Type], int] = {}
        for late in self.late:
            weights = _Weights(late.dot.operands[0], carry_rounded)
            at = known.setdefault((weights.written, weights.factor.type), len(self.weights))
            if at == len(self.weights):
                self.weights.append(weights)
            self.weights_of.append(at)

    def _sources(self, value: ir.Value) -> set[ir.Value]:
        found = {value}
        for op in kir.slice_in(self.block, [value]):
            found.update(kir.operands_of(op))
        return found

    def _check(self, late: _Late) -> None:
        dot, carried = late.dot, self.carried[late.at]
        if len(list(dot.results[0].uses)) != 1:
            raise PassFailure(dot, "expects a product that adds to a carried value to be used by no other")
        *others, last = kir.users_in(self.block, [carried]) or [None]
        own = kir.slice_in(self.block, [dot.operands[2]])
        if last != dot or any(op not in own for op in others):
            raise PassFailure(dot, "expects the value that a product adds to to be used by nothing else")
        for op in kir.slice_in(self.block, [dot.operands[1]]):
            if op.name == "tt.load" and not kir.is_scalar_load(op):
                raise PassFailure(op, "expects tiles of v to be read by 'tt.descriptor_load'")
            if any(value in self.carried for value in op.operands):
                raise PassFailure(op, "expects tiles of v to depend on nothing that is carried")

    @property
    def positions(self) -> list[int]:
        """Which carried values late products add to."""
        return [late.at for late in self.late]

    def tile_of_v(self, late: _Late, number: ir.Value) -> ir.Value:
        """The factor of a late product that is v, of the tile with that number."""
        value = late.dot.operands[1]
        mapping = {self.number: number}
        for op in kir.slice_in(self.block, [value]):
            rw.clone_op(op, mapping)
        return mapping.get(value, value)


def _loops_over_tiles(function: ir.Operation, block: ir.Block, carry_rounded: bool) -> list[_Loop]:
    """The chain of loops in a kernel, in order."""
    found = []
    for view in block.operations:
        op = view.operation
        if op.name == "scf.for" and any(each.name == "tt.dot" for each in rw.walk_list(op, "tt.dot")):
            found.append(_Loop(op, carry_rounded))
    if not found or not found[0].late:
        raise PassFailure(function, "expects a loop over tiles that adds products to what it carries")
    for before, after in itertools.pairwise(found):
        is_same = after.positions == before.positions and after.weights_of == before.weights_of
        if list(after.inits) != list(before.op.results) or not is_same:
            raise PassFailure(after.op, "expects a loop over tiles to go on where the one before it stops")
        if any(len(list(result.uses)) != 1 for result in before.op.results):
            raise PassFailure(after.op, "expects what a loop over tiles carries to be used by the next alone")
    return found


def _skew(function: ir.Operation, loops: list[_Loop]) -> None:
    chain = loops
    # What a loop carries is merged from its tiles in any order; a masked one first needs no other as its
    # first tile.
    loops = sorted(chain, key=lambda loop: MASKED not in loop.op.attributes)
    general = next((loop for name in (MASKED, GENERAL) for loop in loops if name in loop.op.attributes), None)
    if general is None:
        general = loops[0]
        lower, upper = rw.constant_value(general.lower), rw.constant_value(general.upper)
        if len(loops) > 1 or lower is None or upper is None or lower >= upper:
            raise PassFailure(function, f"expects a loop over tiles with the attribute '{MASKED}'")
    positions = loops[0].positions
    kept = [at for at in range(len(loops[0].carried)) if at not in positions]
    with ir.InsertionPoint(chain[-1].op):
        first, starts = _first_tile(loops)
        state = [*_turn(general, first, dict(enumerate(chain[0].inits)), None, kept), first]
        for loop, start in zip(loops, starts, strict=True):
            if loop is not loops[0]:
                state = _detached(loop, state, kept)
            state = _late_loop(loop, start, state, kept)
        *state, last = state
        accumulators = _late_products(loops[-1], state[len(kept) :], last)
    new = dict(zip(kept, state, strict=False)) | dict(zip(positions, accumulators, strict=True))
    for at, result in enumerate(chain[-1].op.results):
        result.replace_all_uses_with(new[at])
    for loop in reversed(chain):
        loop.op.erase()


def _first_tile(loops: list[_Loop]) -> tuple[ir.Value, list[ir.Value]]:
    """The number of the first tile, and where the loops begin after it."""
    first = loops[-1].lower
    not_empty = [arith.cmpi(arith.CmpIPredicate.slt, loop.lower, loop.upper) for loop in loops]
    for loop, has_tiles in zip(loops[::-1], not_empty[::-1], strict=True):
        first = arith.select(has_tiles, loop.lower, first)
    starts = []
    for loop, has_tiles in zip(loops, not_empty, strict=True):
        is_first = arith.cmpi(arith.CmpIPredicate.eq, loop.lower, first)
        is_first = arith.extui(first.type, arith.andi(has_tiles, is_first))
        starts.append(arith.addi(loop.lower, is_first))
    return first, starts


def _detached(loop: _Loop, state: list[ir.Value], kept: list[int]) -> list[ir.Value]:
    """The state with rounded weights rounded anew, so that LLVM does not see that they were.

    What a loop carries as the rounded value of one operation, LLVM carries as it was and rounds first thing
    in a turn, two numbers at a time. Of a loop that begins with what another one carries it can't tell, and
    carries each number in a register of its own, where the products need them in pairs.
    """
    state = list(state)
    for at, weights in enumerate(loop.weights, start=len(kept)):
        if weights.is_rounded and str(tt.element_of(state[at])) in tt.WIDENED:
            state[at] = arith.truncf(state[at].type, tt.widened_pairs(state[at]))
    return state


def _turn(
    loop: _Loop,
    number: ir.Value,
    carried: dict[int, ir.Value],
    due: tuple[list[ir.Value], ir.Value] | None,
    kept: list[int],
) -> list[ir.Value]:
    """Clone the body of a loop for the tile `number`, without its late products.

    `due` are the factors of those of the tile before, and its number; they come after the first products.
    Returns the next carried values, and the factors of the products that are due now.
    """
    mapping = {loop.number: number}
    mapping.update({loop.carried[at]: value for at, value in carried.items()})
    late = [each.dot for each in loop.late]
    body = [view.operation for view in loop.block.operations if view.operation.name != "scf.yield"]
    first_products = [op for op in body if op.name == "tt.dot" and op not in late]
    if due is not None:
        # First of all, so that their registers are free for the products.
        (*values,), number = due
        for at, weights in enumerate(loop.weights):
            values[at] = weights.rounded(values[at])
        due = values, number

    def add_products() -> None:
        if due is not None:
            accumulators = _late_products(loop, *due)
            mapping.update(
                {loop.carried[at]: acc for at, acc in zip(loop.positions, accumulators, strict=True)}
            )

    if not first_products:
        add_products()
    for op in body:
        if op not in late:
            rw.clone_op(op, mapping)
        if first_products and op == first_products[-1]:
            add_products()
    factors = [each.carried for each in loop.weights] + [dot.operands[2] for dot in late]
    return [mapping.get(value, value) for value in [*(loop.yielded[at] for at in kept), *factors]]


def _late_products(loop: _Loop, factors: list[ir.Value], number: ir.Value) -> list[ir.Value]:
    """The accumulators, with the products of `factors` (weights, then accumulators) and tiles of v."""
    count = len(loop.weights)
    rounded = [each.rounded(value) for each, value in zip(loop.weights, factors[:count], strict=True)]
    found = []
    tiles: dict[ir.Value, ir.Value] = {}  # products of one tile read it once
    for late, at, into in zip(loop.late, loop.weights_of, factors[count:], strict=True):
        tile = late.dot.operands[1]
        if tile not in tiles:
            tiles[tile] = loop.tile_of_v(late, number)
        operands = (rounded[at], tiles[tile], into)
        dot = late.dot.clone()
        for position, operand in enumerate(operands):
            dot.operands[position] = operand
        found.append(dot.results[0])
    return found


def _late_loop(loop: _Loop, start: ir.Value, state: list[ir.Value], kept: list[int]) -> list[ir.Value]:
    """The loop with its products late. The state: what is carried, weights, accumulators, the last tile."""
    new = scf.ForOp(start, loop.upper, tt.constant(loop.upper.type, 1), state)
    with ir.InsertionPoint(new.body):
        *values, last = new.inner_iter_args
        carried = dict(zip(kept, values, strict=False))
        due = (list(values[len(kept) :]), last)
        scf.YieldOp([*_turn(loop, new.induction_variable, carried, due, kept), new.induction_variable])
    return list(new.results)
