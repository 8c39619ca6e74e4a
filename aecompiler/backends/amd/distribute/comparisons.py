"""Comparisons of positions with bounds: of each register a constant, with what is left of the bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.backends.amd.distribute.offsets import Sum
from aecompiler.bindings import arith, ir, vector

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer

_SLT, _SLE, _SGT, _SGE = 2, 3, 4, 5
_TURNED = {_SLT: _SGT, _SLE: _SGE, _SGT: _SLT, _SGE: _SLE}


def compare_positions(writer: Writer, op: ir.Operation, layout: Layout) -> Fragment | None:
    """The fragment of an `arith.cmpi` of positions that move in a loop with a bound that a lane has one of.

    A position is what a register adds, a constant, to what the lane and the loop do. The comparison is of the
    constant with the bound less the rest: one difference in each turn, not a sum for each register. None
    for any other comparison.
    """
    left, right = op.operands
    predicate = ir.IntegerAttr(op.attributes["predicate"]).value
    if predicate not in _TURNED or str(left.type.element_type) != "i32":
        return None
    if not _moves(writer, writer.sums.of(left), layout):
        left, right, predicate = right, left, _TURNED[predicate]
    positions, bound = writer.sums.of(left), writer.sums.of(right)
    if not _moves(writer, positions, layout) or _differs(bound, layout):
        return None
    first, last = (writer.fragment(each, layout).element(0) for each in (left, right))
    # Positions are not below 0: a bound below -1 is as good as -1, and the difference fits.
    left_over = arith.subi(arith.maxsi(last, fr.integer(-1)), first)
    added = [_added(positions, layout, register) for register in range(layout.count)]
    width = fr.part_width(layout)
    parts = []
    for at in range(0, layout.count, width):
        if width == 1:
            constant, bounds = fr.integer(added[at]), left_over
        else:
            type_ = fr.part_type(left_over.type, width)
            own = ir.DenseElementsAttr.get(
                [ir.IntegerAttr.get(left_over.type, n) for n in added[at : at + width]], type_
            )
            constant, bounds = arith.ConstantOp(type_, own).result, vector.broadcast(type_, left_over)
        parts.append(arith.cmpi(arith.CmpIPredicate(predicate), constant, bounds))
    return Fragment(layout, tuple(parts))


def _moves(writer: Writer, positions: Sum, layout: Layout) -> bool:
    """Whether numbers that are not negative differ in registers by constants, and from turn to turn."""
    dims = _register_dims(layout)
    scalars = writer.sums.scalars
    return (
        any(positions.steps.get(dim) for dim in dims)
        and all(positions.steps.get(dim, {}).keys() <= {()} for dim in dims)
        and not positions.others
        and all(map(writer.sums.is_natural, (positions.rest, *positions.steps.values())))
        and any(writer.changes(scalars[factor]) for factors in positions.rest for factor in factors)
    )


def _differs(bound: Sum, layout: Layout) -> bool:
    """Whether registers have several bounds."""
    dims = _register_dims(layout)
    return any(dim in dims for dim in (*bound.steps, *(each for *_, own in bound.others for each in own)))


def _register_dims(layout: Layout) -> set[int]:
    return {dim for dim, _ in layout.registers}


def _added(positions: Sum, layout: Layout, register: int) -> int:
    """What a register adds to the position of the first one."""
    index = layout.register_index(register)
    return sum(step.get((), 0) * index[dim] for dim, step in positions.steps.items() if index[dim])
