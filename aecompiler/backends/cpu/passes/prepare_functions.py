"""The pass `cpu-prepare-functions`: what the calling convention of CPU kernels wants, on tensors."""

from __future__ import annotations

from aecompiler.bindings import func, ir, tensor
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import Pass, PassFailure, register_pass


@register_pass
class PrepareFunctions(Pass):
    """Prepare public functions to be called from Python.

    *Before*: functions on tensors and scalars. *After*, for each public function: tensor arguments are
    read-only (`bufferization.writable = false`), so that no kernel writes to its inputs; scalar results are
    tensors of rank 0, so that every result can be returned through memory; a C interface is requested. The
    names that the builder left on arguments and results (`attn.*`) are dropped.

    ```mlir
    func.func @f(%q: tensor<4xf32> {attn.name = "q"}) -> f32
    ```
    becomes
    ```mlir
    func.func @f(%q: tensor<4xf32> {bufferization.writable = false}) -> tensor<f32>
        attributes {llvm.emit_c_interface}
    ```
    """

    NAME = "cpu-prepare-functions"

    def run(self, op: ir.Operation) -> None:
        """Change the public functions with a body in `op`, a module."""
        for function in rw.walk_list(op, "func.func"):
            if "sym_visibility" in function.attributes or function.opview.is_external:
                continue  # private or nested: not called from outside
            with function.location:
                _prepare(function.opview)


def _prepare(function: func.FuncOp) -> None:
    for type_ in (*function.type.inputs, *function.type.results):
        if not isinstance(type_, (ir.RankedTensorType, ir.IntegerType, ir.IndexType, ir.FloatType)):
            raise PassFailure(
                function, f"expects arguments and results to be tensors or scalars, got {type_}"
            )
    read_only = ir.DictAttr.get({"bufferization.writable": ir.BoolAttr.get(False)})
    nothing = ir.DictAttr.get({})
    function.attributes["arg_attrs"] = ir.ArrayAttr.get(
        [read_only if isinstance(t, ir.RankedTensorType) else nothing for t in function.type.inputs]
    )
    if "res_attrs" in function.attributes:
        del function.attributes["res_attrs"]
    function.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
    results = list(function.type.results)
    wrapped = [t if isinstance(t, ir.RankedTensorType) else ir.RankedTensorType.get([], t) for t in results]
    if wrapped == results:
        return
    for block in function.body.blocks:
        terminator = block.operations[len(block.operations) - 1].operation
        if terminator.name != "func.return":
            continue
        with ir.InsertionPoint(terminator), terminator.location:
            for position, (value, type_) in enumerate(zip(terminator.operands, wrapped, strict=True)):
                if value.type != type_:
                    terminator.operands[position] = tensor.from_elements(type_, [value])
    function.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(list(function.type.inputs), wrapped)
    )
