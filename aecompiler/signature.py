"""Programs as text and bytecode, and the signatures of their functions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aecompiler import arrays, diagnostics
from aecompiler.arrays import Argument
from aecompiler.bindings import ir
from aecompiler.bytecode import is_bytecode
from aecompiler.dialect import make_context
from aecompiler.dialect.types import DYNAMIC
from aecompiler.errors import UnsupportedError
from aecompiler.passes.calls import inline_calls
from aecompiler.passes.infra import PassFailure, run_pipeline
from aecompiler.passes.program_arguments import ProgramArguments, check_names, in_place_of
from aecompiler.passes.rewriting import symbol_name, walk_list


def parse(content: str | bytes, file: str | None = None) -> tuple[ir.Module, dict[str, list[str]]]:
    """A module from MLIR text or bytecode, and by function the argument names that the text gives.

    `file` is its name in diagnostics. Raises `CompileError` for what can't be parsed.
    """
    names: dict[str, list[str]] = {}
    if isinstance(content, bytes) and not is_bytecode(content):
        try:
            content = content.decode()
        except UnicodeDecodeError:
            message = "expects MLIR, as UTF-8 text or as bytecode"
            raise diagnostics.compile_error([diagnostics.Diagnostic("error", message, file)]) from None
    if isinstance(content, str):
        names = argument_names(content)
    with make_context() as context:
        try:
            return ir.Module.parse(content, context), names
        except ir.MLIRError as error:
            raise diagnostics.to_compile_error(error, file) from None


def argument_names(text: str) -> dict[str, list[str]]:
    """The names of the arguments of each `func.func` in MLIR text, as they are written after `%`."""
    names: dict[str, list[str]] = {}
    # Comments and strings may hold anything; the name of a function may be quoted.
    text = re.sub(r'(@?)("(?:[^"\\\n]|\\.)*")|//[^\n]*', _without_comments_and_strings, text)
    for match in re.finditer(r'func\.func\s+(?:\w+\s+)?@"?([\w$.-]+)"?\s*\(', text):
        if match[1] in names:
            continue
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        names[match[1]] = re.findall(r"(?<![\w%])%([\w$.-]+)\s*:", text[match.end() : end])
    return names


def _without_comments_and_strings(match: re.Match[str]) -> str:
    return match[0] if match[1] else " "


def functions_of(module: ir.Module) -> dict[str, Any]:
    """The functions that have a body, by name."""
    return {
        _symbol_name(op): op
        for op in module.body.operations
        if op.operation.name == "func.func" and len(op.operation.regions[0].blocks)
    }


def _symbol_name(op: Any) -> str:
    try:
        return symbol_name(op.operation)
    except PassFailure as failure:
        raise diagnostics.error_at(failure.op, failure.message) from None


def find_function(module: ir.Module, name: str | None) -> Any:
    """The function called `name`, or the only public one; `ValueError` if there is no such."""
    functions = functions_of(module)
    if name is not None:
        if name not in functions:
            raise ValueError(f"no function '{name}' in the program (functions: {', '.join(functions)})")
        return functions[name]
    public = [op for op in functions.values() if "sym_visibility" not in op.attributes]
    if len(public) != 1:
        raise ValueError(
            f"expects a program with one public function, got {len(public)} ({', '.join(functions)}): "
            "name one with function="
        )
    return public[0]


def inlined(source: bytes, name: str) -> tuple[ir.Module, Any]:
    """A function with the bodies of those that it calls, and its module, which must outlive it.

    Of the other functions those are left that can't be inlined.
    """
    module = ir.Module.parse(source)
    functions = functions_of(module)
    function = functions[name]
    inline_calls(function.operation, {other: op.operation for other, op in functions.items()})
    if not walk_list(function, "func.call"):
        for other in list(module.body.operations):
            if other.operation.name == "func.func" and other.operation != function.operation:
                other.operation.erase()
    return module, function


def step_form(source: bytes, name: str, names: Mapping[str, Sequence[str]]) -> tuple[ir.Module, ir.Operation]:
    """The one-step form of a function, whose arguments all have names, and its module.

    `names` are those that the text of functions gives to arguments. Raises `CompileError` where there is no
    such form.
    """
    module, function = inlined(source, name)
    called = [argument.name for argument in arguments_of(function, names.get(name))]
    ProgramArguments(function.operation).name(called)
    run_pipeline(module, "builtin.module(attn-derive-step)")
    derived = functions_of(module)[name]
    if all(argument.in_place is None for argument in arguments_of(derived, None)):
        raise diagnostics.error_at(
            derived.operation, "expects a recurrence in a program of which one step is compiled"
        )
    return module, derived


def arguments_of(function: Any, names: Sequence[str] | None) -> list[Argument]:
    """The arguments of a function, called as its attributes say, or else as in `names`."""
    block = function.operation.regions[0].blocks[0]
    types = [value.type for value in block.arguments]
    if names is None or len(names) != len(types):
        names = [f"arg{n}" for n in range(len(types))]
    in_place = {argument: result for result, argument in updated_arguments(function).items()}
    found = _signature(function, types, "arg_attrs", names)
    return [dataclasses.replace(each, in_place=in_place.get(n)) for n, each in enumerate(found)]


def results_of(function: Any) -> list[Argument]:
    """The results of a function that are none of its arguments, updated."""
    types = list(ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value).results)
    names = ["result"] if len(types) == 1 else [f"result{n}" for n in range(len(types))]
    found = _signature(function, types, "res_attrs", names)
    updated = updated_arguments(function)
    return [result for number, result in enumerate(found) if number not in updated]


def updated_arguments(function: Any) -> dict[int, int]:
    """The arguments that a function updates, by the number of the result that each is then.

    Raises `CompileError` where attributes say what can't be (`program_arguments.in_place_of`).
    """
    try:
        return in_place_of(function.operation)
    except PassFailure as failure:
        raise diagnostics.error_at(failure.op, failure.message) from None


def _signature(
    function: Any, types: Sequence[ir.Type], attributes: str, names: Sequence[str]
) -> list[Argument]:
    try:
        check_names(function.operation)
    except PassFailure as failure:
        raise diagnostics.error_at(failure.op, failure.message) from None
    own = function.operation.attributes
    found: list[Argument] = []
    for number, type_ in enumerate(types):
        given = own[attributes][number] if attributes in own else {}
        name = ir.StringAttr(given["attn.name"]).value if "attn.name" in given else names[number]
        shape: tuple[int | str | None, ...] = ()
        element = type_
        if isinstance(type_, ir.RankedTensorType):
            element = type_.element_type
            dims = [ir.StringAttr(d).value for d in given["attn.dims"]] if "attn.dims" in given else []
            dims += [""] * (type_.rank - len(dims))
            shape = tuple(
                size if size != DYNAMIC else (dims[d] or None) for d, size in enumerate(type_.shape)
            )
        if str(element) not in arrays.DTYPES:
            raise UnsupportedError(
                f"unsupported: '{name}' of type {type_} (a kernel's arguments and results are "
                f"tensors and scalars of {', '.join(sorted(arrays.DTYPES))})"
            )
        kind = "tensor" if isinstance(type_, ir.RankedTensorType) else "scalar"
        found.append(Argument(name, kind, shape, str(element)))
    return found
