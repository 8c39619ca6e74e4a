"""Findings about IR: reporting them on an op, collecting them from MLIR, rendering them for a person."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from aecompiler.bindings import ir
from aecompiler.errors import AecError, CompileError

_OP_DUMP = "see current operation"
"""MLIR adds the op's text as a note to most errors; the bindings can't switch it off, and it only repeats."""

_UNREADABLE = "a message that is no UTF-8 text"

MEMORY_BUFFER = "-"
"""The file name that MLIR gives to text parsed from memory."""


class Position(NamedTuple):
    """A place in a source file; what is not known is `None`."""

    file: str | None
    line: int | None
    column: int | None


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One finding: `severity` is "error", "warning", "remark" or "note"; `line` and `column` count from 1."""

    severity: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    notes: tuple[Diagnostic, ...] = ()

    def render(self) -> str:
        """`file:line:col: error: message`, without the parts that are not known; one more line per note."""
        place = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        head = ":".join(place) + ": " if place else ""
        lines = [f"{head}{self.severity}: {self.message}"]
        return "\n".join(lines + [note.render() for note in self.notes])


def render_with_source(diagnostic: Diagnostic, source: str) -> str:
    """As `Diagnostic.render`, with the line of `source` that it points at and a caret below the column."""
    own = dataclasses.replace(diagnostic, notes=())
    rendered = [own.render()]
    lines = source.split("\n")
    if diagnostic.line is not None and diagnostic.column is not None and 0 < diagnostic.line <= len(lines):
        text = lines[diagnostic.line - 1].rstrip("\r")
        if diagnostic.column <= len(text) + 1 and len(text) <= 400 and text.isprintable():
            rendered += [text, " " * (diagnostic.column - 1) + "^"]
    rendered += [render_with_source(note, source) for note in diagnostic.notes]
    return "\n".join(rendered)


def locate(location: ir.Location, file: str | None = None) -> Position:
    """The source position that `location` stands for; `file` replaces the name of a memory buffer.

    A call site counts as its callee (the innermost frame), a fused or named location as the first of its
    parts that has a position.
    """
    location = downcast(location)
    if isinstance(location, ir.FileLineColLoc):
        name = location.filename
        return Position(
            file if name == MEMORY_BUFFER else name, location.start_line or None, location.start_col or None
        )
    for part in _parts(location):
        position = locate(part, file)
        if position.line is not None:
            return position
    return Position(None, None, None)


def downcast(location: ir.Location) -> ir.Location:
    """The location as its own class: a diagnostic hands out plain `ir.Location`s."""
    for cls in (ir.FileLineColLoc, ir.CallSiteLoc, ir.NameLoc, ir.FusedLoc):
        try:
            return cls(location)
        except ValueError:
            continue
    return location


def _parts(location: ir.Location) -> Iterable[ir.Location]:
    if isinstance(location, ir.CallSiteLoc):
        return (location.callee, location.caller)
    if isinstance(location, ir.NameLoc):
        return (location.child_loc,)
    if isinstance(location, ir.FusedLoc):
        return location.locations
    return ()


def emit(op: Any, message: str) -> None:
    """Report the error `'<op name>' op <message>` at the location of `op` (an operation or its view)."""
    operation = op.operation
    operation.location.emit_error(f"'{operation.name}' op {message}")


def remark(op: Any, message: str) -> None:
    """Report the remark `'<op name>' op <message>` at the location of `op` to the innermost `capture`.

    The bindings can emit errors only, so that MLIR itself does not see it.
    """
    operation = op.operation
    found, file = _CAPTURES.get()[-1] if _CAPTURES.get() else (None, None)
    position = locate(operation.location, file)
    diagnostic = Diagnostic("remark", f"'{operation.name}' op {message}", *position)
    if found is None:
        sys.stderr.write(f"{diagnostic.render()}\n")
    else:
        found.append(diagnostic)


_CAPTURES: ContextVar[tuple[tuple[list[Diagnostic], str | None], ...]] = ContextVar("captures", default=())
"""The lists of the `capture`s that this code runs in, and the names of their files."""


def convert(info: Any, file: str | None = None) -> Diagnostic:
    """A diagnostic of the bindings as a plain value that may outlive its context."""
    position = locate(info.location, file)
    notes = tuple(convert(note, file) for note in info.notes if not _message(note).startswith(_OP_DUMP))
    return Diagnostic(info.severity.name.lower(), _message(info).rstrip("\n"), *position, notes)


def _message(info: Any) -> str:
    try:
        return info.message
    except RuntimeError as error:
        if not is_unreadable(error):
            raise
        return _UNREADABLE


def is_unreadable(error: BaseException) -> bool:
    """Whether the bindings could not make a Python string of a text that is no UTF-8, as names and strings in
    IR may be."""
    return isinstance(error, RuntimeError) and "str_from_cstr" in str(error)


def collect(error: ir.MLIRError, file: str | None = None) -> list[Diagnostic]:
    """The findings inside `error`, in the order they were reported; never empty.

    MLIR names text parsed from memory "-"; `file` stands for it in the result.
    """
    found = [convert(info, file) for info in error.error_diagnostics]
    return [d for d in found if not d.message.startswith(_OP_DUMP)] or [
        Diagnostic("error", str(error.message).strip().rstrip(":"), file)
    ]


def to_compile_error(error: ir.MLIRError, file: str | None = None) -> CompileError:
    """The findings inside `error` as the exception that the Python API raises."""
    return compile_error(collect(error, file))


def error_at(op: Any, message: str) -> CompileError:
    """The error `'<op name>' op <message>` at the location of `op`, to be raised."""
    operation = op.operation
    diagnostic = Diagnostic("error", f"'{operation.name}' op {message}", *locate(operation.location))
    return compile_error([diagnostic])


def compile_error(diagnostics: Iterable[Diagnostic]) -> CompileError:
    """A `CompileError` whose text is the rendered `diagnostics`."""
    diagnostics = tuple(diagnostics)
    return CompileError("\n".join(d.render() for d in diagnostics), diagnostics)


def render_error(error: AecError, file: str | None = None) -> str:
    """An error of ours as lines `file:line:col: error: message`; `file` is named where it knows none."""
    found = error.diagnostics if isinstance(error, CompileError) else ()
    if found and all(d.file is not None or file is None for d in found):
        return str(error)  # may hold more, as the lines of source
    return "\n".join(_in_file(d, file).render() for d in found or [_from_text(str(error))])


def _in_file(diagnostic: Diagnostic, file: str | None) -> Diagnostic:
    own = diagnostic.file if diagnostic.file not in (None, MEMORY_BUFFER) else file
    notes = tuple(_in_file(note, file) for note in diagnostic.notes)
    return dataclasses.replace(diagnostic, file=own, notes=notes)


_PLACE = re.compile(r',? at loc\(.*?"(?P<file>[^"]*)":(?P<line>\d+):(?P<column>\d+).*\)\Z', re.DOTALL)


def _from_text(text: str) -> Diagnostic:
    """An error whose text may end with the location, as MLIR prints it."""
    place = _PLACE.search(text)
    if place is None:
        return Diagnostic("error", text)
    line, column = int(place["line"]), int(place["column"])
    return Diagnostic("error", text[: place.start()], place["file"], line or None, column or None)


@contextmanager
def capture(context: ir.Context, file: str | None = None) -> Iterator[list[Diagnostic]]:
    """Collect what is reported in `context` and not thrown as an `MLIRError`: warnings, `remark`, `emit`.

    The list grows while the block runs. Without this, MLIR prints such findings to stderr.
    """
    found: list[Diagnostic] = []

    def handle(info: Any) -> bool:
        message = _message(info)
        if message == _UNREADABLE and context.emit_error_diagnostics:
            return False  # for `capture_escaped` around this
        if not message.startswith(_OP_DUMP):
            found.append(convert(info, file))
        return True

    handler = context.attach_diagnostic_handler(handle)
    before = _CAPTURES.set((*_CAPTURES.get(), (found, file)))
    try:
        yield found
    finally:
        _CAPTURES.reset(before)
        handler.detach()


@contextmanager
def capture_escaped(context: ir.Context, file: str | None = None) -> Iterator[list[Diagnostic]]:
    """As `capture`, with the errors that `MLIRError` would hold, and with texts that are no UTF-8, escaped.

    The bindings fail on such a text, and what it says is lost. So do the work again inside of this: MLIR
    itself prints an error that no handler takes, and here its bytes are read from the standard error stream.
    """
    found: list[Diagnostic] = []
    pending: list[tuple[Diagnostic, str]] = []  # what MLIR is about to print, and its location's text

    def take_printed() -> None:
        text = os.pread(sink.fileno(), os.fstat(sink.fileno()).st_size, 0).decode("utf-8", "backslashreplace")
        os.ftruncate(sink.fileno(), 0)
        while pending:
            diagnostic, location = pending.pop()
            text = text.strip().removeprefix(f"{location}: ").removeprefix("error: ")
            found.append(dataclasses.replace(diagnostic, message=text or _UNREADABLE))

    def handle(info: Any) -> bool:
        take_printed()
        diagnostic = convert(info, file)
        if diagnostic.message == _UNREADABLE:
            pending.append((diagnostic, str(info.location)))
            return False
        if not diagnostic.message.startswith(_OP_DUMP):
            found.append(diagnostic)
        return True

    with tempfile.TemporaryFile(mode="ab") as sink, stderr_to(sink.fileno()):
        context.emit_error_diagnostics = True
        handler = context.attach_diagnostic_handler(handle)
        try:
            yield found
        finally:
            handler.detach()
            context.emit_error_diagnostics = False
            take_printed()


_STDERR_LOCK = threading.RLock()


@contextmanager
def stderr_to(number: int) -> Iterator[None]:
    """Send what this process writes to standard error, native code included, to the file `number`.

    All threads share that stream: one at a time is in here.
    """
    with _STDERR_LOCK:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(number, 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
