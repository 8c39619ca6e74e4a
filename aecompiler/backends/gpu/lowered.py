"""A module after the pipeline to Triton's dialects: the host's function, and kernels in two forms."""

from __future__ import annotations

from collections.abc import Mapping

from aecompiler import diagnostics
from aecompiler.backends.triton.kernel_ir import FUNCTION
from aecompiler.bindings import ir


def kernels_of(module: ir.Module) -> dict[str, ir.Operation]:
    """The kernels of a module by name."""
    found = [op.operation for op in module.body.operations if op.operation.name == FUNCTION]
    return {ir.StringAttr(op.attributes["sym_name"]).value: op for op in found}


def host_function(module: ir.Module, entry: str) -> ir.Operation:
    """What is left of the program's function `entry`; `CompileError` where there is none."""
    others = []
    for op in module.body.operations:
        operation = op.operation
        if operation.name == FUNCTION:
            continue
        if operation.name == "func.func" and ir.StringAttr(operation.attributes["sym_name"]).value == entry:
            return operation
        others.append(operation)
    raise diagnostics.error_at(others[0] if others else module.operation, f"expects a function '{entry}'")


def parameters_of(function: ir.Operation) -> list[str]:
    """The types of a kernel's parameters."""
    type_ = ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value)
    return [str(parameter) for parameter in type_.inputs]


def drop_promises(functions: Mapping[str, ir.Operation]) -> None:
    """Make the unaligned form of kernels, which is told nothing of addresses and strides."""
    for function in functions.values():
        if "arg_attrs" in function.attributes:
            del function.attributes["arg_attrs"]
