"""Reads and writes of memory: through buffers that know where a tensor ends.

What all lanes share of an address moves the base of a buffer; the rest is an offset of 32 bits in bytes.
An element that a mask leaves out has an offset beyond every end, where nothing is read or written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecompiler.backends.amd.distribute import fragments as fr
from aecompiler.backends.amd.distribute.direct import DirectTile
from aecompiler.backends.amd.distribute.fragments import Fragment
from aecompiler.backends.amd.distribute.layouts import Layout
from aecompiler.backends.amd.distribute.offsets import Number, plus
from aecompiler.backends.amd.distribute.operand_layouts import layout_of_part
from aecompiler.backends.amd.distribute.places import BYTES, WIDEST
from aecompiler.backends.amd.distribute.tile_facts import is_all_true, is_zero, sum_of_places
from aecompiler.bindings import arith, ir, load, vector
from aecompiler.passes import rewriting as rw
from aecompiler.passes.tile_program import RETRY

if TYPE_CHECKING:
    from aecompiler.backends.amd.distribute.writer import Writer

AHEAD = "amd.ahead"
"""The attribute of a read of what the next turn of a loop needs."""

BEYOND = -(1 << 31)
"""An offset, as a number of 32 bits, that is beyond the end of every buffer."""

LARGEST = (1 << 31) - 1
"""The most bytes of a buffer."""

_DYNAMIC = -(1 << 31)
"""What stands for an index of `llvm.getelementptr` that is no constant."""

_FLAGS = 0x00027000
"""The last word of a buffer's description: numbers of 32 bits, addresses as they are."""


@dataclass(frozen=True)
class Pointer:
    """A parameter of the kernel: its address, the bytes that may be accessed from there on, the element."""

    address: ir.Value
    size: ir.Value
    element: ir.Type


class Access:
    """Gathers and scatters of tiles."""

    def __init__(self, writer: Writer):
        self.writer = writer

    def gather(self, op: ir.Operation, layout: Layout) -> Fragment:
        """The fragment of a `vector.gather`."""
        memory, *_, mask, other = op.operands
        place = _Place(self.writer, op, memory, mask, layout)
        elements: dict[int, ir.Value] = {}
        for group in place.groups():
            value = place.read(group)
            for number, register in enumerate(group):
                elements[register] = value if len(group) == 1 else fr.extract(value, number)
        found = fr.fragment_of(layout, [elements[register] for register in range(layout.count)])
        if place.is_masked and not is_zero(other):
            masks, others = self.writer.fragment(mask, layout), self.writer.fragment(other, layout)
            parts = [arith.select(*each) for each in zip(masks.parts, found.parts, others.parts, strict=True)]
            found = Fragment(layout, tuple(parts))
        return found

    def gather_into(self, tile: DirectTile, op: ir.Operation) -> None:
        """Load the next copy of a tile, as a `vector.gather` reads it, straight into local memory."""
        memory, *_, mask, _ = op.operands
        place = _Place(self.writer, op, memory, mask, tile.lines.layout)
        tile.write(lambda register: (place.resource, *place.offset(register)), self.writer.lanes.weigh)

    def scatter(self, op: ir.Operation) -> None:
        """Do a `vector.scatter`."""
        memory, *_, mask, value = op.operands
        fragment = self.writer.any_fragment(value)
        place = _Place(self.writer, op, memory, mask, fragment.layout)
        for group in place.groups():
            place.write(group, fr.build([fragment.element(register) for register in group]))

    def load(self, memory: ir.Value, base: ir.Value) -> ir.Value:
        """The number at a place that all lanes share."""
        pointer = self.writer.pointers[memory]
        resource = self._resource(pointer, self.writer.sums.of(base).rest)
        zero = fr.integer(0)
        return _from_bits(_raw_load(resource, zero, _bits_type(pointer.element, 1)), pointer.element, 1)

    def store(self, value: ir.Value, memory: ir.Value, base: ir.Value) -> None:
        """Write a number to a place that all lanes share."""
        pointer = self.writer.pointers[memory]
        resource = self._resource(pointer, self.writer.sums.of(base).rest)
        _raw_store(resource, fr.integer(0), _to_bits(value))

    def _resource(self, pointer: Pointer, rest: Number) -> ir.Value:
        return resource_of(self.writer, pointer, rest)[0]


def resource_of(writer: Writer, pointer: Pointer, rest: Number) -> tuple[ir.Value, ir.Value]:
    """The buffer that begins `rest` elements behind a pointer, and its size in bytes.

    It is computed in 32 bits where there are no more bytes.
    """
    llvm, rocdl = load("dialects.llvm"), load("dialects.rocdl")
    bits = 32 if writer.choice.is_near else 64
    shift = arith.muli(writer.number(rest, bits), fr.integer(BYTES[str(pointer.element)], bits))
    size = fr.resized(pointer.size, ir.IntegerType.get_signless(bits))
    left = arith.maxsi(arith.subi(size, shift), fr.integer(0, bits))
    if not writer.choice.is_near:
        left = arith.minsi(left, fr.integer(LARGEST, 64))
    i64 = ir.IntegerType.get_signless(64)
    if writer.choice.is_near:
        shift, left = arith.extsi(i64, shift), arith.extui(i64, left)
    byte = ir.IntegerType.get_signless(8)
    address = llvm.getelementptr(pointer.address.type, pointer.address, [shift], [_DYNAMIC], byte, None)
    type_ = ir.Type.parse("!llvm.ptr<8>")
    return rocdl.make_buffer_rsrc(type_, address, fr.integer(0, 16), left, fr.integer(_FLAGS)), left


class _Place:
    """Where the elements of a tile are in memory."""

    def __init__(
        self,
        writer: Writer,
        op: ir.Operation,
        memory: ir.Value,
        mask: ir.Value,
        layout: Layout,
    ):
        self.writer, self.layout, self.mask = writer, layout, mask
        self.pointer = writer.pointers[memory]
        self.bytes = BYTES[str(self.pointer.element)]
        self.is_masked = not is_all_true(mask)
        self.is_ahead = AHEAD in op.attributes
        self.sum = total = sum_of_places(writer.sums, op)
        writer.reaches.add(op, memory, total, layout.shape, self.bytes)
        fixed, self.moving = self._split(memory, total.rest)
        self.resource, self.left = resource_of(writer, self.pointer, fixed)
        self.first = self._first()
        # Code that hardly ever runs shares no offsets with other code, which would compute them for it.
        self.lanes_move = self.is_masked and not _is_of_retry(op)
        if self.lanes_move and self.moving:
            moved = {factors: count * self.bytes for factors, count in self.moving.items()}
            self.first = arith.addi(self.first, writer.number(moved, 32))
        self.masks = writer.fragment(mask, layout) if self.is_masked else None
        self.others = [
            (writer.number(scale, 32), writer.fragment(vector_, layout_of_part(layout, vector_, dims)), dims)
            for scale, vector_, dims in total.others
        ]

    def _split(self, memory: ir.Value, rest: Number) -> tuple[Number, Number]:
        """What is the same in all turns of the loop around, and what moves, in offsets of 32 bits.

        The latter is no number below 0, for the hardware. Outside of loops, where there is a mask, it is what
        lies behind a buffer that there is already, as the first tile of another loop does.
        """
        writer, scalars = self.writer, self.writer.sums.scalars
        moving = {
            factors: n
            for factors, n in rest.items()
            if any(writer.changes(scalars[each]) for each in factors)
        }
        if not writer.choice.is_near or not writer.sums.is_natural(moving):
            return rest, {}
        known = writer.buffers.setdefault(memory, [])
        for fixed in known if self.is_masked and not moving else ():
            behind = plus(rest, fixed, -1)
            if not behind.keys() & fixed.keys() and writer.sums.is_natural(behind):
                return fixed, behind
        fixed = {factors: n for factors, n in rest.items() if factors not in moving}
        known.append(fixed)
        return fixed, moving

    def _shared_offset(self, shared: Number) -> ir.Value:
        """An offset that all lanes share, which may be anywhere only where a mask may leave out all elements.

        The hardware compares an offset with what this one leaves of the size, which must be something. It is
        the same in all turns where lanes have what moves. If a mask is one bit, what is behind a branch on it
        has no choice left.
        """
        offset = self.writer.number(shared, 32)
        if not shared or not self.is_masked or not self.writer.sums.is_natural(shared):
            return offset
        if (bit := _only_bit(self.mask)) is not None:
            return arith.select(self.writer.scalar(bit), offset, fr.integer(0))
        return arith.minui(offset, fr.resized(self.left, ir.IntegerType.get_signless(32)))

    def _first(self) -> ir.Value:
        """The offset of the first register in bytes, but for what is not a sum of multiples of positions."""
        place = fr.integer(0)
        for dim, step in sorted(self.sum.steps.items()):
            position = self.writer.lanes.position(self.layout, dim)
            place = arith.addi(place, arith.muli(position, self.writer.number(step, 32)))
        return arith.muli(place, fr.integer(self.bytes))

    def groups(self) -> list[list[int]]:
        """Registers that are read or written together."""
        layout = self.layout
        most = WIDEST // self.bytes
        found = layout.runs_along(0, 1)
        for dim in range(layout.rank):
            run = min(self.writer.sums.aligned_run(self.sum, dim, most), layout.shape[dim])
            if self.is_masked:
                run = min(run, self.writer.sums.constant_run(self.mask, dim, most))
            found = min(found, layout.runs_along(dim, run), key=len)
        return found

    def offset(self, register: int) -> tuple[ir.Value, ir.Value]:
        """The offset of a register in bytes: of the lane, and what all lanes share."""
        index = self.layout.register_index(register)
        moved = {} if self.lanes_move else self.moving
        shared: Number = {factors: count * self.bytes for factors, count in moved.items()}
        for dim, step in self.sum.steps.items():
            for factors, count in step.items():
                shared[factors] = shared.get(factors, 0) + count * index[dim] * self.bytes
        constant = shared.pop((), 0)
        place = self.first
        for scale, fragment, dims in self.others:
            inner = {dim: n for n, dim in enumerate(each for each in dims if each >= 0)}
            own = [index[dim] for dim in sorted(inner, key=lambda each: inner[each])]
            element = fragment.element(_register_of(fragment.layout, own))
            element = fr.resized(element, ir.IntegerType.get_signless(32))
            place = arith.addi(place, arith.muli(arith.muli(element, scale), fr.integer(self.bytes)))
        if constant < 0:
            place = arith.addi(place, fr.integer(constant))
        if self.masks is not None:
            place = arith.select(self.masks.element(register), place, fr.integer(BEYOND))
        if constant > 0:  # last, so that registers with one mask share what is chosen: instructions add it
            place = arith.addi(place, fr.integer(constant))
        return place, self._shared_offset({key: n for key, n in shared.items() if n})

    def read(self, group: list[int]) -> ir.Value:
        """What stands at some registers' places, a vector or a scalar."""
        offset, shared = self.offset(group[0])
        type_ = _bits_type(self.pointer.element, len(group))
        value = _raw_load(self.resource, offset, type_, shared)
        if self.is_ahead:
            value.owner.attributes[AHEAD] = ir.UnitAttr.get()
        return _from_bits(value, self.pointer.element, len(group))

    def write(self, group: list[int], value: ir.Value) -> None:
        """Write a vector, or a scalar."""
        offset, shared = self.offset(group[0])
        _raw_store(self.resource, offset, _to_bits(value), shared)


def _register_of(layout: Layout, index: list[int]) -> int:
    """The register of an index whose dimensions of size 1 are left out."""
    own = [dim for dim, size in enumerate(layout.shape) if size != 1]
    full = [0] * layout.rank
    for dim, each in zip(own, index[-len(own) :] if own else [], strict=False):
        full[dim] = each
    return layout.register_of(full)


def _is_of_retry(op: ir.Operation) -> bool:
    """Whether an operation only runs where a result is not finite."""
    parent = op.parent
    while parent is not None and parent.name != "gpu.func":
        if RETRY in parent.attributes:
            return True
        parent = parent.operation.parent
    return False


def _only_bit(mask: ir.Value) -> ir.Value | None:
    """The scalar that all elements of a mask are; None for any other mask."""
    while isinstance(mask.type, ir.VectorType):
        op = rw.definer(mask)
        if op is None or op.name not in ("vector.broadcast", "vector.shape_cast"):
            return None
        mask = op.operands[0]
    return mask


def _bits_type(element: ir.Type, count: int) -> ir.Type:
    """The type that as many elements have on their way: words of 32 bits, or what is shorter."""
    bits = BYTES[str(element)] * 8 * count
    if bits <= 32:
        return ir.IntegerType.get_signless(bits)
    return ir.VectorType.get([bits // 32], ir.IntegerType.get_signless(32))


def _raw_load(
    resource: ir.Value, offset: ir.Value, type_: ir.Type, shared: ir.Value | None = None
) -> ir.Value:
    rocdl = load("dialects.rocdl")
    shared = fr.integer(0) if shared is None else shared
    return rocdl.raw_ptr_buffer_load(type_, resource, offset, shared)


def _raw_store(resource: ir.Value, offset: ir.Value, value: ir.Value, shared: ir.Value | None = None) -> None:
    rocdl = load("dialects.rocdl")
    shared = fr.integer(0) if shared is None else shared
    rocdl.raw_ptr_buffer_store(value, resource, offset, shared)


def _from_bits(value: ir.Value, element: ir.Type, count: int) -> ir.Value:
    """Elements of what was read."""
    if count == 1:
        if isinstance(value.type, ir.VectorType):  # 64 bits
            one = vector.bitcast(ir.VectorType.get([1], element), value)
            return fr.extract(one, 0)
        return value if value.type == element else arith.bitcast(element, value)
    wanted = ir.VectorType.get([count], element)
    if not isinstance(value.type, ir.VectorType):
        value = vector.broadcast(ir.VectorType.get([1], value.type), value)
    return value if value.type == wanted else vector.bitcast(wanted, value)


def _to_bits(value: ir.Value) -> ir.Value:
    """What is to be written, as it travels."""
    if isinstance(value.type, ir.VectorType):
        type_ = _bits_type(value.type.element_type, value.type.shape[0])
        if isinstance(type_, ir.VectorType):
            return vector.bitcast(type_, value)
        return fr.extract(vector.bitcast(ir.VectorType.get([1], type_), value), 0)
    type_ = _bits_type(value.type, 1)
    if isinstance(type_, ir.VectorType):
        return vector.bitcast(type_, vector.broadcast(ir.VectorType.get([1], value.type), value))
    return value if value.type == type_ else arith.bitcast(type_, value)
