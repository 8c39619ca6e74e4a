"""Running sums over the positions of tiles: scans of vectors, products with a triangle of ones of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton import lanes as ln
from aecompiler.backends.triton.lanes import Lanes
from aecompiler.backends.triton.tiles import Tile
from aecompiler.bindings import arith, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_sums import PREFIX_SUM, RunningSum

if TYPE_CHECKING:
    from aecompiler.backends.triton.structured import Structured

_LEAST = 16
"""The matrix units multiply no smaller tiles."""

_PARTS = 3
"""So many numbers of bf16, of 8 bits each, add up to one of f32, whose digits are 24 bits."""


def counted(structured: Structured) -> ir.Value | None:
    """In the body of a running sum over rows of f32: whether a row counts; None for what is no such sum."""
    generic = structured.generic
    if PREFIX_SUM not in generic.op.attributes or generic.rank != 3:
        return None
    types = {str(each.value.type.element_type) for each in generic.operands}
    total = rw.definer(generic.yielded[0])
    if types != {"f32"} or min(structured.padded) < _LEAST or total is None or total.name != "arith.addf":
        return None
    chosen = rw.definer(total.operands[1])
    return chosen.operands[0] if chosen is not None and chosen.name == "arith.select" else None


def sum_rows(structured: Structured, counts: Lanes, rows: ir.Value, into: ir.Value) -> Tile:
    """into + triangle @ rows: ones are exact in bf16, and f32 is a sum of three numbers of bf16.

    Each product is exact, too, so that nothing is lost but by the additions, as in any other order of them.
    """
    generic = structured.generic
    (summed,), (row, column) = generic.reductions, generic.outs[0].loops
    narrow = ir.BF16Type.get()
    one, zero = (Lanes(tt.constant(narrow, number)) for number in (1.0, 0.0))
    ones = ln.spread(
        ln.choose(counts, one, zero, structured.padded), sorted((row, summed)), structured.padded
    )
    triangle = tt.trans(ones.value, [sorted((row, summed)).index(loop) for loop in (row, summed)])
    shape, total = tt.shape_of(rows), into
    for number in range(_PARTS):
        part = arith.truncf(tt.typed(shape, narrow), rows)
        total = tt.dot(triangle, part, total, "tf32")  # the precision is of no effect
        if number + 1 < _PARTS:
            rows = arith.subf(rows, arith.extf(tt.typed(shape, ir.F32Type.get()), part))
    return Tile(total, None, tuple(structured.sizes[loop] for loop in (row, column)))


def scanned(structured: Structured) -> RunningSum | None:
    """What a running sum over a vector goes over; None for what is no such sum, or has several blocks."""
    generic = structured.generic
    law = RunningSum.of(generic.op)
    if law is None or generic.rank != 2 or law.block != generic.ins[0].value.type.shape[0]:
        return None
    types = [each.value.type.element_type for each in (*generic.ins, *generic.outs)]
    widens = len(types) == 2 and all(isinstance(each, ir.FloatType) for each in types)
    return law if widens and types[0].width <= types[1].width else None


def scan_vector(structured: Structured, law: RunningSum, vector: Lanes) -> Tile:
    """The running sums of a vector that is 0 beyond its size."""
    (out,) = structured.generic.outs
    size = structured.padded[out.loops[0]]
    value = ln.spread(vector, vector.loops, structured.padded).value
    element = out.value.type.element_type
    if tt.element_of(value) != element:  # a sum may be in a wider type than its terms
        value = arith.extf(tt.typed(tt.shape_of(value), element), value)
    if not law.inclusive:
        value = _moved(value, size, -1 if not law.reverse else 1)
    value = tt.scan(value, 0, law.reverse, arith.addf)
    return Tile(value, None, tuple(structured.sizes[loop] for loop in out.loops))


def _moved(value: ir.Value, size: int, step: int) -> ir.Value:
    """At each place what is `step` further in a vector, and 0 at the end that has nothing there."""
    place = ln.number(tt.make_range(size), (0,), (0, size - 1))
    there = ln.compute("addi", place, ln.constant(step), (size,))
    near = ln.compute("maxsi", there, ln.constant(0), (size,))
    near = ln.compute("minsi", near, ln.constant(size - 1), (size,))
    moved = tt.gather(value, ln.spread(Lanes(near.value, (0,)), (0,), (size,)).value, 0)
    zero = Lanes(tt.constant(tt.element_of(value), 0.0))
    here = Lanes(moved, (0,))
    return ln.spread(ln.choose(ln.equal(near, there, (size,)), here, zero, (size,)), (0,), (size,)).value
