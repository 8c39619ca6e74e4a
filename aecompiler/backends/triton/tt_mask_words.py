"""The pass `tt-mask-words`: what masks by positions leave of a row of scores, as bits of a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.column_bounds import Bound, bound_of
from aecompiler.backends.triton.constant_factors import is_f32
from aecompiler.backends.triton.row_terms import repeated, spread
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_SHIFT = 3
_PERIOD, _IN_PERIOD = 1 << _SHIFT, 2
"""Accumulators of matrix products: of 8 columns next to each other a thread has 2, the same of each 8."""

_COLUMNS = 32 * _PERIOD // _IN_PERIOD
"""Of as many a thread has 32."""


@register_pass
class MaskWords(Pass):
    """Say by the bits of words which columns of a row a mask leaves, in place of comparing each element.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt` that multiply matrices. A choice between tiles of
    f32, of at most 128 columns, has a condition that is a conjunction of comparisons of i32, of which some
    are *bounds*: places of columns, with factors of 1 or -1, places of rows and numbers are added up and
    compared, as in causal masks, windows and ends of sequences. *After*: the bounds of a row are the least of
    its columns and the first one beyond, from 0 to the number of columns. From them come words of 32 bits,
    and the choice asks for a column's bit, and for what is left of the comparisons.

    The bits are in the order in which threads hold accumulators: 2 l and 2 l + 1 of 8 columns. A word depends
    on the row and on l only, so that a thread makes one for each of its rows and tests its bits in turn, for
    which the assembler has an instruction that takes seven at once (R2P). Before, each bound took two or
    three instructions for each element. What a kernel computes does not depend on layouts; in others, words
    just cost more. That bits in such order become R2P is what FlashAttention-4 does with its masks.

    Bounds are computed in 64 bits. Sums of positions and sizes in 32 bits before are taken to be exact, as
    `convert-tiles-to-tt` makes them (`tt_host.sizes` says which parameters are sizes); sums with other
    numbers, which are read or scalars of the program, stay comparisons.

    ```mlir
    %places = arith.addi %start, %range : tensor<64xi32>             // %start, spread
    %column = arith.cmpi slt, %places, %keys : tensor<64xi32>        // %keys, spread
    %after = arith.cmpi sle, %columns, %rows : tensor<64x64xi32>     // %places and those of the rows, spread
    %left = arith.andi %spread, %after : tensor<64x64xi1>            // %column, spread
    %s = arith.select %left, %t, %lowest : tensor<64x64xi1>, tensor<64x64xf32>
    ```
    becomes
    ```mlir
    %end = arith.minsi %keys_less_start, %row_less_start : tensor<64xi32>  // each from 0 to 64
    %count = ...                                                     // of a thread's columns below %end
    %word = "tt.elementwise_inline_asm"(%count) {asm_string = "bmsk.clamp.b32 $0, 0, $1;", ...}
    %bit = arith.shli %one, %place_in_thread : tensor<64xi32>        // spread over the rows
    %s = "tt.elementwise_inline_asm"(%word, %bits, %t, %lowest) {asm_string = "...", ...}
    ```
    """

    NAME = "tt-mask-words"

    def run(self, op: ir.Operation) -> None:
        """Rewrite every kernel in `op`."""
        for kernel in kir.kernels_with_products(op):
            for choice in rw.walk_list(kernel, "arith.select"):
                _rewrite(choice)
            kir.erase_dead(kir.body_of(kernel))


@dataclass(frozen=True)
class _Comparison:
    """A comparison of a tile's elements, or of one number for each column or row."""

    op: ir.Operation
    axis: int | None
    """The axis along which it is the same."""

    def operands(self, shape: tuple[int, ...]) -> tt.Comparison:
        """The comparison of elements, made at the insertion point."""
        left, right = self.op.operands
        if self.axis is not None:
            left, right = (spread(each, self.axis, shape) for each in (left, right))
        return ir.IntegerAttr(self.op.attributes["predicate"]).value, left, right


@dataclass
class _Conjunction:
    """The bounds of columns that hold in a tile of bits, and what else does."""

    bounds: list[Bound] = field(default_factory=list)
    comparisons: list[_Comparison] = field(default_factory=list)

    @staticmethod
    def of(tile: ir.Value) -> _Conjunction | None:
        """What a tile of bits is; None if it holds anything but comparisons of i32."""
        found = _Conjunction()
        return found if found._add(tile) else None

    def _add(self, tile: ir.Value) -> bool:
        op = rw.definer(tile)
        if op is not None and op.name == "arith.andi":
            return all(self._add(operand) for operand in op.operands)
        same = ((axis, repeated(tile, axis)) for axis in (0, 1))
        axis, bits = next(((axis, vector) for axis, vector in same if vector is not None), (None, tile))
        bound = bound_of(bits) if axis != 1 else None
        if bound is not None:
            self.bounds.append(bound)
            return True
        op = rw.definer(bits)
        if op is None or op.name != "arith.cmpi" or tt.element_of(op.operands[0]) != tt.integer(tt.I32):
            return False
        self.comparisons.append(_Comparison(op, axis))
        return True


def _rewrite(choice: ir.Operation) -> None:
    """Choose by the bits of words, if the condition of a choice has bounds."""
    mask, chosen, other = choice.operands
    shape = tt.shape_of(chosen)
    if len(shape) != 2 or shape[1] % _PERIOD or shape[1] > _COLUMNS or not is_f32(chosen):
        return
    condition = _Conjunction.of(mask) if tt.shape_of(mask) else None
    if condition is None or not condition.bounds:
        return
    made = rw.definer(mask)
    assert made is not None
    with ir.InsertionPoint(made), made.location:
        word, bit = _words(condition.bounds, shape)
    with ir.InsertionPoint(choice), choice.location:
        others = [each.operands(shape) for each in condition.comparisons]
        new = tt.choose_by_bit(word, bit, others, chosen, other)
    choice.results[0].replace_all_uses_with(new)


def _words(bounds: list[Bound], shape: tuple[int, ...]) -> tuple[ir.Value, ir.Value]:
    """A word for each element, with the bits of those columns of its row that are left, and its own bit."""
    places = tt.make_range(shape[1])
    first = spread(_and(places, _PERIOD - _IN_PERIOD), 0, shape)
    word = None
    for is_end in (True, False):
        extreme = _extreme([each for each in bounds if each.is_end == is_end], shape)
        if extreme is None:
            continue
        below = arith.subi(spread(extreme, 1, shape), first)  # -6 at least
        periods = arith.muli(arith.shrsi(below, _number(_SHIFT, shape)), _number(_IN_PERIOD, shape))
        rest = arith.minsi(_and(below, _PERIOD - 1), _number(_IN_PERIOD, shape))
        bits = tt.lowest_bits(arith.addi(periods, rest))
        if not is_end:
            bits = arith.xori(bits, _number(-1, shape))
        word = bits if word is None else arith.andi(word, bits)
    assert word is not None
    period = arith.muli(arith.shrsi(places, _number(_SHIFT, shape[1:])), _number(_IN_PERIOD, shape[1:]))
    at = arith.addi(period, _and(places, _IN_PERIOD - 1))
    return word, spread(arith.shli(_number(1, shape[1:]), at), 0, shape)


def _extreme(bounds: list[Bound], shape: tuple[int, ...]) -> ir.Value | None:
    """The least of ends, or the largest of begins: for each row, or for all; None if there are none."""
    values = sorted((each.value(*shape) for each in bounds), key=lambda value: len(tt.shape_of(value)))
    if not values:
        return None
    found, *others = values
    combine = arith.minsi if bounds[0].is_end else arith.maxsi
    for each in others:
        of_all = found if tt.shape_of(found) == tt.shape_of(each) else tt.splat(found, tt.shape_of(each))
        found = combine(of_all, each)
    return found


def _number(value: int, shape: Sequence[int]) -> ir.Value:
    return tt.splat(rw.constant(tt.integer(tt.I32), value), shape)


def _and(value: ir.Value, bits: int) -> ir.Value:
    return arith.andi(value, _number(bits, tt.shape_of(value)))
