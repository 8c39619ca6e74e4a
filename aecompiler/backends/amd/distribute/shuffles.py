"""Shuffles of vectors at constant places, as shifts and reversals are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.bindings import arith, ir
from aecompiler.passes.registry import PassFailure

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer

_Run = tuple[int, int, int]
"""From which position on a place is `start + slope * (position - first)`: first, start, slope."""


def _runs(places: Sequence[int]) -> list[_Run]:
    """Places as runs of such that follow each other, forwards or backwards."""
    found: list[_Run] = []
    at = 0
    while at < len(places):
        slope = places[at + 1] - places[at] if at + 1 < len(places) else 1
        slope = slope if slope in (1, -1) else 1
        end = at + 1
        while end < len(places) and places[end] - places[end - 1] == slope:
            end += 1
        found.append((at, places[at], slope))
        at = end
    return found


def _in_run(run: _Run, position: ir.Value) -> ir.Value:
    first, start, slope = run
    if slope == 1:
        return fr.plus(position, start - first)
    return arith.subi(fr.integer(start + first), position)


def shuffle(writer: Writer, op: ir.Operation, layout: Layout) -> Fragment:
    """A vector of elements at constant places of two others, which are read from local memory."""
    if layout.rank != 1:
        raise PassFailure(op, "unsupported: a shuffle of tiles")
    first, second = op.operands
    mask = list(op.attributes["mask"])
    count = first.type.shape[0]
    runs = _runs(mask)
    position = writer.lanes.position(layout, 0)

    def place(register: int) -> ir.Value:
        index = fr.plus(position, layout.register_index(register)[0])
        found = _in_run(runs[0], index)
        for run in runs[1:]:
            behind = arith.cmpi(arith.CmpIPredicate.sge, index, fr.integer(run[0]))
            found = arith.select(behind, _in_run(run, index), found)
        return found

    places = [place(register) for register in range(layout.count)]
    sources: list[Fragment] = []
    for vector_, shift in ((first, 0), (second, count)):
        if not any(shift <= each < shift + vector_.type.shape[0] for each in mask):
            continue
        most = vector_.type.shape[0] - 1
        staged = writer.exchange.write(writer.fragment(vector_, writer.places.resting(vector_)), layout)
        inside = [
            arith.minsi(arith.maxsi(fr.plus(each, -shift), fr.integer(0)), fr.integer(most))
            for each in places
        ]
        sources.append(writer.exchange.read_at(staged, layout, inside.__getitem__))
    if len(sources) == 1:
        return sources[0]
    elements = []
    for register, at in enumerate(places):
        is_first = arith.cmpi(arith.CmpIPredicate.slt, at, fr.integer(count))
        elements.append(arith.select(is_first, *(each.element(register) for each in sources)))
    return fr.fragment_of(layout, elements)
