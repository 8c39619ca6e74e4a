"""Find the program that aec-run is told to run: a .mlir file, or an object in a Python module."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from aecompiler.errors import AecError, CompileError

_BYTECODE = b"ML\xefR"  # what a file of MLIR bytecode begins with


class ProgramError(Exception):
    """The program can't be found; the text says which part of its name is wrong."""


def load(text: str) -> Any:
    """What `aec.compile` takes, for `FILE.mlir` (or `.mlirbc`), `FILE.py:NAME` or `package.module:NAME`.

    NAME is a Program, or a function without arguments that returns one. Raises ProgramError, and CompileError
    when the user's Python fails.
    """
    if text.endswith((".mlir", ".mlirbc")):
        return _mlir(text)
    place, separator, name = text.rpartition(":")
    if not separator or not place or not name:
        raise ProgramError(f"expects FILE.mlir, FILE.py:NAME or MODULE:NAME, got '{text}'")
    return _program(_module(place), place, name)


def _mlir(path: str) -> Any:
    """A path to text as it is; the module in a file of bytecode."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ProgramError(f"cannot read '{path}': {error.strerror or error}") from None
    if not data.startswith(_BYTECODE):
        try:
            data.decode()
        except UnicodeDecodeError:
            raise ProgramError(f"cannot read '{path}': it is neither text nor MLIR bytecode") from None
        return Path(path)
    from aecompiler.bindings import ir
    from aecompiler.diagnostics import to_compile_error
    from aecompiler.dialect import make_context

    with make_context() as context:
        try:
            return ir.Module.parse(data, context)
        except ir.MLIRError as error:
            raise to_compile_error(error, path) from None


def _module(place: str) -> ModuleType:
    if place.endswith(".py"):
        if not os.path.isfile(place):
            raise ProgramError(f"cannot read '{place}': no such file")
        # As when Python runs the file: its neighbours can be imported.
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None:
            raise ProgramError(f"cannot import '{place}'")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        loader = spec.loader
        _users(place, lambda: loader.exec_module(module))
        return module
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ProgramError(f"no module '{place}'")
    return _users(place, lambda: importlib.import_module(place))


def _program(module: ModuleType, place: str, name: str) -> Any:
    from aecompiler.builder import Program

    found = getattr(module, name, None)
    programs = [key for key, value in vars(module).items() if isinstance(value, Program)]
    hint = f" (programs: {', '.join(programs)})" if programs else ""
    if found is None:
        raise ProgramError(f"'{place}' has no '{name}'{hint}")
    if not isinstance(found, Program) and callable(found):
        found = _users(place, found)
        if not isinstance(found, Program):
            raise ProgramError(f"expects {name}() to return a Program, got {type(found).__name__}")
    if not isinstance(found, Program):
        raise ProgramError(
            f"expects '{name}' to be a Program or a function returning one, got {type(found).__name__}{hint}"
        )
    return found


def _users(place: str, work: Any) -> Any:
    """Run the user's Python; an exception becomes one line that points at it."""
    try:
        return work()
    except AecError:
        raise
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else place
        if isinstance(error, SyntaxError) and error.filename:
            where = f"{error.filename}:{error.lineno}"
        raise CompileError(f"{where}: error: {type(error).__name__}: {error}") from error


def _is_users(filename: str) -> bool:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    return not filename.startswith((package, "<frozen "))
