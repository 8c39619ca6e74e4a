"""What one lane has of a tile: registers, as vectors of up to four elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.bindings import arith, ir, vector
from aecompiler.passes import rewriting as rw

WIDTH = 4
"""Elements of a part: what most matrix instructions give, and pairs for arithmetic on pairs."""


@dataclass(frozen=True)
class Fragment:
    """The registers of a lane, in parts of `width` elements; scalars where there is one."""

    layout: Layout
    parts: tuple[ir.Value, ...]

    @property
    def width(self) -> int:
        """How many elements a part has."""
        return self.layout.count // len(self.parts)

    def element(self, register: int) -> ir.Value:
        """The scalar in a register."""
        part, place = divmod(register, self.width)
        return self.parts[part] if self.width == 1 else extract(self.parts[part], place)

    def elements(self) -> list[ir.Value]:
        """The scalars of all registers."""
        return [self.element(register) for register in range(self.layout.count)]

    def piece(self, first: int, count: int) -> ir.Value:
        """A vector of `count` registers from `first` on; a scalar for one."""
        return joined([self.parts[n] for n in range(len(self.parts))], self.width, first, count)


def part_width(layout: Layout) -> int:
    """How many elements a part of such a fragment has."""
    return min(WIDTH, layout.count)


def element_type(type_: ir.Type) -> ir.Type:
    """The type of an element of a tile in registers: positions have 32 bits."""
    element = type_.element_type if isinstance(type_, ir.VectorType) else type_
    return ir.IntegerType.get_signless(32) if isinstance(element, ir.IndexType) else element


def part_type(element: ir.Type, width: int) -> ir.Type:
    """The type of a part."""
    return element if width == 1 else ir.VectorType.get([width], element)


def extract(value: ir.Value, place: int) -> ir.Value:
    """An element of a vector."""
    return vector.extract(value, [], [place])


def build(elements: Sequence[ir.Value]) -> ir.Value:
    """The vector of these scalars; the scalar if there is one."""
    if len(elements) == 1:
        return elements[0]
    if all(each == elements[0] for each in elements):
        return vector.broadcast(part_type(elements[0].type, len(elements)), elements[0])
    if (source := _extracted(elements[0])) is not None:
        whole, first = source
        if all(_extracted(each) == (whole, first + n) for n, each in enumerate(elements)):
            return _slice(whole, first, len(elements))
    return vector.from_elements(part_type(elements[0].type, len(elements)), list(elements))


def _extracted(element: ir.Value) -> tuple[ir.Value, int] | None:
    """The vector, and the place in it, that an element was taken from; None for any other."""
    op = rw.definer(element)
    if op is None or op.name != "vector.extract" or len(op.operands) > 1:
        return None
    return op.operands[0], next(iter(op.attributes["static_position"]))


def fragment_of(layout: Layout, elements: Sequence[ir.Value]) -> Fragment:
    """A fragment of scalars."""
    width = part_width(layout)
    parts = [build(elements[at : at + width]) for at in range(0, layout.count, width)]
    return Fragment(layout, tuple(parts))


def fragment_from(layout: Layout, element: Callable[[int], ir.Value]) -> Fragment:
    """A fragment whose registers a function gives."""
    return fragment_of(layout, [element(register) for register in range(layout.count)])


def joined(parts: Sequence[ir.Value], width: int, first: int, count: int) -> ir.Value:
    """`count` elements from `first` on of vectors of `width` elements that follow each other."""
    if width == 1:
        return build(parts[first : first + count])
    start, place = divmod(first, width)
    if place + count <= width:
        return _slice(parts[start], place, count)
    assert place == 0, (first, count, width)
    assert count % width == 0, (first, count, width)
    pieces = list(parts[start : start + count // width])
    while len(pieces) > 1:
        pieces = [_concatenated(a, b) for a, b in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def split(value: ir.Value, width: int) -> list[ir.Value]:
    """A vector, or a scalar, as parts of `width` elements."""
    if not isinstance(value.type, ir.VectorType):
        return [value]
    count = value.type.shape[0]
    return [_slice(value, at, width) for at in range(0, count, width)]


def _slice(value: ir.Value, first: int, count: int) -> ir.Value:
    if count == 1:
        return extract(value, first)
    if first == 0 and value.type.shape[0] == count:
        return value
    return vector.shuffle(value, value, list(range(first, first + count)))


def _concatenated(a: ir.Value, b: ir.Value) -> ir.Value:
    count = a.type.shape[0] + b.type.shape[0]
    return vector.shuffle(a, b, list(range(count)))


def integer(value: int, bits: int = 32) -> ir.Value:
    """A constant integer."""
    type_ = ir.IntegerType.get_signless(bits)
    return arith.constant(type_, value)


def plus(value: ir.Value, number: int) -> ir.Value:
    """An integer, plus a constant."""
    return arith.addi(value, integer(number)) if number else value


def resized(value: ir.Value, type_: ir.IntegerType) -> ir.Value:
    """A signed integer, or a position, of another width."""
    if isinstance(value.type, ir.IndexType):
        return arith.index_cast(type_, value)
    if value.type.width == type_.width:
        return value
    return arith.extsi(type_, value) if value.type.width < type_.width else arith.trunci(type_, value)


def not_a_number(type_: ir.Type) -> ir.Value:
    """NaN, of a type of floats or of vectors of them."""
    element = ir.FloatAttr.get(element_type(type_), math.nan)
    if isinstance(type_, ir.VectorType):
        return arith.ConstantOp(type_, ir.DenseElementsAttr.get_splat(type_, element)).result
    return arith.ConstantOp(type_, element).result
