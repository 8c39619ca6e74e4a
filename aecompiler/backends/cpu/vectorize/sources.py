"""The tensors that a tile program reads, as buffers whose rows can be read by vectors."""

from __future__ import annotations

from aecompiler.backends.cpu.names import unique
from aecompiler.bindings import arith, bufferization, func, ir, memref, scf
from aecompiler.passes import rewriting as rw


def plain_type(value: ir.Value) -> ir.MemRefType:
    """A contiguous buffer for a tensor."""
    shaped = ir.RankedTensorType(value.type)
    return ir.MemRefType.get(list(shaped.shape), shaped.element_type)


def view_type(value: ir.Value, side_by_side: bool) -> ir.MemRefType:
    """A buffer with any strides for a tensor; `side_by_side`: the elements of a row are neighbours."""
    shaped = ir.RankedTensorType(value.type)
    return _strided(list(shaped.shape), shaped.element_type, side_by_side)


def _strided(shape: list[int], element: ir.Type, side_by_side: bool) -> ir.MemRefType:
    dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
    strides = [dynamic] * len(shape)
    if side_by_side and strides:
        strides[-1] = 1
    return ir.MemRefType.get(shape, element, ir.StridedLayoutAttr.get(dynamic, strides))


class Sources:
    """Buffers of the tensors that the tile programs of one function read. `taken`: names in the module."""

    def __init__(self, function: ir.Operation, name: str, taken: set[str]):
        self.function, self.name, self.taken = function, name, taken
        self._entry = function.regions[0].blocks[0]
        self._views: dict[tuple[ir.Value, bool], ir.Value] = {}
        self._copies: dict[str, func.FuncOp] = {}

    def view(self, value: ir.Value, side_by_side: bool) -> ir.Value:
        """A tensor's buffer, read only; a copy of it where elements have to lie side by side and do not."""
        key = (value, side_by_side)
        if value.owner != self._entry:
            return self._build(value, side_by_side)
        if key not in self._views:  # nothing writes to an argument: one buffer does for the whole function
            with ir.InsertionPoint.at_block_begin(self._entry):
                self._views[key] = self._build(value, side_by_side)
        return self._views[key]

    def _build(self, value: ir.Value, side_by_side: bool) -> ir.Value:
        shaped = ir.RankedTensorType(value.type)
        any_type, type_ = view_type(value, False), view_type(value, side_by_side)
        buffer = bufferization.ToBufferOp(any_type, value, read_only=True).result
        if any_type == type_:
            return buffer
        rank = shaped.rank
        metadata = list(memref.ExtractStridedMetadataOp(buffer).results)
        base, offset, sizes, strides = metadata[0], metadata[1], metadata[2 : 2 + rank], metadata[2 + rank :]
        usual = arith.cmpi(arith.CmpIPredicate.eq, strides[-1], rw.index(1))
        choice = scf.IfOp(usual, [type_], has_else=True)
        dynamic_sizes = [size for d, size in enumerate(sizes) if shaped.is_dynamic_dim(d)]
        with ir.InsertionPoint(choice.then_block):
            view = memref.ReinterpretCastOp(
                type_,
                base,
                [offset],
                dynamic_sizes,
                strides[:-1],
                [rw.DYNAMIC],
                list(shaped.shape),
                [*[rw.DYNAMIC] * (rank - 1), 1],
            ).result
            scf.YieldOp([view])
        with ir.InsertionPoint(choice.else_block):
            copy = memref.AllocOp(plain_type(value), dynamic_sizes, []).result
            function = self._copy_function(rank, shaped.element_type)
            types = list(function.type.inputs)
            func.CallOp(function, [memref.cast(t, b) for t, b in zip(types, (buffer, copy), strict=True)])
            scf.YieldOp([memref.CastOp(type_, copy).result])
        return choice.results[0]

    def _copy_function(self, rank: int, element: ir.Type) -> func.FuncOp:
        """A function that copies tensors of any sizes: q, k and v share it, since its code is long."""
        name = f"{self.name}.copy{rank}{element}"
        if name not in self._copies:
            shape, loops = [rw.DYNAMIC] * rank, tuple(range(rank))
            types = [_strided(shape, element, False), ir.MemRefType.get(shape, element)]
            with ir.InsertionPoint(self.function):
                function = func.FuncOp(unique(name, self.taken), (types, []), visibility="private")
            with ir.InsertionPoint(function.add_entry_block()):
                source, target = function.arguments
                rw.generic([(source, loops)], [(target, loops)], "p" * rank, lambda inputs, _: [inputs[0]])
                func.ReturnOp([])
            self._copies[name] = function
        return self._copies[name]
