"""The tensors of a tile program that are not computed: slices, padding, fills, reshapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from aecompiler.backends.cpu.vectorize import vectors as vec
from aecompiler.backends.cpu.vectorize.bodies import Scope
from aecompiler.backends.cpu.vectorize.element_loops import ElementLoops
from aecompiler.backends.cpu.vectorize.nests import Nests
from aecompiler.backends.cpu.vectorize.ranges import SIZE
from aecompiler.backends.cpu.vectorize.reads import Reads
from aecompiler.backends.cpu.vectorize.storage import Storage
from aecompiler.backends.cpu.vectorize.transposes import Transposes
from aecompiler.backends.cpu.vectorize.values import (
    Deferred,
    Machine,
    Memory,
    Rows,
    Splat,
    TileValue,
    only_user,
)
from aecompiler.bindings import arith, ir, memref
from aecompiler.passes import rewriting as rw
from aecompiler.passes.structured_ops import UnsupportedTile


class Tensors:
    """What the tensors of a tile program have become, and the operations that only move them."""

    def __init__(
        self,
        entry: ir.Block,
        machine: Machine,
        lanes: int,
        scalars: dict[ir.Value, ir.Value],
        captures: dict[ir.Value, ir.Value],
    ):
        self.machine, self.lanes = machine, lanes
        self.scalars, self.captures = scalars, captures
        self.values: dict[ir.Value, TileValue] = {}
        self.storage = Storage(entry, machine, lanes)
        self.scope = Scope(lanes, scalars, captures)
        self.nests = Nests(self.scope, self.storage, self.lookup)
        self.loops = ElementLoops(self.scope, lanes, self.lookup)
        self.transposes = Transposes(self.nests)
        self.nests.transpose = self.transposes.copy
        self.results: dict[ir.Value, ir.Value] = {}
        self.parts: dict[ir.Value, ir.Operation] = {}
        self.reads = Reads(self.nests, self.transposes)

    def write_to(self, results: dict[ir.Value, ir.Value]) -> None:
        """The buffers of the results; a program may write to a slice of one before its end."""
        self.results = results
        self.values.update((value, Memory(buffer)) for value, buffer in results.items())

    def lookup(self, value: ir.Value) -> TileValue:
        """What a tensor has become."""
        if value not in self.values:
            if value in self.captures:
                return Memory(self.captures[value])
            raise UnsupportedTile("a tensor that is made outside")
        return self.values[value]

    def _handler(self, op: ir.Operation) -> Callable[[ir.Operation], None] | None:
        """The method that builds operations of this name."""
        return getattr(self, "_" + op.name.replace(".", "_"), None)

    @staticmethod
    def _is_scalar(op: ir.Operation) -> bool:
        values = [*op.operands, *op.results]
        scalar = not any(isinstance(value.type, ir.ShapedType) for value in values)
        return scalar and not len(op.regions) and op.name.startswith(("arith.", "math."))

    def _scalar(self, value: ir.Value) -> ir.Value:
        return self.scalars[value]

    def _tensor_empty(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(None)

    def _linalg_fill(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(self._scalar(op.operands[0]))

    def _tensor_splat(self, op: ir.Operation) -> None:
        self.values[op.results[0]] = Splat(self._scalar(op.operands[0]))

    def _arith_constant(self, op: ir.Operation) -> None:
        if not isinstance(op.results[0].type, ir.RankedTensorType):
            rw.clone_op(op, self.scalars)
            return
        attribute = op.attributes["value"]
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            raise UnsupportedTile("a tensor of constants")
        scalar = arith.constant(op.results[0].type.element_type, attribute.get_splat_value())
        self.values[op.results[0]] = Splat(scalar)

    def _tensor_dim(self, op: ir.Operation) -> None:
        source, dimension = op.operands
        place = self._scalar(dimension)
        self.scalars[op.results[0]] = memref.DimOp(self._memory(source).memref, place).result

    def _tensor_extract(self, op: ir.Operation) -> None:
        source, *indices = op.operands
        value = self.lookup(source)
        if isinstance(value, Splat) and value.scalar is not None:
            self.scalars[op.results[0]] = value.scalar
            return
        places = [self._scalar(index) for index in indices]
        self.scalars[op.results[0]] = memref.load(self._memory(source).memref, places)

    def _tensor_extract_slice(self, op: ir.Operation) -> None:
        source = self._memory(op.operands[0])
        offsets, sizes, steps = self._slice(op, 1)
        for offset in offsets:
            if isinstance(offset, ir.Value):
                self.scope.ranges.known[offset] = SIZE  # slices lie in their tensors
        shaped = ir.RankedTensorType(op.results[0].type)
        keep = kept_dimensions(list(ir.DenseI64ArrayAttr(op.attributes["static_sizes"])), list(shaped.shape))
        view = vec.subview(source.memref, offsets, sizes, keep, steps)
        if op.operands[0] in self.results:
            self.parts[view] = op
            self.values[op.results[0]] = Memory(view, owned=True)
            return
        strides, _ = ir.MemRefType(view.type).get_strides_and_offset()
        self.values[op.results[0]] = Memory(view)
        few = len(strides) == 1 and not shaped.has_static_shape  # read one by one, to be padded
        if strides and strides[-1] != 1 and not few:  # vectors of it are read elsewhere
            self.values[op.results[0]] = self._copied(view)

    def _tensor_insert_slice(self, op: ir.Operation) -> None:
        source = self._memory(op.operands[0])
        offsets, sizes, steps = self._slice(op, 2)
        shape = list(ir.RankedTensorType(op.operands[0].type).shape)
        keep = kept_dimensions(list(ir.DenseI64ArrayAttr(op.attributes["static_sizes"])), shape)
        target = self._overwritten(op)
        view = vec.subview(target.memref, offsets, sizes, keep, steps)
        self.loops.copy(source.memref, view)
        self.values[op.results[0]] = target

    def _overwritten(self, op: ir.Operation) -> Memory:
        """Memory with what the second operand of a `tensor.insert_slice` holds, to write to."""
        value = op.operands[1]
        if isinstance(self.lookup(value), Deferred):
            self._materialize(value)
        memory = self._reusable(value, op)
        if memory is not None:
            return memory
        shaped, found = ir.RankedTensorType(value.type), self.lookup(value)
        memory = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        if not isinstance(found, Splat):
            self.loops.copy(self._memory(value).memref, memory.memref)
        elif found.scalar is not None and not _is_covered(op):
            self.loops.fill(memory.memref, found.scalar)
        return memory

    def _tensor_concat(self, op: ir.Operation) -> None:
        shaped, axis = ir.RankedTensorType(op.results[0].type), op.attributes["dim"].value
        memory = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
        place = 0
        for operand in op.operands:
            sizes = list(ir.RankedTensorType(operand.type).shape)
            offsets = [place if d == axis else 0 for d in range(len(sizes))]
            view = vec.subview(memory.memref, offsets, sizes, range(len(sizes)))
            self.loops.copy(self._memory(operand).memref, view)
            place += sizes[axis]
        self.values[op.results[0]] = memory

    def _tensor_cast(self, op: ir.Operation) -> None:
        shaped, source = ir.RankedTensorType(op.results[0].type), self._memory(op.operands[0])
        if not shaped.has_static_shape or source.type.has_static_shape:
            self.values[op.results[0]] = Memory(source.memref)
            return
        strides, offset = source.type.get_strides_and_offset()
        layout = ir.StridedLayoutAttr.get(offset, strides)
        type_ = ir.MemRefType.get(shaped.shape, shaped.element_type, layout)
        self.values[op.results[0]] = Memory(memref.CastOp(type_, source.memref).result)

    def _copied(self, view: ir.Value) -> Memory:
        """The elements of a view side by side."""
        type_ = ir.MemRefType(view.type)
        memory = Memory(self.storage.allocate(type_.shape, type_.element_type), owned=True)
        self.loops.copy(view, memory.memref)
        return memory

    def _slice(self, op: ir.Operation, first: int) -> tuple[list, list, list]:
        """Offsets, sizes and strides of a slice operation whose dynamic ones begin at operand `first`."""
        dynamic = iter(list(op.operands)[first:])
        found = []
        for name in ("static_offsets", "static_sizes", "static_strides"):
            static = list(ir.DenseI64ArrayAttr(op.attributes[name]))
            found.append([self._scalar(next(dynamic)) if n == rw.DYNAMIC else n for n in static])
        return found[0], found[1], found[2]

    def _tensor_pad(self, op: ir.Operation) -> None:
        low = list(ir.DenseI64ArrayAttr(op.attributes["static_low"]))
        shape = list(ir.RankedTensorType(op.results[0].type).shape)
        *body, terminator = op.regions[0].blocks[0].operations
        padding = terminator.operation.operands[0]
        source = self._memory(op.operands[0])
        padded = [d for d, (a, b) in enumerate(zip(source.type.shape, shape, strict=True)) if a != b]
        if body or padding not in self.scalars or rw.DYNAMIC in (*shape, *low):
            raise UnsupportedTile("padding other than by a scalar, from a place that is not known")
        by_rows = not any(low) and padded in ([], [max(0, len(shape) - 2)]) and len(shape) <= 3
        if by_rows and vec.fills_bytes(source.type.element_type):
            self.values[op.results[0]] = self.storage.pad(source, shape, self._scalar(padding))
            return
        memory = Memory(self.storage.allocate(shape, source.type.element_type), owned=True)
        self.loops.fill(memory.memref, self._scalar(padding))
        sizes = [vec.size(source.memref, d) for d in range(len(shape))]
        self.loops.copy(source.memref, vec.subview(memory.memref, low, sizes, range(len(shape))))
        self.values[op.results[0]] = memory

    def _tensor_collapse_shape(self, op: ir.Operation) -> None:
        source, type_ = self._reshaped(op)
        buffer = memref.CollapseShapeOp(type_, source, op.attributes["reassociation"]).result
        self.values[op.results[0]] = Memory(buffer)

    def _tensor_expand_shape(self, op: ir.Operation) -> None:
        source, type_ = self._reshaped(op)
        buffer = memref.ExpandShapeOp(type_, source, op.attributes["reassociation"], [], type_.shape).result
        self.values[op.results[0]] = Memory(buffer)

    def _reshaped(self, op: ir.Operation) -> tuple[ir.Value, ir.MemRefType]:
        """The memory of a tensor that gets another shape, and its type then: it begins at the same place."""
        source = self._memory(op.operands[0])
        shape = list(ir.RankedTensorType(op.results[0].type).shape)
        if rw.DYNAMIC in shape:
            raise UnsupportedTile("a reshape of a tensor whose sizes are not known")
        if not _is_contiguous(source.type):
            source = self._copied(source.memref)
        layout = source.type.layout
        if isinstance(layout, ir.StridedLayoutAttr):
            layout = ir.StridedLayoutAttr.get(layout.offset, _contiguous_strides(shape))
        else:
            layout = None
        return source.memref, ir.MemRefType.get(shape, source.type.element_type, layout)

    def _memory(self, value: ir.Value) -> Memory:
        """A tensor in memory."""
        found = self.lookup(value)
        shaped = ir.RankedTensorType(value.type)
        if isinstance(found, Rows):
            found = self.storage.from_rows(found)
        elif isinstance(found, Splat):
            memory = Memory(self.storage.allocate(shaped.shape, shaped.element_type), owned=True)
            if found.scalar is not None:
                self.loops.fill(memory.memref, found.scalar)
            found = memory
        elif isinstance(found, Deferred):
            self._materialize(value)
            found = self.lookup(value)
        if not isinstance(found, Memory):
            raise UnsupportedTile("a packed tensor in memory")
        return found

    def _materialize(self, value: ir.Value) -> None:
        """Compute a value that is waiting."""
        raise NotImplementedError

    def _reusable(self, value: ir.Value, user: ir.Operation) -> Memory | None:
        """The memory of an operand that `user` may overwrite, element by element."""
        raise NotImplementedError


def _is_covered(op: ir.Operation) -> bool:
    """Whether a `tensor.insert_slice`, with others that write to its result, writes all of a tensor."""
    shape = list(ir.RankedTensorType(op.results[0].type).shape)
    written: list[list[tuple[int, int]]] = []
    while op is not None and op.name == "tensor.insert_slice":
        box = [
            list(ir.DenseI64ArrayAttr(op.attributes[f"static_{n}"])) for n in ("offsets", "sizes", "strides")
        ]
        if any(stride != 1 for stride in box[2]):
            return False
        written.append(list(zip(box[0], box[1], strict=True)))
        user = only_user(op.results[0])
        op = user if user is not None and op.results[0] in list(user.operands)[1:2] else None
    whole = [(0, size) for size in shape]
    for axis in range(len(shape)):
        ranges = sorted(box[axis] for box in written)
        ends = [offset + size for offset, size in ranges]
        others = all(box[d] == whole[d] for box in written for d in range(len(shape)) if d != axis)
        if others and [offset for offset, _ in ranges] == [0, *ends[:-1]] and ends[-1] == shape[axis]:
            return True
    return False


def kept_dimensions(sizes: list[int], shape: list[int]) -> list[int]:
    """The dimensions of a slice of static `sizes` that its result of `shape` has: others have size 1."""
    keep: list[int] = []
    for dimension, size in enumerate(sizes):
        rest = len(shape) - len(keep)
        if rest and shape[len(keep)] == size and (size != 1 or len(sizes) - dimension == rest):
            keep.append(dimension)
    if len(keep) != len(shape):
        raise UnsupportedTile("a slice whose kept dimensions are not clear")
    return keep


def _is_contiguous(type_: ir.MemRefType) -> bool:
    return type_.has_static_shape and type_.get_strides_and_offset()[0] == _contiguous_strides(type_.shape)


def _contiguous_strides(shape: Sequence[int]) -> list[int]:
    return [prod(shape[d + 1 :]) for d in range(len(shape))]
