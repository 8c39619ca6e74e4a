"""Programs: Python functions traced into one `func.func` each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aecompiler.bindings import func, ir
from aecompiler.builder import arithmetic, dtypes, operands, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.source import Place, definition_of, return_of
from aecompiler.builder.specs import ScalarSpec, TensorSpec
from aecompiler.builder.tracing import Dim, Trace, activate, is_tracing
from aecompiler.diagnostics import collect
from aecompiler.dialect import make_context
from aecompiler.errors import CompileError

Spec = TensorSpec | ScalarSpec


@dataclass(frozen=True)
class Argument:
    """An argument or result of a program: its name, and its type as `tensor` and `scalar` declare it."""

    name: str
    spec: Spec

    def __str__(self) -> str:
        return f"{self.name}: {self.spec}"


class Program:
    """A traced program: one function in an MLIR module, in a context of its own.

    `name`, `arguments`, `results` describe it, `module` is the IR, `str(program)` its text, `function` the
    Python function it was traced from. `aec.compile(program)` makes a kernel of it. Called while another
    program is traced, it is traced into that one.
    """

    def __init__(
        self,
        function: Callable,
        module: ir.Module,
        name: str,
        arguments: tuple[Argument, ...],
        results: tuple[Argument, ...],
    ):
        self.function = function
        self.module = module
        self.name = name
        self.arguments = arguments
        self.results = results
        self.__doc__ = getattr(function, "__doc__", None)

    @property
    def context(self) -> ir.Context:
        """The MLIR context that owns the module."""
        return self.module.context

    def verify(self) -> None:
        """Check the IR; raises CompileError whose diagnostics point at the lines of the Python function."""
        try:
            self.module.operation.verify()
        except ir.MLIRError as error:
            diagnostics = tuple(collect(error))
        else:
            return
        text = []
        for each in diagnostics:
            place = Place(each.file or "", each.line or 0, each.column or 0)
            text += [each.render(), *filter(None, [place.excerpt()])]
        raise CompileError("\n".join(text), diagnostics)

    def __str__(self) -> str:
        return str(self.module)

    def __repr__(self) -> str:
        arguments, results = (", ".join(map(str, each)) for each in (self.arguments, self.results))
        return f"<Program {self.name}({arguments}) -> ({results})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Trace the function into the program under construction; TypeError outside of one."""
        if is_tracing():
            return self.function(*args, **kwargs)
        raise TypeError(
            f"program {self.name!r} is not a kernel: call aec.compile({self.name}, target=...) first"
        )


def program(
    *misplaced: Any, name: str | None = None, results: Sequence[str] | None = None, **specs: Spec
) -> Callable[[Callable], Program]:
    """Trace the decorated function into a Program, with one `aec.tensor` or `aec.scalar` per parameter.

    `name` is the program's name (default: the function's), `results` the names of its results. See `trace`.
    """

    if misplaced:
        raise TypeError("aec.program expects declarations by name: @aec.program(q=aec.tensor(...), ...)")

    def decorate(function: Callable) -> Program:
        return trace(function, name=name, results=results, **specs)

    return decorate


def trace(
    function: Callable, /, *, name: str | None = None, results: Sequence[str] | None = None, **specs: Spec
) -> Program:
    """Call `function` once with traced values and record what it does as a Program.

    `specs` declares each parameter with `aec.tensor` or `aec.scalar`; parameters with a default may be left
    out. The function returns a tensor, a tuple of tensors, or a dict of tensors by name. Without names
    (`results`) the outputs are called o, the extras of a normaliser lse or extra0, a state final.

    Raises TypeError when the declarations don't fit the function, TraceError at the user's line when it can't
    be traced, and CompileError when the IR is invalid.
    """
    _check_options(name, results)
    name = name or getattr(function, "__name__", "program").replace("<lambda>", "program")
    _check_specs(function, name, specs)
    context = make_context()
    current = Trace(context)
    with activate(current):
        loc = current.at(definition_of(function))
        module = ir.Module.create(loc=loc)
        types = [_declare(current, each, spec) for each, spec in specs.items()]
        with ir.InsertionPoint(module.body):
            op = func.FuncOp(name, ([type_ for type_, _ in types], []), loc=loc)
        block = op.add_entry_block([loc] * len(types))
        with current.enter(current.body, block):
            given = {
                each: values.Value(argument, spec.dtype, dims, current.body)
                for (each, spec), argument, (_, dims) in zip(
                    specs.items(), block.arguments, types, strict=True
                )
            }
            returned = function(**given)
            outputs = _outputs(current, returned, results, return_of(function))
            func.ReturnOp([value._ir for value in outputs.values()], loc=current.at(return_of(function)))
        current.erase_unused()
        _finish_signature(current, op, specs, types, outputs)
    traced = Program(
        function,
        module,
        name,
        tuple(Argument(each, spec) for each, spec in specs.items()),
        tuple(Argument(each, _result_spec(current, value)) for each, value in outputs.items()),
    )
    traced.verify()
    return traced


def _check_options(name: Any, results: Any) -> None:
    for option, value in (("name", name), ("results", results)):
        if isinstance(value, Spec):
            raise TypeError(
                f"expects {option}= to be an option of the program, got a declaration; "
                "a parameter of this name needs another one"
            )
    if name is not None and not isinstance(name, str):
        raise TypeError(f"expects name to be a string, got {name!r}")
    if results is not None and (
        isinstance(results, str)
        or not isinstance(results, Sequence)
        or not all(isinstance(each, str) for each in results)
    ):
        raise TypeError(f"expects results to be a list of names, got {results!r}")


def _check_specs(function: Callable, name: str, specs: Mapping[str, Any]) -> None:
    if not callable(function):
        raise TypeError(f"expects a function to trace, got {type(function).__name__}")
    for each, spec in specs.items():
        if not isinstance(spec, Spec):
            raise TypeError(
                f"program {name!r} expects {each} to be declared by aec.tensor or aec.scalar, got {spec!r}"
            )
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"program {name!r} expects parameters that can be passed by name, got {parameter.name!r}"
            )
        if parameter.name not in specs and parameter.default is parameter.empty:
            raise TypeError(
                f"program {name!r} expects a declaration of {parameter.name!r}: aec.tensor or aec.scalar"
            )
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known = {parameter.name for parameter in parameters}
        for each in specs:
            if each not in known:
                raise TypeError(f"program {name!r} has no parameter {each!r}")


def _declare(current: Trace, name: str, spec: Spec) -> tuple[ir.Type, tuple[Dim, ...]]:
    """The type of an argument and its dimensions, with a symbol for each dynamic one."""
    if isinstance(spec, ScalarSpec):
        return dtypes.ir_type(spec.dtype), ()
    dims: list[Dim] = []
    for axis, dim in enumerate(spec.shape):
        if isinstance(dim, int):
            dims.append(dim)
            continue
        dims.append(dim or f"{name}.{axis}")
        current.dims.declare(str(dims[-1]), named=dim is not None)
    return operands.type_of(dims, spec.dtype), tuple(dims)


def _outputs(
    current: Trace, returned: Any, names: Sequence[str] | None, place: Place
) -> dict[str, values.Value]:
    """The results by name."""
    if isinstance(returned, dict):
        if names is not None:
            raise TraceError("expects names of results in one place, got a dict and results=...", place)
        names, parts = list(returned), list(returned.values())
    else:
        parts = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    if not parts or returned is None:
        raise TraceError(
            "expects the program to return at least one tensor, got nothing; add a `return`", place
        )
    for position, part in enumerate(parts):
        if not isinstance(part, values.Value) or not part._dims:
            got = repr(part) if isinstance(part, values.Value) else type(part).__name__
            raise TraceError(f"expects result {position} of the program to be a tensor, got {got}", place)
        try:
            arithmetic.usable(part)
        except TraceError as error:
            raise TraceError(f"result {position}: {error.message}", place) from None
    if names is None:
        names = _default_names([current.hints.get(part._ir, "o") for part in parts])
    if len(names) != len(parts):
        raise TraceError(f"expects {len(names)} results by name, got {len(parts)}", place)
    if not all(isinstance(name, str) and name.isidentifier() for name in names) or len(set(names)) != len(
        names
    ):
        raise TraceError(f"expects results to have different identifiers as names, got {list(names)}", place)
    return dict(zip(names, parts, strict=True))


def _default_names(hints: Sequence[str]) -> list[str]:
    """The hints, numbered where one occurs more than once."""
    names: list[str] = []
    for hint in hints:
        name, number = hint, 1
        while name in names:
            name, number = f"{hint}{number}", number + 1
        names.append(name)
    return names


def _finish_signature(
    current: Trace,
    op: func.FuncOp,
    specs: Mapping[str, Spec],
    types: Sequence[tuple[ir.Type, tuple[Dim, ...]]],
    outputs: Mapping[str, values.Value],
) -> None:
    """Set the function's type, and the names of its arguments, dimensions and results."""
    inputs = [type_ for type_, _ in types]
    op.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(inputs, [value._ir.type for value in outputs.values()])
    )
    arguments = []
    for (name, _), (_, dims) in zip(specs.items(), types, strict=True):
        attributes = {"attn.name": ir.StringAttr.get(name)}
        named = ["" if isinstance(dim, int) else current.dims.name(dim) for dim in dims]
        if any(named):
            attributes["attn.dims"] = ir.ArrayAttr.get([ir.StringAttr.get(text) for text in named])
        arguments.append(ir.DictAttr.get(attributes))
    op.attributes["arg_attrs"] = ir.ArrayAttr.get(arguments)
    op.attributes["res_attrs"] = ir.ArrayAttr.get(
        [ir.DictAttr.get({"attn.name": ir.StringAttr.get(name)}) for name in outputs]
    )


def _result_spec(current: Trace, value: values.Value) -> TensorSpec:
    shape = tuple(dim if isinstance(dim, int) else current.dims.name(dim) or None for dim in value._dims)
    return TensorSpec(shape, value.dtype)
