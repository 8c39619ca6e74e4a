"""A module after the pipeline to Triton's dialects: the host's function, and kernels in two forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aecompiler import diagnostics
from aecompiler.backends.gpu.artifact import ALIGNED, UNALIGNED, forms_of
from aecompiler.backends.gpu.host_program import kernel_names
from aecompiler.backends.triton.kernel_ir import FUNCTION
from aecompiler.backends.triton.kernel_text import KernelText, kernel_texts
from aecompiler.bindings import ir


class Lowered(NamedTuple):
    """What is read of a lowered module: the host's `plan`, and what it launches, by the names of kernels.

    `parameters`: their types. `kernels`: the aligned forms. `texts`: all forms, by name and form.
    """

    plan: dict[str, Any]
    parameters: dict[str, list[str]]
    kernels: dict[str, KernelText]
    texts: dict[tuple[str, str], str]


def read_lowered(module: ir.Module, entry: str, *, spans: bool = False) -> Lowered:
    """Read a module, whose kernels lose what is promised of addresses; `spans` is that of `read_plan`."""
    from aecompiler.backends.gpu.host_plan import read_plan

    with module.context:
        functions = kernels_of(module)
        parameters = {name: parameters_of(function) for name, function in functions.items()}
        plan = read_plan(host_function(module, entry), parameters, spans=spans)
        aligned = {each.name: each for each in kernel_texts(module)}
        drop_promises(functions)
        unaligned = {each.name: each for each in kernel_texts(module)}
    names = kernel_names(plan)
    texts = {
        (name, form): found[name].text
        for name in names
        for form, found in ((ALIGNED, aligned), (UNALIGNED, unaligned))
        if form in forms_of(parameters[name])
    }
    return Lowered(
        plan, {name: parameters[name] for name in names}, {name: aligned[name] for name in names}, texts
    )


def set_numbers(module: ir.Module, numbers: Mapping[str, int]) -> None:
    """Set attributes of i32 on all kernels that do not have them; 0 says nothing."""
    with module.context:
        i32 = ir.IntegerType.get_signless(32)
        for function in kernels_of(module).values():
            for name, value in numbers.items():
                if value and name not in function.attributes:
                    function.attributes[name] = ir.IntegerAttr.get(i32, value)


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
