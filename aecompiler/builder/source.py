"""Where in the user's program something happens: the line to name in an error and in an op's location."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
_NOT_USERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("numpy", "torch"))
_is_library: dict[str, bool] = {}


@dataclass(frozen=True)
class Place:
    """A stretch of a user's line; columns count from 1 and are 0 where Python does not know them."""

    file: str
    line: int
    column: int = 0
    end_column: int = 0

    @property
    def text(self) -> str:
        """The line as it stands in the file, without its newline; empty when the file can't be read."""
        return linecache.getline(self.file, self.line).rstrip()

    def excerpt(self) -> str:
        """The line with a marker below the stretch, or an empty string without a readable line."""
        text = self.text
        if not text.strip():
            return ""
        indent = len(text) - len(text.lstrip())
        start = max(self.column - 1, indent)
        width = max(min(self.end_column - 1, len(text)) - start, 1)
        marker = " " * (start - indent) + "^" + "~" * (width - 1)
        return f"  {text.strip()}\n  {marker}"


def _library(filename: str) -> bool:
    """Whether a file belongs to this package, to Python or to an array library, and not to the user."""
    known = _is_library.get(filename)
    if known is None:
        installed = f"{os.sep}site-packages{os.sep}" in filename
        known = (
            filename.startswith((_PACKAGE, "<frozen "))
            or (filename.startswith(_STDLIB) and not installed)
            or (installed and any(name in filename for name in _NOT_USERS))
        )
        _is_library[filename] = known
    return known


def user_frame() -> FrameType | None:
    """The innermost frame of the user's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def place_of(code: CodeType, instruction: int, line: int) -> Place:
    """The place of the instruction at byte offset `instruction` of `code`."""
    start, _, column, end_column = next(
        islice(code.co_positions(), instruction // 2, None), (None, None, None, None)
    )
    if column is None or end_column is None:
        return Place(code.co_filename, start or line)
    return Place(code.co_filename, start or line, column + 1, end_column + 1)


def user_place() -> Place:
    """The place in the user's code that is running now."""
    frame = user_frame()
    if frame is None:
        return Place("<unknown>", 0)
    return place_of(frame.f_code, frame.f_lasti, frame.f_lineno)


def _code(function: Callable) -> CodeType | None:
    """The code object of a user's function, through wrappers, partials and callable objects, or None."""
    try:
        function = inspect.unwrap(function)
        while isinstance(function, functools.partial):
            function = inspect.unwrap(function.func)
    except ValueError:  # a cycle of wrappers
        return None
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return code if isinstance(code, CodeType) and not _library(code.co_filename) else None


def definition_of(function: Callable) -> Place:
    """Where a function is defined.

    Where it is used, for a function that is not written in Python by the user.
    """
    code = _code(function)
    return user_place() if code is None else Place(code.co_filename, code.co_firstlineno)


def return_of(function: Callable, made: Place | None = None) -> Place:
    """Where a function returns: its return statement, or the expression of a lambda.

    Of several statements nobody knows which one it was: then where the returned value was made, if that is
    in the function, otherwise its definition.
    """
    code = _code(function)
    if code is None:
        return user_place()
    instructions = list(dis.get_instructions(code))
    returns = [n for n, op in enumerate(instructions) if op.opname in ("RETURN_VALUE", "RETURN_CONST")]
    if len(returns) == 1:
        last = returns[0] - (code.co_name == "<lambda>")  # the return of a lambda stands at its first column
        return place_of(code, instructions[last].offset, code.co_firstlineno)
    lines = {line for _, _, line in code.co_lines()}
    if made is not None and made.file == code.co_filename and made.line in lines:
        return made
    return definition_of(function)


def truth_test(place: Place) -> ast.AST | None:
    """The construct at `place` that asked for a truth value.

    An `if`, `and`, `not`, a chained comparison, a call.
    """
    try:
        tree = ast.parse("".join(linecache.getlines(place.file)))
    except (SyntaxError, ValueError):
        return None
    found: ast.AST | None = None
    for node in ast.walk(tree):  # breadth first: the last hit is the innermost
        wanted = (
            ast.If,
            ast.IfExp,
            ast.While,
            ast.Assert,
            ast.BoolOp,
            ast.Compare,
            ast.UnaryOp,
            ast.Call,
            ast.comprehension,
        )
        if not isinstance(node, wanted) or (isinstance(node, ast.Compare) and len(node.ops) == 1):
            continue
        if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            continue
        if _asks(node, place):
            found = node
    return found


def _asks(node: ast.AST, place: Place) -> bool:
    """Whether `node` tests the expression at `place`, or is the call there."""
    if isinstance(node, ast.Call):
        return _exactly(node, place)
    if isinstance(node, ast.comprehension):
        return any(_exactly(test, place) for test in node.ifs)
    if isinstance(node, ast.BoolOp):
        return _exactly(node, place) or any(_exactly(value, place) for value in node.values)
    if isinstance(node, ast.Compare):
        return _covers(node, place)
    if isinstance(node, ast.UnaryOp):
        return _exactly(node, place) or _exactly(node.operand, place)
    if isinstance(node, ast.Assert):
        return node.lineno == place.line
    return _exactly(getattr(node, "test", None), place)


def _exactly(node: ast.AST | None, place: Place) -> bool:
    return (
        isinstance(node, ast.expr)
        and node.lineno == place.line
        and (
            not place.column
            or (node.col_offset + 1, (node.end_col_offset or 0) + 1) == (place.column, place.end_column)
        )
    )


def _covers(node: ast.expr, place: Place) -> bool:
    return (
        node.lineno <= place.line <= (node.end_lineno or node.lineno)
        and (node.lineno < place.line or node.col_offset + 1 <= place.column)
        and (place.line < (node.end_lineno or 0) or place.end_column <= (node.end_col_offset or 0) + 1)
    )
