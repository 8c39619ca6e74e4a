"""Comparisons in kernels that bound the columns of a tile: a row's least column, or the first one beyond."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import kernel_ir as kir
from aecompiler.backends.triton.constant_factors import integer_of
from aecompiler.backends.triton.row_terms import repeated
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw

_PREDICATES = arith.CmpIPredicate

_OPPOSITE = {
    _PREDICATES.slt: _PREDICATES.sgt,
    _PREDICATES.sle: _PREDICATES.sge,
    _PREDICATES.sgt: _PREDICATES.slt,
    _PREDICATES.sge: _PREDICATES.sle,
}
"""What a comparison of signed numbers is of the numbers times -1."""

_LARGEST_CONSTANT = 2**30
"""Of sums with positions and sizes, which are below 2^31 - 2^30 where i32 holds them."""

_OF_PROGRAMS = ("tt.get_program_id", "tt.get_num_programs")
_OF_POSITIONS = tuple(
    f"arith.{name}"
    for name in (
        *("addi", "subi", "muli", "divsi", "divui", "remsi", "remui", "ceildivsi", "floordivsi", "select"),
        *("shrsi", "minsi", "maxsi", "minui", "maxui", "extsi", "extui", "trunci", "index_cast"),
    )
)
"""What positions are computed by: `convert-tiles-to-tt` computes in 64 bits what may not be exact in 32."""

_OPPOSITE_EXTREMES = {"arith.minsi": "arith.maxsi", "arith.maxsi": "arith.minsi"}

_FAR = 2**60
"""Beyond all positions; numbers that users read may be further, where i64 does not hold sums with them."""

_Term = tuple[int, ir.Value]
"""1 or -1, and what it multiplies."""


@dataclass(frozen=True)
class _Sum:
    """Multiples of the place in the tile, of a column and of a row, and numbers that are added or subtracted.

    `rows` is a vector of one number for each row, of which nothing is known: it stands alone.
    """

    column: int = 0
    row: int = 0
    numbers: tuple[_Term, ...] = ()
    rows: tuple[_Term, ...] = ()

    def plus(self, other: _Sum, sign: int = 1) -> _Sum:
        """This and `sign` times the other."""
        return _Sum(
            self.column + sign * other.column,
            self.row + sign * other.row,
            self.numbers + _times(sign, other.numbers),
            self.rows + _times(sign, other.rows),
        )


def _times(sign: int, terms: Sequence[_Term]) -> tuple[_Term, ...]:
    return tuple((sign * factor, value) for factor, value in terms)


@dataclass(frozen=True)
class Bound:
    """That a row's columns begin at a sum, or that they end before it."""

    is_end: bool
    sum: _Sum
    offset: int

    def value(self, rows: int, columns: int) -> ir.Value:
        """The sum, but at least 0 and at most `columns`: i32 for each row, or one; at the insertion point."""
        total = _total(self.sum.numbers, (), self.offset)
        if self.sum.rows:
            total = _total(self.sum.rows, tt.shape_of(self.sum.rows[0][1]), total)
        if not self.sum.row:
            return _clamped(total, 0, columns)
        # What is beyond the tile for all of its rows may be cut off first, so that i32 holds the rest.
        last = self.sum.row * (rows - 1)
        near = _clamped(total, -max(last, 0), columns - min(last, 0))
        places = tt.make_range(rows)
        combine = arith.addi if self.sum.row == 1 else arith.subi
        return _clamped(combine(tt.splat(near, [rows]), places), 0, columns)


def _total(terms: Sequence[_Term], shape: tuple[int, ...], start: ir.Value | int) -> ir.Value:
    """A sum in i64 of terms of one shape and a number."""
    wide = tt.integer(tt.I64)
    total = tt.splat(rw.constant(wide, start) if isinstance(start, int) else start, shape)
    for factor, value in terms:
        is_wide = tt.element_of(value) == wide
        term = _within(value, -_FAR, _FAR) if is_wide else arith.extsi(tt.typed(shape, wide), value)
        total = (arith.addi if factor == 1 else arith.subi)(total, term)
    return total


def _within(value: ir.Value, least: int, most: int) -> ir.Value:
    """An integer, but at least `least` and at most `most`."""
    shape, element = tt.shape_of(value), tt.element_of(value)
    lowest, highest = (tt.splat(rw.constant(element, each), shape) for each in (least, most))
    return arith.minsi(arith.maxsi(value, lowest), highest)


def _clamped(value: ir.Value, least: int, most: int) -> ir.Value:
    """An integer, but at least `least` and at most `most`, as i32."""
    narrow, within = tt.integer(tt.I32), _within(value, least, most)
    is_narrow = tt.element_of(value) == narrow
    return within if is_narrow else arith.trunci(tt.typed(tt.shape_of(value), narrow), within)


def bound_of(bits: ir.Value) -> Bound | None:
    """The bound that bits of a tile of rank 2, or of its columns, say; None if they are no bound."""
    op = rw.definer(bits)
    if op is None or op.name != "arith.cmpi":
        return None
    predicate = _PREDICATES(ir.IntegerAttr(op.attributes["predicate"]).value)
    left, right = (_sum_of(operand) for operand in op.operands)
    if predicate not in _OPPOSITE or left is None or right is None:
        return None
    difference = left.plus(right, -1)
    if difference.column == -1:
        difference, predicate = _Sum().plus(difference, -1), _OPPOSITE[predicate]
    rest = _Sum().plus(_Sum(0, difference.row, difference.numbers, difference.rows), -1)
    if difference.column != 1 or abs(rest.row) > 1 or (rest.row and rest.rows):
        return None
    # column < rest, or <=, >, >=
    is_end = predicate in (_PREDICATES.slt, _PREDICATES.sle)
    return Bound(is_end, rest, int(predicate in (_PREDICATES.sle, _PREDICATES.sgt)))


# ---- sums --------------------------------------------------------------------------------------------


def _sum_of(value: ir.Value) -> _Sum | None:
    """The sum that integers of a tile's elements, or of its columns, are; None if they are none."""
    if len(tt.shape_of(value)) == 1:
        return _of_vector(value, _Sum(column=1))
    rows = repeated(value, 1)
    if rows is not None:
        known = _of_vector(rows, _Sum(row=1)) if tt.shape_of(rows) else _Sum(numbers=((1, rows),))
        return known or _Sum(rows=((1, rows),))
    columns = repeated(value, 0)
    return _of_operation(value, _sum_of) if columns is None else _of_vector(columns, _Sum(column=1))


def _of_vector(value: ir.Value, place: _Sum) -> _Sum | None:
    """The sum that an integer of each row, or of each column, is; `place` is what their places are."""
    op = rw.definer(value)
    if op is not None and op.name == "tt.splat":
        return _Sum(numbers=((1, op.operands[0]),))
    if op is not None and op.name == "tt.make_range":
        return place if ir.IntegerAttr(op.attributes["start"]).value == 0 else None
    return _of_operation(value, lambda each: _of_vector(each, place))


def _of_operation(value: ir.Value, sum_of: Callable[[ir.Value], _Sum | None]) -> _Sum | None:
    op = rw.definer(value)
    if op is None or op.name not in ("arith.extsi", "arith.addi", "arith.subi"):
        return None
    sums = [sum_of(operand) for operand in op.operands]
    if any(each is None for each in sums):
        return None
    if op.name == "arith.extsi":
        return sums[0]
    left, right = sums
    assert left is not None
    assert right is not None
    if not _is_exact(left, right):
        return None
    return left.plus(right, 1 if op.name == "arith.addi" else -1)


def _is_exact(left: _Sum, right: _Sum) -> bool:
    """Whether the sum of two sums is surely not beyond what its type holds.

    Numbers of users may be anything: what is read, and scalars of the program.
    """
    numbers = (*left.numbers, *right.numbers)
    return not left.rows and not right.rows and all(_is_position(number) for _, number in numbers)


def _is_position(number: ir.Value) -> bool:
    """Whether a number is made of numbers of programs, turns of loops, sizes and small constants.

    So is whatever is kept between two such numbers, as the places that lists of tiles hold.
    """
    op = rw.definer(number)
    if op is None:
        return _is_position_of_block(number)
    if op.name == "arith.constant":
        constant = integer_of(number)
        return constant is not None and abs(constant) < _LARGEST_CONSTANT
    if op.name in _OF_PROGRAMS:
        return True
    if op.name in _OPPOSITE_EXTREMES and _is_kept(op):
        return True
    operands = list(op.operands)[int(op.name == "arith.select") :]
    return op.name in _OF_POSITIONS and all(map(_is_position, operands))


def _is_kept(extreme: ir.Operation) -> bool:
    """Whether it is the least of a largest of two, or the other way round, and positions are the bounds."""
    for inner, outer in (tuple(extreme.operands), tuple(extreme.operands)[::-1]):
        op = rw.definer(inner)
        if op is None or op.name != _OPPOSITE_EXTREMES[extreme.name]:
            continue
        if _is_position(outer) and any(map(_is_position, op.operands)):
            return True
    return False


def _is_position_of_block(argument: ir.Value) -> bool:
    """Whether an argument is the turn of a loop over tiles, or a size of a kernel's tensor."""
    around, at = argument.owner.owner.operation, ir.BlockArgument(argument).arg_number
    if around.name == "scf.for":
        return at == 0
    return kir.SIZES in around.attributes and at in list(ir.DenseI64ArrayAttr(around.attributes[kir.SIZES]))
