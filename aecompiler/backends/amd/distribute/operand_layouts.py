"""Where operands are, given where results are: of transposes, other shapes and repetitions."""

from __future__ import annotations

from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.bindings import ir


def layout_of_part(layout: Layout, vector: ir.Value, dims: tuple[int, ...]) -> Layout:
    """The layout of a vector whose dimensions are these of a tile, -1 for one of size 1."""
    for dim in reversed(range(layout.rank)):
        if dim not in dims:
            layout = layout.without(dim)
            dims = tuple(each - (each > dim) for each in dims)
    kept = [dim for dim in dims if dim >= 0]
    layout = layout.permuted(kept)
    return layout.reshaped(tuple(vector.type.shape))


def moved_source(op: ir.Operation, layout: Layout) -> Layout:
    """The layout of the operand of a transpose or another shape, given that of its result."""
    if op.name == "vector.transpose":
        order = list(op.attributes["permutation"])
        return layout.permuted([order.index(dim) for dim in range(len(order))])
    return layout.reshaped(tuple(op.operands[0].type.shape))


def repeated_source(op: ir.Operation, layout: Layout) -> Layout:
    """The layout of the operand of a `vector.broadcast`, given that of its result."""
    old, new = op.operands[0].type.shape, op.results[0].type.shape
    for _ in range(len(new) - len(old)):
        layout = layout.without(0)
    for dim, size in enumerate(old):
        if size == 1 and layout.shape[dim] != 1:
            layout = layout.narrowed(dim)
    return layout
