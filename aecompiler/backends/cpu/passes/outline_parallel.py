"""The pass `cpu-outline-parallel`: loops whose iterations are independent, shared out among threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aecompiler.backends.cpu.parallel_runtime import BODY_FIELD, CONTEXT_HEADER, ITEMS_FIELD, RUN, TEXT
from aecompiler.backends.cpu.passes.work_estimate import WorkEstimate, inner_values
from aecompiler.bindings import arith, func, ir, llvm
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass

_FORALL = "scf.forall"


@register_pass
class OutlineParallel(Pass):
    """Run the iterations of `scf.forall` on several threads.

    *Before*: bufferized IR with loops: `scf.forall` has no results. *After*: no `scf.forall` is left but
    those inside another one (for `scf-forall-to-for`, they run on the thread that they are met on). Each
    has become a call of the native runtime, which the pass adds to the module (`aecrt.*`). Every public
    function, and every private one that leads to a parallel loop, has one more argument: the *ticket* of the
    call, which says how many threads there are and how to wake them; with a null pointer all is run on the
    calling thread.

    The body becomes a function of the *context* and the number of a work item. The context is a struct on the
    caller's stack: a header, then the values from around the loop that the body uses, buffers as their
    descriptors; constants are repeated instead. The items of several dimensions are numbered row by row, and
    claimed in the order of their numbers: what takes longest should come first. A loop whose work is less
    than `least-work` operations, by an estimate that is made at run time from the trip counts of its inner
    loops, runs on the calling thread.

    ```mlir
    scf.forall (%i) in (%n) {
      memref.store %x, %out[%i] : memref<?xf32>
    }
    ```
    becomes
    ```mlir
    %context = llvm.alloca %one x !llvm.struct<(..., f32, struct<(ptr, ptr, i64, ...)>)>
    ...                                  // %x, the descriptor of %out and the body are stored there
    llvm.call @aecrt.run(%ticket, %context, %n, %worth) : (!llvm.ptr, !llvm.ptr, i64, i1) -> ()
    ...
    func.func private @f.parallel0(%context: !llvm.ptr, %item: index) {
      ...                                // %x and %out are loaded from there
      memref.store %x, %out[%item] : memref<?xf32>
      return
    }
    ```
    """

    NAME = "cpu-outline-parallel"

    least_work: int = option(100_000, "the operations from which on a loop is shared among threads")

    def __post_init__(self) -> None:
        if self.least_work < 0:
            raise ValueError(f"expects least-work to be at least 0, got {self.least_work}")

    def run(self, op: ir.Operation) -> None:
        """Outline the outermost parallel loops of the functions in `op`, a module."""
        functions = {
            rw.symbol_name(function): function
            for function in op.regions[0].blocks[0].operations
            if function.operation.name == "func.func" and not function.is_external
        }
        for loop in rw.walk_list(op, _FORALL):
            _check(loop)
        tickets = _add_tickets(op, functions)
        if not rw.walk_list(op, _FORALL):
            return
        names = {rw.symbol_name(other) for other in op.regions[0].blocks[0].operations}
        for name, ticket in tickets.items():
            number = 0
            for loop in rw.walk_list(functions[name].operation, _FORALL):
                if not _inside_parallel(loop):
                    while f"{name}.parallel{number}" in names:
                        number += 1
                    names.add(f"{name}.parallel{number}")
                    _Outlining(loop, f"{name}.parallel{number}", self.least_work).run(ticket)
        block = op.regions[0].blocks[0]
        for helper in ir.Module.parse(TEXT).body.operations:
            block.append(helper.operation.clone())


def _check(loop: ir.Operation) -> None:
    if len(loop.results):
        raise PassFailure(loop, "expects no results: bufferize first")
    parent = loop.parent
    while parent.name != "builtin.module" and parent.name != "func.func":
        parent = parent.parent
    if parent.name != "func.func" or parent.parent.parent is not None:
        raise PassFailure(loop, "expects to be in a function of the outermost module")


def _inside_parallel(op: ir.Operation) -> bool:
    parent = op.parent
    while parent is not None and parent.name != _FORALL:
        parent = parent.parent
    return parent is not None


def _add_tickets(module: ir.Operation, functions: dict[str, ir.OpView]) -> dict[str, ir.Value]:
    """Give public functions, and those that lead to a parallel loop, a last argument; and their calls."""
    calls = [
        (name, rw.symbol_name(call), call)
        for name, function in functions.items()
        for call in rw.walk_list(function.operation, "func.call")
    ]
    taking = {
        name
        for name, function in functions.items()
        if "llvm.emit_c_interface" in function.operation.attributes
        or rw.walk_list(function.operation, _FORALL)
    }
    while added := {caller for caller, callee, _ in calls if callee in taking} - taking:
        taking |= added
    for constant in rw.walk_list(module, "func.constant"):
        if ir.FlatSymbolRefAttr(constant.attributes["value"]).value in taking:
            raise PassFailure(constant, "unsupported: the address of a function that has parallel loops")
    pointer = llvm.PointerType.get()
    tickets = {}
    for name in sorted(taking):
        function = functions[name]
        attributes = function.operation.attributes
        type_ = function.type
        tickets[name] = function.body.blocks[0].add_argument(pointer, function.location)
        attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([*type_.inputs, pointer], type_.results)
        )
        if "arg_attrs" in attributes:
            attributes["arg_attrs"] = ir.ArrayAttr.get([*attributes["arg_attrs"], ir.DictAttr.get({})])
    for caller, callee, call in calls:
        if callee in taking:
            with ir.InsertionPoint(call), call.location:
                ticket = llvm.ZeroOp(pointer).result if _inside_parallel(call) else tickets[caller]
                new = func.CallOp([r.type for r in call.results], callee, [*call.operands, ticket])
            for old, result in zip(call.results, new.results, strict=True):
                old.replace_all_uses_with(result)
            call.erase()
    return tickets


class _Outlining:
    """One loop on its way into a function of its own."""

    def __init__(self, loop: ir.Operation, name: str, least_work: int):
        self.loop, self.name, self.least_work = loop, name, least_work
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
            work = arith.muli(items, WorkEstimate(self.loop).emit())
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
