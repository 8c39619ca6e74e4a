"""What stands at a place of a tile that the whole workgroup shares: of registers, of lanes, of waves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.lane_numbers import moved_bits
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Layout
from aecompiler.backends.amd.distribute.reductions import by_lane, moved, of_all_waves
from aecompiler.bindings import arith, ir, load

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer


def extract_tile(writer: Writer, op: ir.Operation) -> Fragment:
    """The fragment of a `vector.extract` at one place along the first dimension.

    Of registers each bit of the place chooses a half, so that there is one question for all of them. What is
    left is in one of several lanes, whose number the place says, or in one of several waves.
    """
    source, *places = op.operands
    fragment = writer.fragment(source, writer.places.homes[source])
    (known,) = op.attributes["static_position"]
    i32 = ir.IntegerType.get_signless(32)
    place = fr.resized(writer.scalar(places[0]), i32) if places else fr.integer(known)
    layout = fragment.layout
    target = layout.without(0)
    found = _of_registers(fragment, target, place)
    bits = [(own[1], bit) for bit, own in enumerate(layout.lanes) if own is not None and own[0] == 0]
    if bits:
        found = _of_lane(writer, found, place, bits)
    waves = [own[1] for own in layout.waves if own is not None and own[0] == 0]
    if waves:
        wave = moved_bits(place, [(bit, number) for number, bit in enumerate(waves)])
        assert wave is not None
        found = _of_registers(of_all_waves(writer, found, layout, [0]), target, wave)
    return found


def _of_registers(fragment: Fragment, target: Layout, place: ir.Value) -> Fragment:
    """The registers that have the bits of a place along the first dimension."""
    layout = fragment.layout
    own = [(number, bit) for number, (dim, bit) in enumerate(layout.registers) if dim == 0]
    others = [number for number, (dim, _) in enumerate(layout.registers) if dim]
    is_set = [
        arith.cmpi(arith.CmpIPredicate.ne, arith.andi(place, fr.integer(1 << bit)), fr.integer(0))
        for _, bit in own
    ]

    def element(register: int) -> ir.Value:
        first = sum((register >> n & 1) << number for n, number in enumerate(others))
        numbers = [first]
        for number, _ in own:
            numbers = [each | high for high in (0, 1 << number) for each in numbers]
        values = [fragment.element(each) for each in numbers]
        for bit in reversed(is_set):
            half = len(values) // 2
            values = [arith.select(bit, b, a) for a, b in zip(values[:half], values[half:], strict=True)]
        return values[0]

    return fr.fragment_from(target, element)


def _of_lane(
    writer: Writer, fragment: Fragment, place: ir.Value, bits: Sequence[tuple[int, int]]
) -> Fragment:
    """What the lane has in whose number bits of the place stand: which ones, and where."""
    rocdl = load("dialects.rocdl")
    lane = moved_bits(place, bits)
    assert lane is not None
    left = ((1 << LANE_BITS) - 1) & ~sum(1 << bit for _, bit in bits)

    def move(word: ir.Value) -> ir.Value:
        if all(each is None for each in fragment.layout.lanes):
            return rocdl.readlane(word.type, word, lane)
        source = arith.ori(arith.andi(writer.lanes.lane, fr.integer(left)), lane)
        return by_lane(word, source)

    return fr.fragment_of(fragment.layout, [moved(each, move) for each in fragment.elements()])
