"""One parallel loop on its way into a function of its own; a part of the pass `cpu-outline-parallel`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aecompiler.backends.cpu.parallel_runtime import BODY_FIELD, CONTEXT_HEADER, ITEMS_FIELD, RUN
from aecompiler.backends.cpu.passes.work_estimate import WorkEstimate, inner_values
from aecompiler.bindings import arith, func, ir, llvm
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import PassFailure


class Outlining:
    """Moves the body of `loop` to the function `name`, and calls the runtime on it in its place.

    `functions`: those of the module that have a body, by name.
    """

    def __init__(self, loop: ir.Operation, name: str, least_work: int, functions: Mapping[str, ir.Operation]):
        self.loop, self.name, self.least_work = loop, name, least_work
        self.functions = functions
        self.body = loop.regions[0].blocks[0]
        self.captured, self.constants = _captures(loop)

    def run(self, ticket: ir.Value) -> None:
        """Replace the loop by a call of the runtime."""
        function = self.loop.parent
        while function.name != "func.func":
            function = function.parent
        lowers, uppers, steps = (_bounds(self.loop, which) for which in range(3))
        with ir.InsertionPoint(self.loop), self.loop.location:
            trips = [
                WorkEstimate.trips(*(rw.index(v) if isinstance(v, int) else v for v in bound))
                for bound in zip(lowers, uppers, steps, strict=True)
            ]
            items = rw.index(1)
            for trip in trips:
                items = arith.muli(items, trip)
            work = arith.muli(items, WorkEstimate(self.loop, self.functions).emit())
            worth = arith.cmpi(arith.CmpIPredicate.sge, work, rw.index(self.least_work))
            shared = _unique([*self.captured, *_values(lowers), *_values(steps), *trips[1:]])
            packed = [_pack(value, self.loop) for value in shared]
            header = llvm.StructType(ir.Type.parse(f"!llvm.struct<({', '.join(CONTEXT_HEADER)})>")).body
            context_type = llvm.StructType.get_literal([*header, *(value.type for value in packed)])
            pointer = llvm.PointerType.get()
            with ir.InsertionPoint.at_block_begin(function.regions[0].blocks[0]):
                one = arith.constant(ir.IntegerType.get_signless(64), 1)
                context = llvm.AllocaOp(pointer, one, context_type, alignment=64).result
            body_type = ir.FunctionType.get([pointer, ir.IndexType.get()], [])
            body = _cast(func.ConstantOp(body_type, self.name).result, pointer)
            count = _pack(items, self.loop)
            fields = {ITEMS_FIELD: count, BODY_FIELD: body, **dict(enumerate(packed, len(header)))}
            for field, value in fields.items():
                llvm.StoreOp(value, _field(context, context_type, field))
            llvm.CallOp(None, [ticket, context, count, worth], [], [], callee=RUN)
        with ir.InsertionPoint(function.parent.regions[0].blocks[0]), self.loop.location:
            outlined = func.FuncOp(self.name, body_type, visibility="private")
            with ir.InsertionPoint(outlined.add_entry_block()):
                self._fill(list(outlined.arguments), context_type, shared, lowers, steps, trips)
        self.loop.erase()

    def _fill(
        self,
        arguments: Sequence[ir.Value],
        context_type: ir.Type,
        shared: Sequence[ir.Value],
        lowers: Sequence[int | ir.Value],
        steps: Sequence[int | ir.Value],
        trips: Sequence[ir.Value],
    ) -> None:
        """Build the outlined function: load what is shared, find the indices of the item, run the body."""
        context, item = arguments
        mapping: dict[ir.Value, ir.Value] = {}
        for field, value in enumerate(shared, len(CONTEXT_HEADER)):
            packed = context_type.body[field]
            loaded = llvm.LoadOp(packed, _field(context, context_type, field)).result
            mapping[value] = _unpack(loaded, value.type)
        for constant in self.constants:
            rw.clone_op(constant, mapping)
        numbers = [item] if trips else []
        for trip in reversed(trips[1:]):
            rest = numbers.pop()
            numbers += [arith.remui(rest, mapping[trip]), arith.divui(rest, mapping[trip])]
        indices = []
        for number, lower, step in zip(reversed(numbers), lowers, steps, strict=True):
            low, by = (rw.index(v) if isinstance(v, int) else mapping[v] for v in (lower, step))
            indices.append(arith.addi(arith.muli(number, by), low))
        mapping.update(zip(self.body.arguments, indices, strict=True))
        *operations, _terminator = self.body.operations
        for op in operations:
            rw.clone_op(op, mapping)
        func.ReturnOp([])


def _captures(loop: ir.Operation) -> tuple[list[ir.Value], list[ir.Operation]]:
    """The values from outside that the body of a loop uses, and the constants among what defines them."""
    inside = inner_values(loop)
    outside = _unique(v for op in rw.walk_list(loop) for v in op.operands if v not in inside)
    captured: list[ir.Value] = []
    constants: list[ir.Operation] = []
    for value in outside:
        owner = value.owner
        if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
            constants.append(owner.operation)
        else:
            captured.append(value)
    return captured, constants


def _unique(values: Iterable[ir.Value]) -> list[ir.Value]:
    return list(dict.fromkeys(values))


def _values(bounds: Iterable[int | ir.Value]) -> list[ir.Value]:
    return [bound for bound in bounds if not isinstance(bound, int)]


def _bounds(loop: ir.Operation, which: int) -> list[int | ir.Value]:
    """The lower bounds (0), upper bounds (1) or steps (2) of a loop: a number where static."""
    segments = list(ir.DenseI32ArrayAttr(loop.attributes["operandSegmentSizes"]))
    start = sum(segments[:which])
    dynamic = iter(list(loop.operands)[start : start + segments[which]])
    static = loop.attributes[("staticLowerBound", "staticUpperBound", "staticStep")[which]]
    return [next(dynamic) if size == rw.DYNAMIC else size for size in ir.DenseI64ArrayAttr(static)]


# ---- the context -----------------------------------------------------------------------------------


def _field(context: ir.Value, context_type: ir.Type, field: int) -> ir.Value:
    return llvm.GEPOp(llvm.PointerType.get(), context, [], [0, field], context_type, 0).result


def _cast(value: ir.Value, type_: ir.Type) -> ir.Value:
    """What a conversion to the LLVM dialect leaves, and later ones resolve."""
    return ir.Operation.create("builtin.unrealized_conversion_cast", [type_], [value]).result


def _pack(value: ir.Value, loop: ir.Operation) -> ir.Value:
    """`value` as it is stored in a context."""
    type_ = value.type
    if isinstance(type_, ir.IndexType):
        return arith.index_cast(ir.IntegerType.get_signless(64), value)
    if isinstance(type_, ir.MemRefType) and type_.memory_space is None:
        sizes = f", array<{type_.rank} x i64>, array<{type_.rank} x i64>" if type_.rank else ""
        return _cast(value, ir.Type.parse(f"!llvm.struct<(ptr, ptr, i64{sizes})>"))
    scalar = isinstance(type_, (ir.IntegerType, ir.FloatType)) or str(type_).startswith("!llvm.")
    if scalar or (isinstance(type_, ir.VectorType) and type_.rank == 1 and not type_.scalable):
        return value
    if isinstance(type_, ir.VectorType) and type_.rank > 1 and not type_.scalable:
        packed = f"vector<{type_.shape[-1]}x{type_.element_type}>"
        for size in reversed(type_.shape[:-1]):
            packed = f"array<{size} x {packed}>"
        return _cast(value, ir.Type.parse(f"!llvm.{packed}"))
    raise PassFailure(loop, f"unsupported: a value of type {type_} from outside the loop")


def _unpack(value: ir.Value, type_: ir.Type) -> ir.Value:
    if value.type == type_:
        return value
    if isinstance(type_, ir.IndexType):
        return arith.index_cast(type_, value)
    return _cast(value, type_)
