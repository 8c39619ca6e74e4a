"""From a program to a kernel."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from aecompiler import diagnostics
from aecompiler.backends.base import get_backend, simulated
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.kernel import Kernel
from aecompiler.passes.rewriting import symbol_name
from aecompiler.signature import arguments_of, find_function, inlined, parse, results_of, step_form
from aecompiler.size_analysis import analyze

FORMS = ("sequence", "step")
OF_CHUNKS = ("chunk", "chunk_value_block", "chunk_stages", "shared_heads")
"""The options, of some targets, that say how recurrences are computed in chunks."""


def compile(
    program: Any,
    target: str = "cpu",
    *,
    function: str | None = None,
    form: str = "sequence",
    simulate: bool = False,
    **options: Any,
) -> Kernel:
    """Compile a program.

    `program` is a `Program` of the builder, an `ir.Module` (left as it is), the text of one, or a path to a
    `.mlir` file. `function` names the function to compile; it can be left out if there is one public
    function. `options` are those of the target's schedule; for the CPU `block_q`, `block_kv`, `chunk`,
    `direct`, `threads` and `opt_level`.

    `form` "step" compiles the one-step form of a program with a recurrence (`attn-derive-step`), for
    decoding: a call computes one position of each request and updates their states in a pool, which is the
    argument of the initial state, or a new one, `state`. A new last argument, `slots`, says where; -1 is no
    request. Options of chunks are no options of this form.

    With `simulate` the kernel runs in a simulator of the target, in this process and on arrays of the host:
    for results without the chip ("amd:gfx942"), not for time.

    Raises `CompileError` for an invalid program, `UnsupportedError` for one that the target can't do,
    `BackendError` for an unknown target or one without a simulator, `TypeError` and `ValueError` for bad
    options.
    """
    if form not in FORMS:
        raise ValueError(f"expects form to be one of {', '.join(FORMS)}, got {form!r}")
    backend = get_backend(target)
    if simulate:
        backend = simulated(backend)
    schedule = backend.schedule(options)
    for name in OF_CHUNKS if form == "step" else ():
        if given := options.get(name):
            rule = f"expects {name} to be 0 with form='step', which computes one position at a time"
            raise ValueError(f"{rule}, got {given}")
    module, names = _load(program)
    with module.context:
        op = find_function(module, function)
        _verify(module)
        if form == "step":
            module, op = step_form(bytecode_of(module), symbol_name(op.operation), names)
        source = bytecode_of(module)
        name = symbol_name(op.operation)
        arguments = arguments_of(op, names.get(name) if form == "sequence" else None)
        results = results_of(op)
        clone, entry = inlined(source, name)
        sizes = analyze(entry, [argument.name for argument in arguments])
        artifact = backend.emit(clone, name, schedule)
    return Kernel(name, arguments, results, sizes, backend, artifact, source)


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


def _is_path(text: str) -> bool:
    return "\n" not in text and text.endswith((".mlir", ".mlirbc"))


def _verify(module: ir.Module) -> None:
    try:
        module.operation.verify()
    except ir.MLIRError as error:
        raise diagnostics.to_compile_error(error) from None
