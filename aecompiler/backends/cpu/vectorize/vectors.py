"""Building vectors: constants, loads, stores, memory, transposition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aecompiler.bindings import arith, ir, memref, vector
from aecompiler.dialect.types import DYNAMIC
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile


def vector_type(element: ir.Type, lanes: int) -> ir.VectorType:
    """A vector of `lanes` elements."""
    return ir.VectorType.get([lanes], element)


def element_type(value: ir.Value) -> ir.Type:
    """The type of a scalar, or of a vector's elements."""
    type_ = value.type
    return ir.VectorType(type_).element_type if isinstance(type_, ir.VectorType) else type_


def is_vector(value: ir.Value) -> bool:
    """Whether a value is a vector, not a scalar."""
    return isinstance(value.type, ir.VectorType)


def broadcast(value: ir.Value, lanes: int) -> ir.Value:
    """A vector with `value` in each lane; a vector stays as it is."""
    if is_vector(value):
        return value
    return vector.broadcast(vector_type(value.type, lanes), value)


def constants(element: ir.Type, values: Sequence[int]) -> ir.Value:
    """A vector of these integers."""
    type_ = vector_type(element, len(values))
    elements = [ir.IntegerAttr.get(element, value) for value in values]
    return arith.constant(type_, ir.DenseElementsAttr.get(elements, type_))


def width(element: ir.Type) -> int:
    """Bits of a type in memory."""
    return 64 if isinstance(element, ir.IndexType) else element.width


def fills_bytes(element: ir.Type) -> bool:
    """Whether elements of a type lie in memory as in a vector: i1 and i4 take bytes there, and bits here."""
    return width(element) in (8, 16, 32, 64)


def load(buffer: ir.Value, indices: Sequence[ir.Value], lanes: int) -> ir.Value:
    """`lanes` neighbouring elements."""
    element = ir.MemRefType(buffer.type).element_type
    type_ = vector_type(element, lanes)
    if not fills_bytes(element):
        return vector.from_elements(type_, [memref.load(buffer, at) for at in _places(indices, lanes)])
    return vector.LoadOp(type_, buffer, list(indices), alignment=width(element) // 8).result


def store(value: ir.Value, buffer: ir.Value, indices: Sequence[ir.Value]) -> None:
    """Store a vector to neighbouring elements."""
    element = element_type(value)
    if not fills_bytes(element):
        (lanes,) = ir.VectorType(value.type).shape
        for lane, place in enumerate(_places(indices, lanes)):
            memref.store(extract(value, lane), buffer, place)
        return
    vector.StoreOp(value, buffer, list(indices), alignment=width(element) // 8)


def _places(indices: Sequence[ir.Value], lanes: int) -> list[list[ir.Value]]:
    *prefix, last = indices
    return [[*prefix, plus(last, lane)] for lane in range(lanes)]


def extract(value: ir.Value, position: int) -> ir.Value:
    """The element of a vector, or the vector of a matrix, at a position."""
    return vector.ExtractOp(value, [], [position]).result


def plus(value: ir.Value, offset: int) -> ir.Value:
    """`value + offset`, no operation for 0."""
    return arith.addi(value, rw.index(offset)) if offset else value


def loop(
    lower: int | ir.Value,
    upper: int | ir.Value,
    step: int,
    inits: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """`scf.for`, or the body itself where it runs once, or nothing where it never runs."""
    if isinstance(lower, int) and isinstance(upper, int):
        if upper <= lower:
            return list(inits)
        if upper - lower <= step:
            return list(body(rw.index(lower), list(inits)))
    first, end = (rw.index(bound) if isinstance(bound, int) else bound for bound in (lower, upper))
    return rw.for_loop(first, end, rw.index(step), inits, body)


def strips(
    size: int,
    step: int,
    inits: Sequence[ir.Value],
    body: Callable[[ir.Value, int, list[ir.Value]], Sequence[ir.Value]],
) -> list[ir.Value]:
    """Go through `size` by `step`, with a smaller last strip: `body(start, count, carried)`."""
    whole = size - size % step
    carried = loop(0, whole, step, inits, lambda i, c: body(i, step, c))
    if size % step:
        carried = list(body(rw.index(whole), size % step, carried))
    return carried


def transpose(rows: Sequence[ir.Value]) -> list[ir.Value]:
    """The columns of the square matrix of `rows`, whose size is a power of two.

    Each round interleaves row i with row i + size / 2: position (r, c), its bits written one after the other,
    is rotated by one bit, and after as many rounds as r has bits r and c have changed places.
    """
    size = len(rows)
    low = [lane // 2 + size * (lane % 2) for lane in range(size)]
    high = [lane + size // 2 for lane in low]
    rows = list(rows)
    for _ in range(size.bit_length() - 1):
        pairs = zip(rows[: size // 2], rows[size // 2 :], strict=True)
        rows = [vector.ShuffleOp(a, b, order).result for a, b in pairs for order in (low, high)]
    return rows


def subview(
    buffer: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int | ir.Value],
    keep: Sequence[int],
    steps: Sequence[int] | None = None,
) -> ir.Value:
    """A part of a buffer, by steps of 1 or `steps`; only the dimensions `keep` stay: others have size 1."""
    source = ir.MemRefType(buffer.type)
    strides, offset = source.get_strides_and_offset()
    steps = list(steps or [1] * len(sizes))
    if not all(isinstance(step, int) for step in steps):
        raise UnsupportedTile("a slice whose steps are not known")
    dynamic_offsets, static_offsets = _mixed(offsets)
    dynamic_sizes, static_sizes = _mixed(sizes)
    dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
    for place, stride in zip(static_offsets, strides, strict=True):
        known = place == 0 or dynamic not in (place, stride, offset)
        offset = offset + (place * stride if place else 0) if known and offset != dynamic else dynamic
    strides = [dynamic if s == dynamic else s * step for s, step in zip(strides, steps, strict=True)]

    def part(dimensions: Sequence[int]) -> ir.MemRefType:
        layout = ir.StridedLayoutAttr.get(offset, [strides[d] for d in dimensions])
        return ir.MemRefType.get([static_sizes[d] for d in dimensions], source.element_type, layout)

    # MLIR finds the dimensions that are gone by their size of 1: it can't if one that stays has it, too.
    unclear = len(keep) < len(sizes) and any(static_sizes[d] == 1 for d in keep)
    view = memref.SubViewOp(
        part(range(len(sizes)) if unclear else keep),
        buffer,
        dynamic_offsets,
        dynamic_sizes,
        [],
        static_offsets,
        static_sizes,
        steps,
    ).result
    if not unclear:
        return view
    base, start, *numbers = memref.ExtractStridedMetadataOp(view).results
    rank = len(sizes)
    kept = part(keep)
    return memref.ReinterpretCastOp(
        kept,
        base,
        [start] if offset == dynamic else [],
        [numbers[d] for d in keep if static_sizes[d] == DYNAMIC],
        [numbers[rank + d] for d in keep if strides[d] == dynamic],
        [offset],
        kept.shape,
        [strides[d] for d in keep],
    ).result


def _mixed(values: Sequence[int | ir.Value]) -> tuple[list[ir.Value], list[int]]:
    dynamic = [value for value in values if not isinstance(value, int)]
    return dynamic, [value if isinstance(value, int) else DYNAMIC for value in values]


def size(buffer: ir.Value, dimension: int) -> int | ir.Value:
    """A size of a buffer: a number where it is static."""
    shaped = ir.MemRefType(buffer.type)
    if shaped.is_dynamic_dim(dimension):
        return memref.DimOp(buffer, rw.index(dimension)).result
    return shaped.shape[dimension]


def convert(value: ir.Value, element: ir.Type) -> ir.Value:
    """A float, or a vector of floats, in another type."""
    have = element_type(value)
    if have == element:
        return value
    type_ = vector_type(element, ir.VectorType(value.type).shape[0]) if is_vector(value) else element
    return (arith.extf if element.width > have.width else arith.truncf)(type_, value)


def nest(
    outer: tuple[int, int, int], inner: tuple[int, int, int], body: Callable[[ir.Value, ir.Value], None]
) -> None:
    """Two loops, each from, to and by static numbers."""

    def inside(i: ir.Value, j: ir.Value) -> list[ir.Value]:
        body(i, j)
        return []

    loop(*outer, [], lambda i, _: loop(*inner, [], lambda j, _: inside(i, j)))


def copy_rows(source: ir.Value, target: ir.Value, lanes: int) -> None:
    """Copy a buffer of rank 1 or 2, converting floats, as far as `source` reaches. Last strides are 1."""
    shape = ir.MemRefType(source.type).shape
    to = ir.MemRefType(target.type).element_type
    columns = shape[-1]

    def row(prefix: list[ir.Value]) -> None:
        def strip(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            store(convert(load(source, [*prefix, c], lanes), to), target, [*prefix, c])
            return []

        def single(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            memref.store(convert(memref.load(source, [*prefix, c]), to), target, [*prefix, c])
            return []

        if columns == DYNAMIC:
            loop(0, size(source, len(shape) - 1), 1, [], single)
            return
        whole = columns - columns % lanes
        loop(0, whole, lanes, [], strip)
        loop(whole, columns, 1, [], single)

    if len(shape) == 1:
        row([])
        return

    def body(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        row([n])
        return []

    loop(0, size(source, 0), 1, [], body)


def fill_rows(target: ir.Value, scalar: ir.Value, lower: int | ir.Value, lanes: int) -> None:
    """Store `scalar` to the rows of a static buffer of rank 2 from `lower` on."""
    rows, columns = ir.MemRefType(target.type).shape
    whole = columns - columns % lanes

    def body(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        def strip(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            store(broadcast(scalar, lanes), target, [n, c])
            return []

        def single(c: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            memref.store(scalar, target, [n, c])
            return []

        loop(0, whole, lanes, [], strip)
        loop(whole, columns, 1, [], single)
        return []

    loop(lower, rows, 1, [], body)


def twice(value: ir.Value) -> ir.Value:
    """`2 * value`."""
    return arith.muli(value, rw.index(2))


def sum_of(value: ir.Value) -> ir.Value:
    """The sum of a vector's elements."""
    return vector.reduction(element_type(value), vector.CombiningKind.ADD, value)
