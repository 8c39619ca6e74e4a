"""The text form of a pass pipeline: `builtin.module(attn-canonicalize,func.func(cse,sccp))`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aecompiler.errors import PipelineError
from aecompiler.passes.options import quote_end

_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Element:
    """A pass or named pipeline with the raw text of its options, or an op name with what is nested in it.

    `source` and the offsets say where it stands, for error messages; they take no part in comparisons.
    """

    name: str
    options: str = ""
    nested: tuple[Element, ...] | None = None
    source: str = field(default="", compare=False, repr=False)
    offset: int = field(default=0, compare=False, repr=False)
    options_offset: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        if self.nested is not None:
            return f"{self.name}({','.join(map(str, self.nested))})"
        return f"{self.name}{{{normalize(self.options)}}}" if self.options.strip() else self.name

    def error(self, message: str, offset: int | None = None) -> PipelineError:
        """An error that shows this element in its text."""
        return error_at(self.source, self.offset if offset is None else offset, message)


def error_at(source: str, offset: int, message: str) -> PipelineError:
    """`message`, then the line of `source` around `offset`, then a caret below it."""
    if not source.strip():
        return PipelineError(message)
    start = source.rfind("\n", 0, offset) + 1
    end = source.find("\n", offset)
    line = source[start : len(source) if end < 0 else end]
    # A pipeline can be thousands of characters long: show what stands around the error.
    column = offset - start
    left = max(0, column - 70)
    shown = line[left : left + 110].replace("\t", " ")
    head, tail = "..." if left else "", "..." if left + 110 < len(line) else ""
    return PipelineError(f"{message}\n  {head}{shown}{tail}\n  {' ' * (len(head) + column - left)}^")


def normalize(options: str) -> str:
    """`options` with runs of white space outside of quotes made one blank."""
    pieces, position, start = [], 0, 0
    while position < len(options):
        if options[position] in "\"'":
            position = quote_end(options, position)
        elif options[position].isspace():
            pieces.append(options[start:position])
            while position < len(options) and options[position].isspace():
                position += 1
            start = position
        else:
            position += 1
    pieces.append(options[start:])
    return " ".join(piece for piece in pieces if piece)


def parse_pipeline(text: str) -> tuple[Element, ...]:
    """The elements of `text`, names not yet looked up; `PipelineError` shows a syntax error with a caret."""
    parser = _Parser(text)
    elements = parser.elements(depth=0) if text.strip() else ()
    parser.skip_space()
    if parser.position != len(text):
        what = "unbalanced ')'" if parser.peek() == ")" else "expected ',' or the end of the pipeline"
        raise parser.error(what)
    return elements


class _Parser:
    def __init__(self, text: str):
        self.text, self.position = text, 0

    def error(self, message: str, position: int | None = None) -> PipelineError:
        return error_at(self.text, self.position if position is None else position, message)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def skip_space(self) -> None:
        while self.peek().isspace():
            self.position += 1

    def elements(self, depth: int) -> tuple[Element, ...]:
        if depth > _MAX_DEPTH:
            raise self.error(f"the pipeline nests more than {_MAX_DEPTH} ops")
        found = [self.element(depth)]
        while self.peek() == ",":
            self.position += 1
            found.append(self.element(depth))
        return tuple(found)

    def element(self, depth: int) -> Element:
        self.skip_space()
        match = _NAME.match(self.text, self.position)
        if not match:
            raise self.error("expected the name of a pass, a pipeline or an op")
        start, self.position = self.position, match.end()
        name = match[0]
        self.skip_space()
        options, options_offset, nested = "", 0, None
        if self.peek() == "{":
            options_offset = self.position + 1
            options = self.braced()
        elif self.peek() == "(":
            nested = self.parenthesized(name, start, depth)
        self.skip_space()
        return Element(name, options, nested, self.text, start, options_offset)

    def braced(self) -> str:
        start, depth = self.position, 0
        while self.position < len(self.text):
            character = self.peek()
            if character in "\"'":
                self.position = quote_end(self.text, self.position)
                continue
            depth += {"{": 1, "}": -1}.get(character, 0)
            self.position += 1
            if depth == 0:
                return self.text[start + 1 : self.position - 1]
        raise self.error("'{' is not closed", start)

    def parenthesized(self, name: str, name_offset: int, depth: int) -> tuple[Element, ...]:
        if name != "any" and "." not in name:
            raise self.error(f"'{name}' is no op name: a pass takes its options in braces", name_offset)
        start = self.position
        self.position += 1
        self.skip_space()
        nested = () if self.peek() == ")" else self.elements(depth + 1)
        if self.peek() != ")":
            raise self.error("expected ',' or ')'") if self.peek() else self.error("'(' is not closed", start)
        self.position += 1
        return nested
