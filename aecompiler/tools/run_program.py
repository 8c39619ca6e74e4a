"""Find the program that aec-run is told to run: a .mlir file, or an object in a Python module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from aecompiler.bytecode import is_bytecode
from aecompiler.diagnostics import Diagnostic, compile_error
from aecompiler.errors import AecError
from aecompiler.signature import parse
from aecompiler.tools.errors import UsageError, describe

SUFFIXES = (".mlir", ".mlirbc")
"""Of files that hold MLIR, as text or as bytecode."""


class ProgramError(UsageError):
    """The program can't be found; the text says which part of its name is wrong."""


@dataclass(frozen=True)
class Loaded:
    """What `aec.compile` takes, the file to name in diagnostics without one, and the module's `inputs`."""

    program: Any
    file: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def load(text: str) -> Loaded:
    """The program that `FILE.mlir` (or `.mlirbc`), `FILE.py:NAME` or `package.module:NAME` stands for.

    NAME is a Program, or a function without required parameters that returns one. Raises ProgramError, and
    CompileError when the user's Python fails.
    """
    if text.endswith(SUFFIXES):
        return Loaded(_mlir(text), text)
    place, separator, name = text.rpartition(":")
    if not separator or not place or not name:
        raise ProgramError(f"expects FILE.mlir, FILE.py:NAME or MODULE:NAME, got '{text}'")
    module = _module(place)
    return Loaded(_program(module, place, name), inputs=_inputs(module, place))


def _mlir(path: str) -> Any:
    """A path to text as it is; the module in a file of bytecode."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ProgramError(f"cannot read '{path}': {error.strerror or error}") from None
    if not is_bytecode(data):
        try:
            data.decode()
        except UnicodeDecodeError:
            raise ProgramError(f"cannot read '{path}': it is neither text nor MLIR bytecode") from None
        return Path(path)
    module, _ = parse(data, path)
    return module


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return _import(place)
    if not os.path.isfile(place):
        raise ProgramError(f"cannot read '{place}': no such file")
    # The file's neighbours can be imported, but take no installed module's place: torch.py may need torch.
    sys.path.append(os.path.dirname(os.path.abspath(place)))
    spec = importlib.util.spec_from_file_location(f"aecompiler_run_{Path(place).stem}", place)
    if spec is None or spec.loader is None:
        raise ProgramError(f"cannot import '{place}'")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    loader = spec.loader
    _users(place, lambda: loader.exec_module(module))
    return module


def _import(place: str) -> ModuleType:
    """Import a module and before it, one by one, the packages around it: a failure has its own cause."""
    module = None
    parts = place.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        is_package = module is None or hasattr(module, "__path__")
        try:
            found = is_package and parts[number - 1] and importlib.util.find_spec(name)
        except ValueError:  # of a module that no import made, as __main__
            found = None
        if not found:
            raise ProgramError(f"no module '{place}'")
        module = _users(place, lambda name=name: importlib.import_module(name))
    assert module is not None
    return module


def _inputs(module: ModuleType, place: str) -> Mapping[str, Any]:
    found = getattr(module, "inputs", None)
    if not isinstance(found, Mapping):
        return {}

    def guarded(function: Any) -> Any:
        return lambda rng, shape: _users(place, lambda: function(rng, shape))

    return {name: guarded(value) if callable(value) else value for name, value in found.items()}


def _program(module: ModuleType, place: str, name: str) -> Any:
    from aecompiler.builder import Program

    found = getattr(module, name, None)
    programs = [key for key, value in vars(module).items() if isinstance(value, Program)]
    hint = f" (programs: {', '.join(programs)})" if programs else ""
    if found is None:
        raise ProgramError(f"'{place}' has no '{name}'{hint}")
    if not isinstance(found, Program) and callable(found):
        if required := _required(found):
            raise ProgramError(
                f"expects '{name}' to be a Program, or a function without required parameters that returns "
                f"one, but it requires {', '.join(required)}{hint}"
            )
        found = _users(place, found)
        if not isinstance(found, Program):
            raise ProgramError(f"expects {name}() to return a Program, got {type(found).__name__}")
    if not isinstance(found, Program):
        raise ProgramError(
            f"expects '{name}' to be a Program or a function returning one, got {type(found).__name__}{hint}"
        )
    return found


def _required(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not tell
        return []
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in several]


def _users(place: str, work: Any) -> Any:
    """Run the user's Python; an exception becomes one line that points at it."""
    try:
        return work()
    except AecError:
        raise
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a signal ends this process without
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
        file, line = (frames[-1].filename, frames[-1].lineno) if frames else (place, None)
        if isinstance(error, SyntaxError) and error.filename:
            file, line = error.filename, error.lineno
        raise compile_error([Diagnostic("error", describe(error), file, line)]) from error


def _is_users(filename: str) -> bool:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    return not filename.startswith((package, "<frozen "))
