"""Products of matrices as matrix instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Bit, Layout
from aecompiler.bindings import ir, load

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer


def multiply(writer: Writer, op: ir.Operation) -> Fragment:
    """The fragment of a `vector.contract`: its sums, plus the products of all k."""
    left, right, start = op.operands
    product = writer.places.products[op]
    form = product.form
    lefts = _Operand(writer.fragment(left, product.left), 0, form.elements)
    rights = _Operand(writer.fragment(right, product.right), 1, form.elements)
    sums = writer.fragment(start, product.result)
    layout = product.result
    count = 1 << len(form.result_registers)
    blocks = [sums.piece(first, count) for first in range(0, layout.count, count)]
    steps = lefts.steps
    for number in range(len(blocks)):
        index = layout.register_index(number * count)
        for step in range(steps):
            blocks[number] = _instruction(
                form.instruction.m,
                form.instruction.k,
                rights.operand(index[1], step),
                lefts.operand(index[0], step),
                blocks[number],
            )
    width = fr.part_width(layout)
    parts = [part for block in blocks for part in fr.split(block, width)]
    return Fragment(layout, tuple(parts))


class _Operand:
    """The registers of an operand, by block and by step along k."""

    def __init__(self, fragment: Fragment, own: int, elements: int):
        self.fragment, self.own, self.elements = fragment, own, elements
        layout = fragment.layout
        self.steps = (1 << sum(dim != own for dim, _ in layout.registers)) // elements
        self.layout: Layout = layout
        self._found: dict[int, ir.Value] = {}

    def operand(self, index: int, step: int) -> ir.Value:
        """What an instruction takes for the block at `index`, for a step."""
        blocks: list[Bit] = [bit for bit in self.layout.registers if bit[0] == self.own]
        block = sum((index >> bit & 1) << place for place, (_, bit) in enumerate(blocks))
        first = (block * self.steps + step) * self.elements
        if first not in self._found:
            self._found[first] = self.fragment.piece(first, self.elements)
        return self._found[first]


def _instruction(size: int, k: int, a: ir.Value, b: ir.Value, sums: ir.Value) -> ir.Value:
    amdgpu = load("dialects.amdgpu")
    return amdgpu.mfma(size, size, k, a, b, sums)
