"""Local memory (LDS): tiles that go from one layout to another through it, and what waves tell each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from aecompiler.backends.amd.banks import BANK_BYTES, conflict_cycles
from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import LANE_BITS, Layout
from aecompiler.bindings import arith, ir, load, vector

_ALIGNMENT = 16


@dataclass
class Buffer:
    """A piece of local memory, from the time that it is written first to when it is read last."""

    memory: ir.Value
    shift: ir.Operation
    size: int
    born: int
    died: int


class SharedMemory:
    """Hands out local memory; buffers that are not used at the same time have the same bytes."""

    def __init__(self, arena: ir.Value):
        self.arena = arena
        self.time = 0
        self._buffers: list[Buffer] = []

    def allocate(self, count: int, element: ir.Type, bits: int) -> Buffer:
        """Memory for `count` elements."""
        memref = load("dialects.memref")
        space = self.arena.type.memory_space
        shift = arith.ConstantOp(ir.IndexType.get(), ir.IntegerAttr.get(ir.IndexType.get(), 0))
        type_ = ir.MemRefType.get([count], element, memory_space=space)
        view = memref.view(type_, self.arena, shift.result, [])
        self.time += 1
        buffer = Buffer(view, shift.operation, count * bits // 8, self.time, self.time)
        self._buffers.append(buffer)
        return buffer

    def use(self, buffer: Buffer) -> None:
        """Say that a buffer is in use now."""
        self.time += 1
        buffer.died = self.time

    def place(self) -> int:
        """Choose where all buffers are; the bytes that they take together."""
        placed: list[tuple[int, Buffer]] = []
        total = 0
        for buffer in sorted(self._buffers, key=lambda each: (-each.size, each.born)):
            others = sorted(
                (at, other.size)
                for at, other in placed
                if other.born <= buffer.died and buffer.born <= other.died
            )
            at = 0
            for start, size in others:
                if at + buffer.size <= start:
                    break
                at = max(at, -(-(start + size) // _ALIGNMENT) * _ALIGNMENT)
            placed.append((at, buffer))
            buffer.shift.attributes["value"] = ir.IntegerAttr.get(ir.IndexType.get(), at)
            total = max(total, at + buffer.size)
        return total


@dataclass
class Staged:
    """A tile in local memory, in rows along the dimension `inner` that begin `stride` elements apart."""

    buffer: Buffer
    inner: int
    stride: int
    element: ir.Type
    """The type in registers."""

    def widest(self, bits: int) -> int:
        """How many elements can be read and written together."""
        return math.gcd(self.stride, 128 // bits)


class Exchange:
    """Moves fragments through local memory."""

    def __init__(self, memory: SharedMemory, banks: int, position: Callable[[Layout, int], ir.Value]):
        self.memory, self.banks = memory, banks
        self.position = position
        """What the lane contributes to the index in a dimension of a layout, of i32."""

    def write(self, fragment: Fragment, reader: Layout) -> Staged:
        """Put a tile where it is read in the layout `reader`."""
        layout, first = fragment.layout, fragment.parts[0]
        element = fr.element_type(first.type)
        stored, bits = _stored(element)
        inner = reader.registers[0][0] if reader.registers else reader.rank - 1
        width, rows = layout.shape[inner], math.prod(layout.shape) // layout.shape[inner]
        stride = width if rows == 1 else self._stride(inner, layout, reader, bits)
        buffer = self.memory.allocate(rows * stride, stored, bits)
        staged = Staged(buffer, inner, stride, element)
        order = layout.runs_along(inner, staged.widest(bits))
        base = self._base(staged, layout)
        for start in order:
            elements = [fragment.element(register) for register in start]
            if stored != element:
                elements = [arith.extui(stored, each) for each in elements]
            self._store(staged, fr.build(elements), base, self._shift(staged, layout, start[0]), bits)
        self.memory.use(buffer)
        return staged

    def read(self, staged: Staged, layout: Layout) -> Fragment:
        """The fragment of a staged tile."""
        stored, bits = _stored(staged.element)
        order = layout.runs_along(staged.inner, staged.widest(bits))
        base = self._base(staged, layout)
        elements: dict[int, ir.Value] = {}
        for start in order:
            loaded = self._load(staged, base, self._shift(staged, layout, start[0]), len(start), stored, bits)
            for place, register in enumerate(start):
                element = loaded if len(start) == 1 else fr.extract(loaded, place)
                if stored != staged.element:
                    element = arith.trunci(staged.element, element)
                elements[register] = element
        self.memory.use(staged.buffer)
        return fr.fragment_of(layout, [elements[register] for register in range(layout.count)])

    def read_at(self, staged: Staged, layout: Layout, place: Callable[[int], ir.Value]) -> Fragment:
        """The fragment of a vector whose register n is the staged element at `place(n)`, of i32."""
        stored, bits = _stored(staged.element)
        elements = []
        for register in range(layout.count):
            element = self._load(staged, place(register), 0, 1, stored, bits)
            elements.append(element if stored == staged.element else arith.trunci(staged.element, element))
        self.memory.use(staged.buffer)
        return fr.fragment_of(layout, elements)

    def _stride(self, inner: int, writer: Layout, reader: Layout, bits: int) -> int:
        """How far apart rows are: lanes that read together meet in few banks, and then those that write.

        Runs of the reader that follow each other are put between rows, up to those of all banks.
        """
        width, run = reader.shape[inner], min(reader.contiguous(inner), 128 // bits)
        run = max(run, BANK_BYTES * 8 // bits)

        def conflicts(stride: int) -> tuple[int, int, int]:
            reads, writes = (
                self._conflicts(layout, inner, stride, bits, writes=is_writer)
                for layout, is_writer in ((reader, False), (writer, True))
            )
            return reads, writes, stride

        most = self.banks * BANK_BYTES * 8 // bits
        return min(map(conflicts, range(width, width + most, run)))[-1]

    def _conflicts(self, layout: Layout, inner: int, stride: int, bits: int, *, writes: bool) -> int:
        """Conflict cycles of the first access; those of other registers are elsewhere in the same way."""
        run = len(layout.runs_along(inner, math.gcd(stride, 128 // bits))[0])
        places = []
        for lane in range(1 << LANE_BITS):
            index = [0] * layout.rank
            for bit, place in enumerate(layout.lanes):
                if place is not None and lane >> bit & 1:
                    index[place[0]] |= 1 << place[1]
            row = 0
            for dim, size in enumerate(layout.shape):
                if dim != inner:
                    row = row * size + index[dim]
            places.append((row * stride + index[inner]) * bits // 8)
        return conflict_cycles(places, self.banks, run * bits // 8, writes)

    def _row(self, staged: Staged, layout: Layout, index: Callable[[int], int]) -> int:
        row = 0
        for dim, size in enumerate(layout.shape):
            if dim != staged.inner:
                row = row * size + index(dim)
        return row * staged.stride + index(staged.inner)

    def _shift(self, staged: Staged, layout: Layout, register: int) -> int:
        """What a register adds to the place of the first."""
        index = layout.register_index(register)
        return self._row(staged, layout, lambda dim: index[dim])

    def _base(self, staged: Staged, layout: Layout) -> ir.Value:
        """The place of the first register."""
        place = fr.integer(0)
        for dim, size in enumerate(layout.shape):
            if dim != staged.inner:
                place = arith.addi(arith.muli(place, fr.integer(size)), self.position(layout, dim))
        place = arith.muli(place, fr.integer(staged.stride))
        return arith.addi(place, self.position(layout, staged.inner))

    def _at(self, base: ir.Value, shift: int) -> ir.Value:
        place = arith.addi(base, fr.integer(shift)) if shift else base
        return arith.index_cast(ir.IndexType.get(), place)

    def _store(self, staged: Staged, value: ir.Value, base: ir.Value, shift: int, bits: int) -> None:
        memref = load("dialects.memref")
        place = self._at(base, shift)
        if isinstance(value.type, ir.VectorType):
            aligned = value.type.shape[0] * bits // 8
            vector.StoreOp(value, staged.buffer.memory, [place], alignment=aligned)
        else:
            memref.store(value, staged.buffer.memory, [place])

    def _load(
        self, staged: Staged, base: ir.Value, shift: int, count: int, stored: ir.Type, bits: int
    ) -> ir.Value:
        memref = load("dialects.memref")
        place = self._at(base, shift)
        if count == 1:
            return memref.load(staged.buffer.memory, [place])
        type_ = ir.VectorType.get([count], stored)
        return vector.LoadOp(type_, staged.buffer.memory, [place], alignment=count * bits // 8).result


def _stored(element: ir.Type) -> tuple[ir.Type, int]:
    """The type of an element in memory, and its bits: bits are bytes there."""
    if isinstance(element, ir.IntegerType) and element.width == 1:
        return ir.IntegerType.get_signless(8), 8
    return element, element.width
