"""The pass `cpu-prepare-functions`: what the calling convention of CPU kernels wants, on tensors."""

from __future__ import annotations

from collections.abc import Mapping

from aecompiler.backends.cpu.names import PREFIX, symbols, unique
from aecompiler.bindings import bufferization, func, ir, memref
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass
from aecompiler.passes.program_arguments import in_place_of


@register_pass
class PrepareFunctions(Pass):
    """Prepare public functions to be called from Python.

    *Before*: functions on tensors and scalars; no operation calls a public one. *After*, for each public
    function: it returns nothing and takes, after its arguments, a contiguous buffer for each result, which it
    writes to; a scalar result has a buffer of rank 0. An argument with `attn.in_place`, which says what
    result it is as updated, becomes a buffer with any strides, and that result is written there: after the
    other ones and without `restrict`, since the old values may be read until then, and from a copy where
    several arguments are updated. Tensor arguments are read-only (`bufferization.writable = false`), so that
    no kernel writes to its inputs. A C interface is requested. The names that the builder left on arguments
    and results (`attn.*`) are dropped. And every function is called `aec.<name>`, so that none takes the
    place of one that LLVM calls (`expf`, `malloc`).

    ```mlir
    func.func @f(%q: tensor<?xf32> {attn.name = "q"}) -> tensor<?xf32> {
      ...
      return %0 : tensor<?xf32>
    }
    ```
    becomes
    ```mlir
    func.func @aec.f(%q: tensor<?xf32> {bufferization.writable = false}, %out: memref<?xf32>)
        attributes {llvm.emit_c_interface} {
      ...
      bufferization.materialize_in_destination %0 in restrict writable %out
      return
    }
    ```
    """

    NAME = "cpu-prepare-functions"

    def run(self, op: ir.Operation) -> None:
        """Change the public functions with a body in `op`, a module."""
        public = {
            rw.symbol_name(function): function
            for function in rw.walk_list(op, "func.func")
            if "sym_visibility" not in function.attributes and not function.opview.is_external
        }
        for call in rw.walk_list(op, "func.call"):
            callee = rw.symbol_name(call)
            if callee in public:
                raise PassFailure(call, f"unsupported: a call of the public function '{callee}'")
        for function in public.values():
            with function.location:
                _prepare(function.opview)
        _rename([f for f in rw.walk_list(op, "func.func") if not f.opview.is_external], set(public), op)


def _rename(functions: list[ir.Operation], public: set[str], module: ir.Operation) -> None:
    """Begin the names of functions with the prefix."""
    taken = symbols(module)
    # The longest first: where one function has the name that another one gets, it has given it up by then.
    for function in sorted(functions, key=lambda each: len(rw.symbol_name(each)), reverse=True):
        name = rw.symbol_name(function)
        taken.remove(name)
        new = unique(PREFIX + name, taken)
        if name in public and new != PREFIX + name:
            raise PassFailure(
                function, f"unsupported: something else is called '{PREFIX + name}', its name in code"
            )
        ir.SymbolTable.replace_all_symbol_uses(name, new, module)
        ir.SymbolTable.set_symbol_name(function, new)


def _prepare(function: func.FuncOp) -> None:
    inputs, results = list(function.type.inputs), list(function.type.results)
    for type_ in (*inputs, *results):
        if not isinstance(type_, (ir.RankedTensorType, ir.IntegerType, ir.IndexType, ir.FloatType)):
            raise PassFailure(function, f"expects tensors and scalars in its signature, got {type_}")
    in_place = in_place_of(function)
    buffers = [
        ir.MemRefType.get(t.shape, t.element_type)
        if isinstance(t, ir.RankedTensorType)
        else ir.MemRefType.get([], t)
        for number, t in enumerate(results)
        if number not in in_place
    ]
    entry = function.body.blocks[0]
    targets = _updated_arguments(function, in_place)
    others = [number for number in range(len(results)) if number not in in_place]
    for number, buffer in zip(others, buffers, strict=True):
        targets[number] = entry.add_argument(buffer, function.location)
    for terminator in rw.walk_list(function.operation, "func.return"):
        values = list(terminator.operands)
        with ir.InsertionPoint(terminator), terminator.location:
            if len(in_place) > 1:  # each may be read for another one
                for number in in_place:
                    values[number] = bufferization.alloc_tensor(values[number].type, [], copy=values[number])
            # Those that are updated last, since others may be what they were before.
            for number in [*others, *in_place]:
                value, out = values[number], targets[number]
                if isinstance(value.type, ir.RankedTensorType):
                    # What is read while it is updated is no place to compute in (`restrict`).
                    restrict = number not in in_place
                    bufferization.MaterializeInDestinationOp(
                        None, value, out, restrict=restrict, writable=True
                    )
                else:
                    memref.store(value, out, [])
            func.ReturnOp([])
        terminator.erase()
    inputs = [value.type for value in entry.arguments][: len(inputs)]
    read_only = ir.DictAttr.get({"bufferization.writable": ir.BoolAttr.get(False)})
    nothing = ir.DictAttr.get({})
    attributes = function.attributes
    attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get([*inputs, *buffers], []))
    attributes["arg_attrs"] = ir.ArrayAttr.get(
        [read_only if isinstance(t, ir.RankedTensorType) else nothing for t in (*inputs, *buffers)]
    )
    if "res_attrs" in attributes:
        del attributes["res_attrs"]
    attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()


def _updated_arguments(function: func.FuncOp, in_place: Mapping[int, int]) -> dict[int, ir.Value]:
    """The arguments that a function updates, made buffers, by the result that each is then."""
    entry = function.body.blocks[0]
    found = {}
    for result, number in in_place.items():
        value = entry.arguments[number]
        shaped = ir.RankedTensorType(value.type)
        layout = ir.StridedLayoutAttr.get_fully_dynamic(shaped.rank)
        buffer = ir.MemRefType.get(shaped.shape, shaped.element_type, layout)
        uses = [(use.owner.operation, use.operand_number) for use in value.uses]
        value.set_type(buffer)
        with ir.InsertionPoint.at_block_begin(entry), function.location:
            read = bufferization.to_tensor(shaped, value, restrict=True, writable=True)
        for op, operand in uses:
            op.operands[operand] = read
        found[result] = value
    return found
