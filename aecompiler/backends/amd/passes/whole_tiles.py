"""Operations of `tt`, `arith`, `math` and `scf` on tensors as operations on vectors of the same shapes."""

from __future__ import annotations

from collections.abc import Callable

from aecompiler.backends.amd.passes import tile_memory, tile_reductions
from aecompiler.backends.amd.passes import vector_types as vt
from aecompiler.backends.amd.passes.tile_memory import Pointer
from aecompiler.backends.amd.passes.tt_forms import check_form
from aecompiler.backends.triton import ir_ops as tt
from aecompiler.backends.triton.elementwise import LIBRARIES, library_functions
from aecompiler.bindings import arith, ir, load, vector
from aecompiler.passes.infra import PassFailure

Handler = Callable[["Converter", ir.Operation], None]

_LIBRARY = LIBRARIES["ocml"]
_REGIONS = ("scf.for", "scf.if", "scf.while")
_ENDS = ("scf.yield", "scf.condition")
_ELEMENTWISE = ("arith.", "math.", "ub.")


def parameter_type(kernel: ir.Operation, type_: ir.Type) -> ir.Type:
    """The type of a parameter for one of a `tt.func`; `PassFailure` for what is no pointer and no number."""
    if tt.is_pointer(type_):
        return ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], tt.pointee(type_))
    if isinstance(type_, (ir.IntegerType, ir.FloatType)):
        return type_
    raise PassFailure(kernel, f"unsupported: a parameter of type {type_}")


class Converter:
    """Converts the operations of one kernel at the insertion point.

    `values` is what stands for the values of the `tt.func`: vectors for tensors, scalars for scalars.
    """

    def __init__(self) -> None:
        self.values: dict[ir.Value, ir.Value | Pointer] = {}

    def body(self, old: ir.Block, new: ir.Block) -> None:
        """Convert a kernel's block, whose new parameters are those of `new`."""
        for before, after in zip(old.arguments, new.arguments, strict=True):
            is_pointer = isinstance(after.type, ir.MemRefType)
            self.values[before] = Pointer(after) if is_pointer else after
        self.block(old)

    def block(self, block: ir.Block) -> None:
        """Convert the operations of a block."""
        for view in block.operations:
            op = view.operation
            with op.location:
                check_form(op)
                self._handler(op)(self, op)

    def value(self, op: ir.Operation, old: ir.Value) -> ir.Value:
        """What stands for an operand of `op`; `PassFailure` for a pointer."""
        new = self.values[old]
        if isinstance(new, Pointer):
            raise PassFailure(op, "unsupported: a pointer that is handed on or selected")
        return new

    def operands(self, op: ir.Operation) -> list[ir.Value]:
        """What stands for the operands of `op`, none of which may be a pointer."""
        return [self.value(op, operand) for operand in op.operands]

    def type_of(self, op: ir.Operation, old: ir.Type) -> ir.Type:
        """The type for one of a value that `op` has; `PassFailure` for what has none."""
        element = old.element_type if isinstance(old, ir.RankedTensorType) else old
        if not isinstance(element, (ir.IntegerType, ir.FloatType, ir.IndexType)):
            raise PassFailure(op, f"unsupported: a value of type {old}")
        return vt.typed(old.shape, element) if isinstance(old, ir.RankedTensorType) else old

    def result_type(self, op: ir.Operation) -> ir.Type:
        """The type of what stands for the only result of `op`."""
        return self.type_of(op, op.results[0].type)

    def define(self, op: ir.Operation, value: ir.Value | Pointer) -> None:
        """Say what stands for the only result of `op`."""
        self.values[op.results[0]] = value

    def _handler(self, op: ir.Operation) -> Handler:
        if op.name in HANDLERS:
            return HANDLERS[op.name]
        if op.name in _REGIONS:
            return _with_regions
        if op.name in _ENDS or (op.name.startswith(_ELEMENTWISE) and not len(op.regions)):
            return _as_it_is
        raise PassFailure(op, "unsupported: has no form on vectors")


# ---- operations that stay ------------------------------------------------------------------------


def _as_it_is(kernel: Converter, op: ir.Operation) -> None:
    types = [kernel.type_of(op, result.type) for result in op.results]
    attributes = {name: op.attributes[name] for name in op.attributes}
    new = ir.Operation.create(op.name, types, kernel.operands(op), attributes)
    kernel.values.update(zip(op.results, new.results, strict=True))


def _with_regions(kernel: Converter, op: ir.Operation) -> None:
    types = [kernel.type_of(op, result.type) for result in op.results]
    attributes = {name: op.attributes[name] for name in op.attributes}
    new = ir.Operation.create(op.name, types, kernel.operands(op), attributes, regions=len(op.regions))
    for old_region, new_region in zip(op.regions, new.regions, strict=True):
        for block in old_region.blocks:
            arguments = [kernel.type_of(op, argument.type) for argument in block.arguments]
            body = new_region.blocks.append(*arguments, arg_locs=[op.location] * len(arguments))
            kernel.values.update(zip(block.arguments, body.arguments, strict=True))
            with ir.InsertionPoint(body):
                kernel.block(block)
    kernel.values.update(zip(op.results, new.results, strict=True))


def _constant(kernel: Converter, op: ir.Operation) -> None:
    type_, value = kernel.result_type(op), op.attributes["value"]
    if isinstance(type_, ir.VectorType):
        dense = ir.DenseElementsAttr(value)
        if dense.is_splat:
            value = ir.DenseElementsAttr.get_splat(type_, dense.get_splat_value())
        else:
            numbers = str(value).removesuffix(f" : {value.type}")
            value = ir.Attribute.parse(f"{numbers} : {type_}")
    kernel.define(op, arith.ConstantOp(type_, value).result)


# ---- programs, shapes ----------------------------------------------------------------------------


def _program_id(kernel: Converter, op: ir.Operation) -> None:
    _require_first_axis(op)
    gpu = load("dialects.gpu")
    kernel.define(op, arith.index_cast(kernel.result_type(op), gpu.block_id(gpu.Dimension.x)))


def _num_programs(kernel: Converter, op: ir.Operation) -> None:
    _require_first_axis(op)
    gpu = load("dialects.gpu")
    kernel.define(op, arith.index_cast(kernel.result_type(op), gpu.grid_dim(gpu.Dimension.x)))


def _require_first_axis(op: ir.Operation) -> None:
    if op.attributes["axis"].value != 0:
        raise PassFailure(op, "unsupported: a grid of several dimensions")


def _make_range(kernel: Converter, op: ir.Operation) -> None:
    type_ = kernel.result_type(op)
    steps = vector.step(vt.typed(type_.shape, ir.IndexType.get()))
    value = arith.index_cast(type_, steps)
    if start := op.attributes["start"].value:
        value = arith.addi(value, vt.constant(type_, start))
    kernel.define(op, value)


def _splat(kernel: Converter, op: ir.Operation) -> None:
    (operand,) = op.operands
    old = kernel.values[operand]
    if isinstance(old, Pointer):
        kernel.define(op, old.spread(tt.shape_of(op.results[0])))
    else:
        kernel.define(op, vector.broadcast(kernel.result_type(op), old))


def _moved(move: Callable[[ir.Type, ir.Value], ir.Value]) -> Handler:
    """What makes a vector, or pointers, of others by moving their elements."""

    def handler(kernel: Converter, op: ir.Operation) -> None:
        (operand,) = op.operands
        old = kernel.values[operand]
        if isinstance(old, Pointer):
            kernel.define(op, old.moved(tt.shape_of(op.results[0]), move))
        else:
            kernel.define(op, move(kernel.result_type(op), old))

    return handler


def _trans(kernel: Converter, op: ir.Operation) -> None:
    order = list(op.attributes["order"])
    _moved(lambda type_, value: vector.transpose(type_, value, order))(kernel, op)


# ---- functions of libraries ----------------------------------------------------------------------


def _library_call(kernel: Converter, op: ir.Operation) -> None:
    symbol, width = op.attributes["symbol"].value, tt.element_of(op.results[0]).width
    known = library_functions(_LIBRARY, width)
    if symbol not in known:
        raise PassFailure(op, f"unsupported: the function '{symbol}' of a library")
    new = ir.Operation.create(f"math.{known[symbol]}", [kernel.result_type(op)], kernel.operands(op))
    kernel.define(op, new.results[0])


def _assembly(kernel: Converter, op: ir.Operation) -> None:
    raise PassFailure(op, "unsupported: assembly in a kernel; options of attn-tt choose it")


def _return(kernel: Converter, op: ir.Operation) -> None:
    ir.Operation.create("gpu.return")


HANDLERS: dict[str, Handler] = {
    "arith.constant": _constant,
    "tt.get_program_id": _program_id,
    "tt.get_num_programs": _num_programs,
    "tt.make_range": _make_range,
    "tt.splat": _splat,
    "tt.expand_dims": _moved(vector.shape_cast),
    "tt.reshape": _moved(vector.shape_cast),
    "tt.broadcast": _moved(vector.broadcast),
    "tt.trans": _trans,
    "tt.extern_elementwise": _library_call,
    "tt.elementwise_inline_asm": _assembly,
    "tt.return": _return,
    **tile_memory.HANDLERS,
    **tile_reductions.HANDLERS,
}
