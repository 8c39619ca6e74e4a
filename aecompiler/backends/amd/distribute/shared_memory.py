"""Local memory (LDS): tiles that go from one layout to another through it, and what waves tell each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.backends.amd.distribute.rows import WIDEST_BITS, Rows, choose_rows
from aecompiler.bindings import arith, ir, load, vector

_ALIGNMENT = 16


@dataclass
class Buffer:
    """A piece of local memory, from the time that it is written first to when it is read last.

    `is_near`: it would rather be where places are small numbers, which offsets of accesses can hold.
    """

    memory: ir.Value
    shift: ir.Operation
    size: int
    born: int
    died: int
    is_near: bool


class SharedMemory:
    """Hands out local memory; buffers that are not used at the same time have the same bytes."""

    def __init__(self, arena: ir.Value):
        self.arena = arena
        self.time = 0
        self._buffers: list[Buffer] = []

    def allocate(self, count: int, element: ir.Type, bits: int, *, is_near: bool = False) -> Buffer:
        """Memory for `count` elements."""
        memref = load("dialects.memref")
        space = self.arena.type.memory_space
        shift = arith.ConstantOp(ir.IndexType.get(), ir.IntegerAttr.get(ir.IndexType.get(), 0))
        type_ = ir.MemRefType.get([count], element, memory_space=space)
        view = memref.view(type_, self.arena, shift.result, [])
        self.time += 1
        buffer = Buffer(view, shift.operation, count * bits // 8, self.time, self.time, is_near)
        self._buffers.append(buffer)
        return buffer

    def use(self, buffer: Buffer) -> None:
        """Say that a buffer is in use now."""
        self.time += 1
        buffer.died = self.time

    def place(self) -> int:
        """Choose where all buffers are; the bytes that they take together.

        Those that would rather be near come first where that takes no more bytes.
        """
        by_size = sorted(self._buffers, key=lambda each: (-each.size, each.born))
        near_first = sorted(by_size, key=lambda each: not each.is_near)
        found = min(_places(near_first), _places(by_size), key=_end)
        for at, buffer in found:
            buffer.shift.attributes["value"] = ir.IntegerAttr.get(ir.IndexType.get(), at)
        return _end(found)


def _places(buffers: Sequence[Buffer]) -> list[tuple[int, Buffer]]:
    """Where buffers are if each is put, in this order, at the first place that is free while it is used."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
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
    return placed


def _end(placed: Sequence[tuple[int, Buffer]]) -> int:
    return max((at + buffer.size for at, buffer in placed), default=0)


@dataclass
class Staged:
    """A tile in local memory; `element` is the type in registers."""

    buffer: Buffer
    rows: Rows
    element: ir.Type


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
        rows = choose_rows(layout, reader, inner, bits, self.banks)
        order = layout.runs_along(inner, rows.widest(bits))
        # Accesses of 8 bytes go in pairs, whose offsets have 8 bits; those of 16 have offsets of 16 bits.
        is_near = len(order[0]) * bits < WIDEST_BITS
        staged = Staged(self.memory.allocate(rows.size, stored, bits, is_near=is_near), rows, element)
        base = self._base(rows, layout)
        for start in order:
            elements = [fragment.element(register) for register in start]
            if stored != element:
                elements = [arith.extui(stored, each) for each in elements]
            self._store(staged, fr.build(elements), base, rows.shift(layout, start[0]), bits)
        self.memory.use(staged.buffer)
        return staged

    def read(self, staged: Staged, layout: Layout) -> Fragment:
        """The fragment of a staged tile."""
        stored, bits = _stored(staged.element)
        rows = staged.rows
        order = layout.runs_along(rows.inner, rows.widest(bits))
        base = self._base(rows, layout)
        elements: dict[int, ir.Value] = {}
        for start in order:
            loaded = self._load(staged, base, rows.shift(layout, start[0]), len(start), stored, bits)
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

    def _base(self, rows: Rows, layout: Layout) -> ir.Value:
        """The place of the first register."""
        place = fr.integer(0)
        for dim in range(layout.rank):
            bits = [each[1] for each in (*layout.lanes, *layout.waves) if each is not None and each[0] == dim]
            for first, factor in rows.factors(dim):
                if max(bits, default=-1) < first:
                    continue
                index = self.position(layout, dim)
                above = arith.shrui(index, fr.integer(first)) if first else index
                place = arith.addi(place, arith.muli(above, fr.integer(factor)))
        return place

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
