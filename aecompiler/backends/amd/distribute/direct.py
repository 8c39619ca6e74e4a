"""Tiles that go from memory straight into local memory, two copies of each: one is read, one on its way.

A load of this kind (`buffer_load_dwordx4 ... lds`) brings 16 bytes for each lane of a wave, and puts them
next to each other, in the order of the lanes: a *line* of 1024 bytes at one place. Where lanes read from is
free, so that what is chosen is which rows of a tile share a line, and how far apart lines are. The place of
an element is then a sum: each bit of each index that is set adds a number of its own, its *weight*.

Rows are read along the dimension in which elements follow each other, up to 16 bytes at a time, or across it
by reads that turn 4 x 16 halves (`ds_read_b64_tr_b16`).

A load beyond the end of a buffer writes zeros, as it gives zeros where it goes to registers (AMD's "CDNA4
Instruction Set Architecture", on buffers); Composable Kernel's attention relies on it for its padding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aecompiler.backends.amd.banks import conflict_cycles
from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.lane_numbers import Weights
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Bit, Layout, Place, bits_of
from aecompiler.backends.amd.distribute.shared_memory import Buffer
from aecompiler.bindings import arith, ir, load

LOAD_BYTES = 16
"""What a lane loads."""

ELEMENT_BYTES = 2
"""The elements that are known to be loaded so: those that reads can turn."""

RUN = LOAD_BYTES // ELEMENT_BYTES
_RUN_BITS = bits_of(RUN)
_LINE = RUN << LANE_BITS
"""Elements of a line."""

_GAPS = (0, 8, 16, 32, 64)
"""Elements that lines may be apart."""

COPY = "amd.copy"
"""The attribute of an access to one of two copies of a tile: 0, of this turn of the loop around, or 1, of
the next."""


Weigh = Callable[[Weights, Weights], ir.Value]
"""The sum of what the number of a lane and that of its wave add."""


@dataclass(frozen=True)
class Lines:
    """How a tile lies in local memory.

    `layout`: which elements a lane loads, the first registers being what it loads at a time. `weights`: what
    each bit of an index adds to the place of an element. `size`: the elements of a copy.
    """

    layout: Layout
    inner: int
    weights: Mapping[Bit, int]
    size: int

    def shift(self, layout: Layout, register: int) -> int:
        """What a register adds to the place of the first."""
        index = layout.register_index(register)
        return sum(self.weights[bit] for bit in self.weights if index[bit[0]] >> bit[1] & 1)


def fits(shape: Sequence[int], inner: int, waves: int) -> bool:
    """Whether all lanes of 2^waves waves have something to load of a tile whose rows are along `inner`."""
    units = bits_of(shape[inner]) - _RUN_BITS
    return 0 <= units <= LANE_BITS and units + bits_of(shape[1 - inner]) >= LANE_BITS + waves


def choose_lines(
    shape: Sequence[int], inner: int, waves: int, banks: int, readers: Sequence[Layout]
) -> Lines:
    """The lines of a tile that are read in these layouts with the fewest conflicts, and then the smallest."""

    def cost(lines: Lines) -> tuple[int, int]:
        conflicts = 0
        for reader in readers:
            turned = is_turned(reader, inner)
            run = 4 if turned else len(reader.runs_along(inner, RUN)[0])
            lanes = _turned_lanes(reader, inner) if turned else reader.lanes
            places = [
                ELEMENT_BYTES
                * sum(
                    lines.weights[place]
                    for bit, place in enumerate(lanes)
                    if place is not None and lane >> bit & 1
                )
                for lane in range(1 << LANE_BITS)
            ]
            conflicts += conflict_cycles(places, banks, run * ELEMENT_BYTES, False)
        return conflicts, lines.size

    return min(_candidates(tuple(shape), inner, waves), key=cost)


def _candidates(shape: tuple[int, ...], inner: int, waves: int) -> Iterator[Lines]:
    """Rows of a tile in lines, in all ways that keep rows whole."""
    outer = 1 - inner
    units: list[Bit] = [(inner, bit) for bit in range(_RUN_BITS, bits_of(shape[inner]))]
    rows: list[Bit] = [(outer, bit) for bit in range(bits_of(shape[outer]))]
    for chosen in itertools.combinations(rows, LANE_BITS - len(units)):
        left = [row for row in rows if row not in chosen]
        lanes: tuple[Place, ...] = (*units, *chosen)
        run: tuple[Bit, ...] = tuple((inner, bit) for bit in range(_RUN_BITS))
        layout = Layout(shape, (*run, *left[waves:]), lanes, tuple(left[:waves]))
        for gap in _GAPS:
            weights: dict[Bit, int] = {(inner, bit): 1 << bit for bit in range(bits_of(shape[inner]))}
            weights |= {row: shape[inner] << place for place, row in enumerate(chosen)}
            weights |= {row: _LINE + gap << place for place, row in enumerate(left)}
            yield Lines(layout, inner, weights, (_LINE + gap) << len(left))


def is_turned(reader: Layout, inner: int) -> bool:
    """Whether a layout is read across rows, by reads that turn what they read."""
    outer = 1 - inner
    return (
        reader.registers[:2] == ((outer, 0), (outer, 1))
        and reader.lanes[:4] == tuple((inner, bit) for bit in range(4))
        and all(place is not None for place in reader.lanes)
    )


def _turned_lanes(reader: Layout, inner: int) -> tuple[Place, ...]:
    """What lanes address for such a read: of 16 lanes, four each are at a row, with four elements each."""
    outer = 1 - inner
    return ((inner, 2), (inner, 3), (outer, 0), (outer, 1), *reader.lanes[4:])


@dataclass
class Copies:
    """Local memory for two copies of all tiles that a loop hands on.

    `distance`: how many bytes the copies are apart. `turn`: at which byte the one begins that this turn of
    the loop reads, of i32; None before the loop.
    """

    buffer: Buffer
    distance: int
    turn: ir.Value | None = None

    @property
    def next(self) -> ir.Value | None:
        """Where the copy of the next turn begins; None before the loop, where it is the first."""
        return None if self.turn is None else arith.subi(fr.integer(self.distance), self.turn)

    def pointer(self, *places: ir.Value | None) -> ir.Value:
        """The address of a byte, the sum of some places; those that loops do not change stand in front."""
        llvm, memref = load("dialects.llvm"), load("dialects.memref")
        memory = memref.extract_aligned_pointer_as_index(self.buffer.memory)
        total = arith.index_cast(ir.IntegerType.get_signless(32), memory)
        for place in places:
            total = total if place is None else arith.addi(total, place)
        return llvm.inttoptr(ir.Type.parse("!llvm.ptr<3>"), total)


@dataclass
class DirectTile:
    """A tile in two copies, in local memory, `origin` bytes behind where each of them begins."""

    lines: Lines
    element: ir.Type
    copies: Copies
    origin: int

    def write(self, loads: Callable[[int], tuple[ir.Value, ir.Value, ir.Value]], weigh: Weigh) -> None:
        """Load a copy: `loads` gives the buffer, the offset of a lane and that of all for a register."""
        rocdl = load("dialects.rocdl")
        layout = self.lines.layout
        first = weigh((), self._bytes(layout.waves))
        copy = self.copies.next
        for register in range(0, layout.count, RUN):
            pointer = self.copies.pointer(fr.plus(first, self._shift(layout, register)), copy)
            buffer, offset, shared = loads(register)
            done = rocdl.raw_ptr_buffer_load_lds(
                buffer, pointer, fr.integer(LOAD_BYTES), offset, shared, fr.integer(0)
            )
            _mark(done.operation, is_next=copy is not None)

    def read(self, layout: Layout, weigh: Weigh) -> Fragment:
        """The fragment of the copy of this turn."""
        inner = self.lines.inner
        turned = is_turned(layout, inner)
        lanes = _turned_lanes(layout, inner) if turned else layout.lanes
        base = weigh(self._bytes(lanes), self._bytes(layout.waves))
        groups = layout.runs_along(1 - inner, 4) if turned else layout.runs_along(inner, RUN)
        elements: dict[int, ir.Value] = {}
        for group in groups:
            place = fr.integer(self._shift(layout, group[0]))
            found = self._read(self.copies.pointer(base, self.copies.turn, place), len(group), turned)
            for number, register in enumerate(group):
                elements[register] = found if len(group) == 1 else fr.extract(found, number)
        return fr.fragment_of(layout, [elements[register] for register in range(layout.count)])

    def _bytes(self, places: Sequence[Place]) -> Weights:
        """What the bits of the number of a lane or wave add to a place."""
        return tuple(0 if place is None else self.lines.weights[place] * ELEMENT_BYTES for place in places)

    def _shift(self, layout: Layout, register: int) -> int:
        return self.origin + self.lines.shift(layout, register) * ELEMENT_BYTES

    def _read(self, place: ir.Value, count: int, turned: bool) -> ir.Value:
        llvm, rocdl = load("dialects.llvm"), load("dialects.rocdl")
        type_ = self.element if count == 1 else ir.VectorType.get([count], self.element)
        if turned:
            found = rocdl.ds_read_tr16_b64(type_, place).result
        else:
            found = llvm.load(type_, place, alignment=count * ELEMENT_BYTES)
        _mark(found.owner, is_next=False)
        return found


def _mark(op: ir.Operation, *, is_next: bool) -> None:
    op.attributes[COPY] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(is_next))
