"""The pass `cpu-outline-parallel`: loops whose iterations are independent, shared out among threads."""

from __future__ import annotations

from aecompiler.backends.cpu import memory_runtime, parallel_runtime
from aecompiler.backends.cpu.names import numbered, symbols
from aecompiler.bindings import func, ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, option, register_pass

_FORALL = "scf.forall"


@register_pass
class OutlineParallel(Pass):
    """Run the iterations of `scf.forall` on several threads.

    *Before*: bufferized IR with loops: `scf.forall` has no results. *After*: no `scf.forall` is left but
    those inside another one (for `scf-forall-to-for`, they run on the thread that they are met on). Each
    has become a call of the native runtime, which the pass adds to the module (`aecrt.*`), as it adds the
    functions that `finalize-memref-to-llvm` calls for memory, where there are allocations. Every public
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

    least_work: int = option(400_000, "the operations from which on a loop is shared among threads")

    def __post_init__(self) -> None:
        if self.least_work < 0:
            raise ValueError(f"expects least-work to be at least 0, got {self.least_work}")

    def run(self, op: ir.Operation) -> None:
        """Outline the outermost parallel loops of the functions in `op`, a module."""
        functions = {
            rw.symbol_name(function): function.operation
            for function in op.regions[0].blocks[0].operations
            if function.operation.name == "func.func" and not function.is_external
        }
        for loop in parallel_loops(op):
            _check(loop)
        tickets = _add_tickets(op, functions)
        if not parallel_loops(op):
            if any(child.name == "memref.alloc" for child in rw.walk_list(op, "memref.alloc")):
                _add_runtime(op, memory_runtime.TEXT)
            return
        # Slow to import: paid by modules that have parallel loops.
        from aecompiler.backends.cpu.passes.outlining import Outlining

        names = symbols(op)
        for name, ticket in tickets.items():
            for loop in parallel_loops(functions[name]):
                if not _inside_parallel(loop):
                    new = numbered(f"{name}.parallel", names)
                    Outlining(loop, new, self.least_work, functions).run(ticket)
        _add_runtime(op, memory_runtime.TEXT + parallel_runtime.TEXT)


def _add_runtime(module: ir.Operation, text: str) -> None:
    """Add native functions at the end of a module."""
    block = module.regions[0].blocks[0]
    taken = {rw.symbol_name(op): op.operation for op in block.operations if "sym_name" in op.attributes}
    for function in ir.Module.parse(text).body.operations:
        if (name := rw.symbol_name(function.operation)) in taken:
            raise PassFailure(taken[name], f"unsupported: the runtime has a function '{name}'")
        block.append(function.operation.clone())


def parallel_loops(op: ir.Operation) -> list[ir.Operation]:
    """The parallel loops in `op`."""
    return [loop for loop in rw.walk_list(op, _FORALL) if loop.name == _FORALL]


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


def _add_tickets(module: ir.Operation, functions: dict[str, ir.Operation]) -> dict[str, ir.Value]:
    """Give public functions, and those that lead to a parallel loop, a last argument; and their calls."""
    calls = [
        (name, rw.symbol_name(call), call)
        for name, function in functions.items()
        for call in rw.walk_list(function, "func.call")
    ]
    taking = {
        name
        for name, function in functions.items()
        if "llvm.emit_c_interface" in function.attributes or parallel_loops(function)
    }
    while added := {caller for caller, callee, _ in calls if callee in taking} - taking:
        taking |= added
    for constant in rw.walk_list(module, "func.constant"):
        if ir.FlatSymbolRefAttr(constant.attributes["value"]).value in taking:
            raise PassFailure(constant, "unsupported: the address of a function that has parallel loops")
    pointer = ir.Type.parse("!llvm.ptr")
    tickets = {}
    for name in sorted(taking):
        function = functions[name]
        attributes = function.attributes
        type_ = ir.FunctionType(ir.TypeAttr(attributes["function_type"]).value)
        tickets[name] = function.regions[0].blocks[0].add_argument(pointer, function.location)
        attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([*type_.inputs, pointer], type_.results)
        )
        if "arg_attrs" in attributes:
            attributes["arg_attrs"] = ir.ArrayAttr.get([*attributes["arg_attrs"], ir.DictAttr.get({})])
    for caller, callee, call in calls:
        if callee in taking:
            with ir.InsertionPoint(call), call.location:
                ticket = tickets[caller]
                if _inside_parallel(call):
                    ticket = ir.Operation.create("llvm.mlir.zero", [pointer]).result
                new = func.CallOp([r.type for r in call.results], callee, [*call.operands, ticket])
            for old, result in zip(call.results, new.results, strict=True):
                old.replace_all_uses_with(result)
            call.erase()
    return tickets
