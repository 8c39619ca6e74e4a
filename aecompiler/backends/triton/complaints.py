"""What Triton and the tools below it write about a kernel that they refuse, as diagnostics at our locations.

Triton's MLIR writes `loc(LOCATION): error: TEXT` or `FILE:LINE:COLUMN: error: TEXT`, where a complaint of the
parser points into the file that Triton was given; ptxas names a line of PTX. Where that line has a location
of the program, the diagnostic has it too.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from aecompiler.diagnostics import MEMORY_BUFFER, Diagnostic, Position

_NOWHERE = Position(None, None, None)
_AT_LOCATION = re.compile(r"^loc\((?P<location>.*?)\): error: (?P<text>.*)$", re.MULTILINE)
_AT_POSITION = re.compile(
    r"^(?P<file>[^\s:][^\n:]*):(?P<line>\d+):(?P<column>\d+): error: (?P<text>.*)$", re.M
)
_NO_POSITION = re.compile(r"^(?:<unknown>:0: )?error: (?P<text>.*)$", re.MULTILINE)
_PTXAS = re.compile(r"^ptxas\S*\s+[^\n]*?\bline (?P<line>\d+); error\s*: (?P<text>.*)$", re.MULTILINE)
_PTXAS_FATAL = re.compile(r"^ptxas\S*\s+(?:fatal|error)\s*: (?P<text>.*)$", re.MULTILINE)

_POSITION = re.compile(r'"(?P<file>(?:[^"\\]|\\.)*)":(?P<line>\d+):(?P<column>\d+)')
_TRAILING = re.compile(r"\bloc\((?P<location>[^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*)\)\s*$")
_ALIAS = re.compile(r"#loc\d*")
_GENERIC_NAME = re.compile(r'"[\w.]+"(?=\()')
_PTX_LOC = re.compile(r"^\s*\.loc\s[^/]*//\s*(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)")

_SHOWN = 160
_MOST_ALIASES = 32


class Source(NamedTuple):
    """The text that was given to Triton, and the file in which it was."""

    text: str
    path: str


class _Complaint(NamedTuple):
    start: int
    text: str
    position: Position
    excerpt: str = ""


def first_complaint(written: str, source: Source) -> Diagnostic | None:
    """The first error that Triton wrote, or None where `written` holds none."""
    found = [
        _Complaint(match.start(), match["text"], *_place(_position_in(match["location"], source), source))
        for match in _AT_LOCATION.finditer(written)
    ]
    for match in _AT_POSITION.finditer(written):
        position = _position(match)
        found.append(_Complaint(match.start(), match["text"], *_place(position, source)))
    found += [_Complaint(match.start(), match["text"], _NOWHERE) for match in _NO_POSITION.finditer(written)]
    if not found:
        return None
    first = min(found, key=lambda complaint: complaint.start)
    text = _shortened(first.text)
    operation = _GENERIC_NAME.search(first.excerpt)
    if first.excerpt and not (operation and operation[0] in first.text):  # else it holds the operation
        text += f": {first.excerpt}"
    return Diagnostic("error", text, *first.position)


def first_ptxas_complaint(written: str, ptx: str, source: Source) -> Diagnostic:
    """The first error that ptxas wrote, at the program's location of the instruction."""
    if match := _PTXAS.search(written):
        lines = ptx.split("\n")
        number = min(int(match["line"]), len(lines))
        excerpt = _shortened(lines[number - 1].strip())
        return Diagnostic("error", f"{match['text']}: {excerpt}", *_ptx_position(lines[:number], source))
    match = _PTXAS_FATAL.search(written)
    return Diagnostic("error", _shortened(match["text"]) if match else first_line(written))


def first_line(written: str) -> str:
    """The first line that says something, or "" where there is none."""
    lines = (line.strip() for line in written.splitlines())
    return _shortened(next((line for line in lines if line), ""))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _place(position: Position, source: Source) -> tuple[Position, str]:
    """The program's position for one that may be in Triton's file, and else the line of that file as text."""
    if position.file != source.path or position.line is None:
        return position, ""
    lines = source.text.split("\n")
    if not 0 < position.line <= len(lines):
        return _NOWHERE, ""
    line = lines[position.line - 1]
    own = _TRAILING.search(line)
    place = _position_in(own["location"], source) if own else _NOWHERE
    if place.line is not None:
        return place, ""
    return _NOWHERE, _shortened(line[: own.start() if own else None].strip())


def _position_in(location: str, source: Source) -> Position:
    """The first position inside of a location's text; aliases are looked up in the text."""
    for _ in range(_MOST_ALIASES):
        if match := _POSITION.search(location):
            return _position(match)
        alias = _ALIAS.search(location)
        if alias is None:
            break
        defined = re.search(rf"^{re.escape(alias[0])} = loc\((.*)\)\s*$", source.text, re.MULTILINE)
        if defined is None:
            break
        location = location[: alias.start()] + defined[1] + location[alias.end() :]
    return _NOWHERE


def _position(match: re.Match[str]) -> Position:
    file = None if match["file"] == MEMORY_BUFFER else match["file"]
    return Position(file, int(match["line"]) or None, int(match["column"]) or None)


def _ptx_position(lines: list[str], source: Source) -> Position:
    """The position of the last line of PTX."""
    for line in reversed(lines):
        if match := _PTX_LOC.match(line):
            position = _position(match)
            if position.file == os.path.basename(source.path):
                return _place(position._replace(file=source.path), source)[0]
            return position
    return _NOWHERE
