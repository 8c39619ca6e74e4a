"""Questions about all elements of a tile: what each lane knows is a bit of a scalar."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.backends.amd.distribute.reductions import between_waves
from aecompiler.bindings import arith, ir, load

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer

VOTE = "amd.vote"
"""The attribute of a sum of zeros and NaN that is only asked whether it is NaN."""


def vote_tile(writer: Writer, op: ir.Operation) -> ir.Value:
    """The number that a `vector.multi_reduction` with `amd.vote` is, 0 or NaN, for the whole workgroup."""
    source = op.operands[0]
    fragment = writer.fragment(source, writer.places.homes[source])
    layout, dims = fragment.layout, list(range(fragment.layout.rank))
    of_parts = functools.reduce(arith.addf, fragment.parts)
    of_lane = functools.reduce(arith.addf, fr.split(of_parts, 1))
    rocdl = load("dialects.rocdl")
    i32, i64 = (ir.IntegerType.get_signless(bits) for bits in (32, 64))
    lanes = rocdl.ballot(i64, arith.cmpf(arith.CmpFPredicate.UNO, of_lane, of_lane))
    found = arith.extui(i32, arith.cmpi(arith.CmpIPredicate.ne, lanes, fr.integer(0, 64)))
    if any(place is not None for place in layout.waves):
        target = functools.reduce(Layout.without, reversed(dims), layout)
        (found,) = between_waves(writer, Fragment(target, (found,)), layout, dims, arith.ori).parts
        found = rocdl.readfirstlane(i32, found)
    is_nan = arith.cmpi(arith.CmpIPredicate.ne, found, fr.integer(0))
    type_ = of_lane.type
    return arith.select(is_nan, fr.not_a_number(type_), arith.constant(type_, 0.0))
