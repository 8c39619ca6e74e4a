"""From a program to a kernel that is called on numpy arrays and torch tensors."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aecompiler import arrays, diagnostics
from aecompiler.arrays import Argument
from aecompiler.backends.base import Artifact, Backend, get_backend
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.dialect.types import DYNAMIC
from aecompiler.errors import UnsupportedError
from aecompiler.passes.rewriting import inline_calls
from aecompiler.size_analysis import analyze
from aecompiler.sizes import Sizes


class Kernel:
    """A compiled program; made by `compile`.

    Call it with numpy arrays or torch tensors, by position or by name. Strided views (`[batch, sequence,
    head, feature]` transposed, expanded, sliced) are taken without a copy, and inputs are never written to.
    The results are new contiguous arrays: torch tensors if any argument is one, else numpy arrays; a single
    result is returned by itself, several as a tuple. Kernels may be called from several threads at once.

    `arguments` and `results` describe the signature, `artifact` holds the code.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[Argument],
        results: Sequence[Argument],
        sizes: Sizes,
        backend: Backend,
        artifact: Artifact,
        source: bytes,
    ):
        self.name = name
        self.arguments = tuple(arguments)
        self.results = tuple(results)
        self.artifact = artifact
        self._sizes = sizes
        self._source = source
        self._executable = backend.load(artifact)

    def __repr__(self) -> str:
        arguments, results = (", ".join(map(str, group)) for group in (self.arguments, self.results))
        return f"<Kernel {self.name}({arguments}) -> ({results}) on {self.artifact.target}>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program.

        Raises `TypeError` for a wrong number or name of arguments, a wrong kind of object or dtype, and
        `ValueError` for a wrong rank, size or device, and for sizes of two arguments that do not agree. Each
        message names the argument.
        """
        values = self.bind(args, kwargs)
        taken = [arrays.take(argument, value) for argument, value in zip(self.arguments, values, strict=True)]
        shapes = [shape for _, shape, _ in taken]
        self._sizes.check(shapes)
        like_torch = any(arrays.is_torch(value) for value in values)
        made = [
            arrays.allocate(result.dtype, shape or (), like_torch)
            for result, shape in zip(self.results, self._sizes.result_shapes(shapes), strict=True)
        ]
        self._executable([buffer for buffer, _, _ in taken], [buffer for buffer, _ in made])
        outputs = tuple(array for _, array in made)
        return outputs[0] if len(outputs) == 1 else outputs

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The values of a call in the order of `arguments`; `TypeError` for a wrong number or name."""
        names = [argument.name for argument in self.arguments]
        if len(args) > len(names):
            raise TypeError(
                f"{self.name}() takes {len(names)} arguments ({', '.join(names)}), got {len(args)}"
            )
        values = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names:
                raise TypeError(f"{self.name}() has no argument '{name}' (arguments: {', '.join(names)})")
            if name in values:
                raise TypeError(f"{self.name}() got argument '{name}' twice")
            values[name] = value
        if missing := [name for name in names if name not in values]:
            raise TypeError(f"{self.name}() is missing argument {', '.join(map(repr, missing))}")
        return [values[name] for name in names]

    def complete_shapes(self, shapes: Sequence[Sequence[int | None]]) -> list[list[int | None]]:
        """The shapes of a call with unknown sizes (None) filled in where they follow from known ones.

        `shapes` holds one for each of `arguments`; that of a scalar is empty.
        """
        return self._sizes.complete(shapes)

    def evaluate_reference(self, /, *args: Any, **kwargs: Any) -> Any:
        """The program in float64, by `aecompiler.reference.evaluate` (slow, whole rows): a list of arrays."""
        from aecompiler.reference.evaluate import evaluate

        values = [arrays.to_numpy(value) for value in self.bind(args, kwargs)]
        with make_context():
            _module, function = _inlined(self._source, self.name)
            return evaluate(function, values)


def compile(program: Any, target: str = "cpu", *, function: str | None = None, **options: Any) -> Kernel:
    """Compile a program.

    `program` is a `Program` of the builder, an `ir.Module` (left as it is), the text of one, or a path to a
    `.mlir` file. `function` names the function to compile; it can be left out if there is one public
    function. `options` are those of the target's schedule; for the CPU `block_q` and `opt_level`.

    Raises `CompileError` for an invalid program, `UnsupportedError` for one that the target can't do,
    `BackendError` for an unknown target, `TypeError` and `ValueError` for bad options.
    """
    backend = get_backend(target)
    schedule = backend.schedule(options)
    module, names = _load(program)
    with module.context:
        source = io.BytesIO()
        op = _find_function(module, function)
        _verify(module)
        module.operation.write_bytecode(source)
        name = ir.StringAttr(op.attributes["sym_name"]).value
        arguments = _arguments(op, names.get(name))
        results = _results(op)
        sizes = _sizes(source.getvalue(), name, arguments)
        clone = ir.Module.parse(source.getvalue())
        artifact = backend.emit(clone, name, schedule)
    return Kernel(name, arguments, results, sizes, backend, artifact, source.getvalue())


@dataclasses.dataclass(frozen=True)
class ResultError:
    """How far one result is from the reference: the largest absolute error, and that relative to the largest
    magnitude of the reference. `mismatched` counts elements where only one of the two is finite, or both are
    not finite and differ."""

    name: str
    max_abs_error: float
    max_rel_error: float
    mismatched: int


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """A kernel's results compared with the float64 reference.

    `out_of_bounds` counts reads outside of captured tensors at unmasked elements: they read the nearest
    element, which is rarely meant.
    """

    results: tuple[ResultError, ...]
    out_of_bounds: int

    @property
    def max_abs_error(self) -> float:
        """The largest of the results; infinite if an element is finite on one side only."""
        return max((r.max_abs_error for r in self.results), default=0.0)

    @property
    def max_rel_error(self) -> float:
        """The largest of the results; infinite if an element is finite on one side only."""
        return max((r.max_rel_error for r in self.results), default=0.0)

    def __str__(self) -> str:
        lines = [
            f"{r.name}: max abs error {r.max_abs_error:.2e}, "
            f"relative to the largest value {r.max_rel_error:.2e}"
            + (f", {r.mismatched} elements disagree about being finite" if r.mismatched else "")
            for r in self.results
        ]
        if self.out_of_bounds:
            lines.append(f"{self.out_of_bounds} reads out of bounds at unmasked elements")
        return "\n".join(lines)


def check(program: Any, *args: Any, target: str = "cpu", **kwargs: Any) -> CheckReport:
    """Run a program (or a `Kernel`) on arguments and compare it with the float64 reference.

    Raises what `compile` and a call of the kernel raise.
    """
    kernel = program if isinstance(program, Kernel) else compile(program, target)
    outputs = kernel(*args, **kwargs)
    reference = kernel.evaluate_reference(*args, **kwargs)
    if len(kernel.results) == 1:
        outputs = (outputs,)
    errors = tuple(
        compare(result.name, output, expected)
        for result, output, expected in zip(kernel.results, outputs, reference, strict=True)
    )
    return CheckReport(errors, reference.out_of_bounds)


def compare(name: str, output: Any, expected: Any) -> ResultError:
    """The error of one array against float64 values; `ValueError` unless both have the same shape."""
    import numpy as np

    got = np.asarray(arrays.to_numpy(output)).astype(np.float64)
    want = np.asarray(expected, np.float64)
    if got.shape != want.shape:
        raise ValueError(f"result '{name}': expects shape {want.shape}, got {got.shape}")
    finite = np.isfinite(got) & np.isfinite(want)
    same = np.where(np.isnan(want), np.isnan(got), got == want)
    mismatched = int(np.count_nonzero(~finite & ~same))
    error = float(np.abs(np.where(finite, got, 0) - np.where(finite, want, 0)).max(initial=0.0))
    scale = float(np.abs(np.where(finite, want, 0)).max(initial=0.0))
    relative = error / scale if scale else error
    if mismatched:
        error = relative = float("inf")
    return ResultError(name, error, relative, mismatched)


# ---- reading programs ----------------------------------------------------------------------------


def _load(program: Any) -> tuple[ir.Module, dict[str, list[str]]]:
    """The module of a program, and by function the argument names that its text gives."""
    if isinstance(program, ir.Module):
        return program, {}
    module = getattr(program, "module", None)
    if isinstance(module, ir.Module):
        return module, {}
    if isinstance(program, os.PathLike) or (isinstance(program, str) and _is_path(program)):
        file = os.fspath(program)
        return parse(pathlib.Path(file).read_bytes(), file)
    if isinstance(program, str):
        return parse(program)
    raise TypeError(
        "compile() expects a Program, an ir.Module, the text of one or a path to a .mlir file, "
        f"got '{type(program).__name__}'"
    )


_BYTECODE = b"ML\xefR"


def parse(content: str | bytes, file: str | None = None) -> tuple[ir.Module, dict[str, list[str]]]:
    """A module from MLIR text or bytecode, and by function the argument names that the text gives.

    `file` is its name in diagnostics. Raises `CompileError` for what can't be parsed.
    """
    names: dict[str, list[str]] = {}
    if isinstance(content, bytes) and not content.startswith(_BYTECODE):
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


def _verify(module: ir.Module) -> None:
    try:
        module.operation.verify()
    except ir.MLIRError as error:
        raise diagnostics.to_compile_error(error) from None


def _is_path(text: str) -> bool:
    return "\n" not in text and text.endswith((".mlir", ".mlirbc"))


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


def _sizes(source: bytes, name: str, arguments: Sequence[Argument]) -> Sizes:
    """What the function requires of sizes, together with the functions that it calls."""
    _module, function = _inlined(source, name)
    return analyze(function, [argument.name for argument in arguments])


def _inlined(source: bytes, name: str) -> tuple[ir.Module, Any]:
    """A function with the bodies of those that it calls, and its module, which must outlive it."""
    module = ir.Module.parse(source)
    functions = _functions(module)
    inline_calls(functions[name].operation, {other: op.operation for other, op in functions.items()})
    return module, functions[name]


def _functions(module: ir.Module) -> dict[str, Any]:
    """The functions that have a body, by name."""
    return {
        ir.StringAttr(op.attributes["sym_name"]).value: op
        for op in module.body.operations
        if op.operation.name == "func.func" and len(op.operation.regions[0].blocks)
    }


def _find_function(module: ir.Module, name: str | None) -> Any:
    functions = _functions(module)
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


def _arguments(function: Any, names: Sequence[str] | None) -> list[Argument]:
    block = function.operation.regions[0].blocks[0]
    types = [value.type for value in block.arguments]
    if names is None or len(names) != len(types):
        names = [f"arg{n}" for n in range(len(types))]
    return _signature(function, types, "arg_attrs", names)


def _results(function: Any) -> list[Argument]:
    types = list(ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value).results)
    names = ["result"] if len(types) == 1 else [f"result{n}" for n in range(len(types))]
    return _signature(function, types, "res_attrs", names)


def _signature(
    function: Any, types: Sequence[ir.Type], attributes: str, names: Sequence[str]
) -> list[Argument]:
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
