"""The pass `tt-move-addends`: what is added to all scores of a row is added to their maximum."""

from __future__ import annotations

from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import is_f32, number_of
from aecompiler.backends.triton.row_terms import is_separable, repeated, separate, spread
from aecompiler.backends.triton.weight_bounds import is_reduction
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, register_pass

_MAXIMA = ("arith.maximumf", "arith.maxnumf")


@register_pass
class MoveAddends(Pass):
    """Add a number that is the same for a whole row to the row's maximum, in place of each element.

    *Before*: kernels (`tt.func`) of `convert-tiles-to-tt`. A tile x = t + u, with u spread along the rows, is
    used for nothing but its rows' maxima r, and differences x - m with rows m that are such a maximum or
    larger, as in softmax. *After*: the maxima are r = max(t) + u, and differences are t - (m - u): the tile
    is not added to. It stays as it is where anything else uses it, such as a mask.

    Where u is slope * (place - row), of the columns' places in the tile, it counts as t + slope * place, and
    only the rows move. So distances cost one operation on each element.

    In real numbers nothing changes. The maxima are the same to the bit, since rounding is monotone, if all of
    u moves; else they have a rounding more, of as much as the places are. Where m is r, the difference is
    that with max(t), which rounds once less; where it is larger, m - u is no less than max(t), so that no
    difference is above 0, whatever u absorbs: it may stand for -inf by being large. Infinities and NaN give
    what they gave, but for finite t and u whose sum is beyond the largest number: an element of +inf, whose
    difference was NaN, gives -inf.

    ```mlir
    %x = arith.addf %t, %spread : tensor<64x64xf32>             // %u, spread
    %r = "tt.reduce"(%x) ({... arith.maximumf ...}) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
    %m = arith.maximumf %old, %r : tensor<64xf32>
    %d = arith.subf %x, %column : tensor<64x64xf32>             // %m, spread
    ```
    becomes
    ```mlir
    %l = "tt.reduce"(%t) ({... arith.maximumf ...}) {axis = 1 : i32} : (tensor<64x64xf32>) -> tensor<64xf32>
    %r = arith.addf %l, %u : tensor<64xf32>
    %m = arith.maximumf %old, %r : tensor<64xf32>
    %0 = arith.subf %m, %r : tensor<64xf32>
    %1 = arith.cmpf oeq, %0, %zero : tensor<64xf32>
    %2 = arith.subf %m, %u : tensor<64xf32>
    %3 = arith.select %1, %l, %2 : tensor<64xi1>, tensor<64xf32>
    %d = arith.subf %t, %column : tensor<64x64xf32>             // %3, spread
    ```
    """

    NAME = "tt-move-addends"

    def run(self, op: ir.Operation) -> None:
        """Rewrite every kernel in `op`."""
        for kernel in kir.defined_kernels(op):
            kir.erase_dead(kir.body_of(kernel))  # an unused operation is a use of its operands
            for sum_ in rw.walk_list(kernel, "arith."):
                if sum_.name in ("arith.addf", "arith.subf") and is_f32(sum_.results[0]):
                    for tile, addend in _ways(sum_):
                        if _move(sum_, tile, addend):
                            break
            kir.erase_dead(kir.body_of(kernel))


def _ways(sum_: ir.Operation) -> list[tuple[ir.Value, ir.Value]]:
    """What may be the tile, and what is added to it or subtracted."""
    left, right = sum_.operands
    return [(left, right), (right, left)] if sum_.name == "arith.addf" else [(left, right)]


@dataclass(frozen=True)
class _Difference:
    """The difference of a tile with rows that are spread, none less than the maximum of the tile's rows."""

    op: ir.Operation
    rows: ir.Value
    reduction: ir.Operation
    """What computes the maximum."""


def _move(sum_: ir.Operation, tile: ir.Value, addend: ir.Value) -> bool:
    """Move what is added to a tile, or a part of it, if all uses of the sum allow it."""
    users = list(dict.fromkeys(use.owner.operation for use in sum_.results[0].uses))
    reductions = [user for user in users if is_reduction(user, _MAXIMA)]
    if not reductions:
        return False
    axis = _axis(reductions[0])
    is_row = repeated(addend, axis) is not None
    if any(_axis(each) != axis for each in reductions) or not (is_row or is_separable(addend, axis)):
        return False
    differences = [_difference(user, sum_, axis, reductions) for user in users if user not in reductions]
    if not differences or any(each is None for each in differences):
        return False
    if not is_row:
        tile, addend = _separated(sum_, tile, addend, axis)
    moved = {each: _maximum_before(each, sum_, tile, addend, axis) for each in reductions}
    for difference in differences:
        assert difference is not None
        _difference_before(difference, moved[difference.reduction], sum_, tile, axis)
    return True


def _separated(sum_: ir.Operation, tile: ir.Value, addend: ir.Value, axis: int) -> tuple[ir.Value, ir.Value]:
    """The tile with one part of what is added to it, and the part that is the same for a whole row."""
    shape = tt.shape_of(tile)
    with ir.InsertionPoint(sum_), sum_.location:
        terms = separate(addend, axis)
        near = rw.clone_as(sum_, [tile, spread(terms.across, 1 - axis, shape)], tile.type)
        return near, spread(terms.along, axis, shape)


@dataclass(frozen=True)
class _Moved:
    """The maximum of a tile's rows, what is added to it, and the sum."""

    before: ir.Value
    addend: ir.Value
    after: ir.Value


# ---- what the pattern is made of ---------------------------------------------------------------------


def _axis(reduction: ir.Operation) -> int:
    return int(ir.IntegerAttr(reduction.attributes["axis"]).value)


def _difference(
    user: ir.Operation, sum_: ir.Operation, axis: int, reductions: list[ir.Operation]
) -> _Difference | None:
    if user.name != "arith.subf" or user.operands[0] != sum_.results[0]:
        return None
    rows = repeated(user.operands[1], axis)
    if rows is None or not tt.shape_of(rows):
        return None
    found = next((each for each in reductions if _is_at_least(rows, each.results[0])), None)
    return None if found is None else _Difference(user, rows, found)


def _is_at_least(rows: ir.Value, least: ir.Value) -> bool:
    """Whether a value is `least`, a maximum of it and others, or a number in place of a maximum of -inf."""
    if rows == least:
        return True
    op = rw.definer(rows)
    if op is None:
        return False
    if op.name in _MAXIMA:
        return any(_is_at_least(operand, least) for operand in op.operands)
    if op.name != "arith.select":
        return False
    compared = rw.definer(op.operands[0])
    if compared is None or compared.name != "arith.cmpf":
        return False
    is_equal = compared.attributes["predicate"].value == arith.CmpFPredicate.OEQ.value
    of_maximum = compared.operands[0] == op.operands[2]
    is_lowest = number_of(compared.operands[1]) == float("-inf")
    return is_equal and of_maximum and is_lowest and _is_at_least(op.operands[2], least)


# ---- what becomes of it ------------------------------------------------------------------------------


def _maximum_before(
    reduction: ir.Operation, sum_: ir.Operation, tile: ir.Value, addend: ir.Value, axis: int
) -> _Moved:
    """Replace the maximum of a sum by one of the tile, to which is added what was added to the tile."""
    before = reduction.results[0]
    reduction.operands[0] = tile
    with ir.InsertionPoint.after(reduction), reduction.location:
        row = repeated(addend, axis)
        assert row is not None
        row = row if tt.shape_of(row) else tt.splat(row, tt.shape_of(before))
        after = rw.clone_as(sum_, [before, row], before.type)
    before.replace_all_uses_except(after, after.owner.operation)
    return _Moved(before, row, after)


def _difference_before(
    difference: _Difference, moved: _Moved, sum_: ir.Operation, tile: ir.Value, axis: int
) -> None:
    """Subtract from the tile what is left of the rows without what was added to it."""
    op = difference.op
    rows = moved.after if difference.rows == moved.before else difference.rows
    with ir.InsertionPoint(op), op.location:
        above = arith.subf(rows, moved.after)
        is_maximum = arith.cmpf(arith.CmpFPredicate.OEQ, above, _numbers(rows, 0.0))
        opposite = arith.subf if sum_.name == "arith.addf" else arith.addf
        left = arith.select(is_maximum, moved.before, opposite(rows, moved.addend))
        op.operands[0], op.operands[1] = tile, spread(left, axis, tt.shape_of(tile))


def _numbers(like: ir.Value, number: float) -> ir.Value:
    """A number in all elements of a tensor of f32."""
    return tt.splat(rw.constant(ir.F32Type.get(), number), tt.shape_of(like))
