"""Kernels with layouts as the installed Triton spells them.

Our kernels are written as Triton 3.6 has them; later ones write some of it in another way. What is changed is
text, in the generic form and line by line, so that complaints still point to where they belong:

- from 3.7 on, what partitions of warps capture are operands of `ttg.warp_specialize.partitions`, not of
  `ttg.warp_specialize`, and copies by a descriptor say which operands are which, and nothing of caches;
- from 3.8 on, `!tt.tensordesc<tensor<...>>` is `!tt.tensordesc<...>`;
- no version needs the scope that the bindings print of `gpu.barrier`, which those before 3.8 do not know.

This module needs neither MLIR nor Triton.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

Version = tuple[int, int]

_SPECIALIZE, _PARTITIONS = '"ttg.warp_specialize"', '"ttg.warp_specialize.partitions"'
_COPY = '"ttng.async_tma_copy_global_to_local"'
_DESCRIPTOR = "!tt.tensordesc<"
_WRAPPED = f"{_DESCRIPTOR}tensor<"
_PAIRS = {"(": ")", "{": "}", "<": ">", "[": "]"}
_BARRIER = re.compile(r'"gpu\.barrier"\(\) <\{scope = #gpu\.barrier_scope<workgroup>\}> :')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def respell(text: str, version: Version) -> str:
    """A kernel in the words of a version of Triton; what is no kernel stays, for Triton to refuse."""
    changes = [change for since, change in _CHANGES if version >= since]
    try:
        return functools.reduce(lambda made, change: change(made), changes, text)
    except _MalformedError:
        return text


class _MalformedError(Exception):
    """What is read is no operation in generic form."""


def _closing(text: str, start: int) -> int:
    """The position of the bracket that closes the one at `start`."""
    opening = text[start]
    closing, depth, at = _PAIRS[opening], 0, start
    while at < len(text):
        if text[at] == '"' and (string := _STRING.match(text, at)):
            at = string.end()
            continue
        if text[at] == opening:
            depth += 1
        elif text[at] == closing and not (closing == ">" and text[at - 1] == "-"):
            depth -= 1
            if not depth:
                return at
        at += 1
    raise _MalformedError


def _operations(text: str, name: str) -> Iterator[int]:
    """Where operations of a name begin, from the last to the first: what is changed is behind the others."""
    at = text.rfind(f"{name}(")
    while at >= 0:
        yield at
        at = text.rfind(f"{name}(", 0, at)


class _Operation:
    """The parts of an operation in generic form, as ranges of the text."""

    def __init__(self, text: str, start: int):
        self.text = text
        operands = self._find("(", start)
        self.operands = (operands + 1, _closing(text, operands))
        at = self._skip(self.operands[1] + 1)
        if text.startswith("(", at):
            at = self._skip(_closing(text, at) + 1)
        self.attributes: tuple[int, int] | None = None
        if text.startswith("{", at):
            self.attributes = (at + 1, _closing(text, at))
            at = self._skip(self.attributes[1] + 1)
        types = self._find("(", at)
        self.types = (types + 1, _closing(text, types))

    def _skip(self, at: int) -> int:
        """Past white space."""
        while self.text[at : at + 1].isspace():
            at += 1
        return at

    def _find(self, what: str, at: int) -> int:
        return _found(self.text.find(what, at))


def _found(at: int) -> int:
    if at < 0:
        raise _MalformedError
    return at


def _replaced(text: str, place: tuple[int, int], new: str) -> str:
    start, end = place
    return text[:start] + new + text[end:]


def _part(text: str, place: tuple[int, int]) -> str:
    start, end = place
    return text[start:end]


def _with_captures_inside(text: str) -> str:
    for start in _operations(text, _SPECIALIZE):
        outer = _Operation(text, start)
        operands, types = _part(text, outer.operands), _part(text, outer.types)
        text = _replaced(text, outer.types, "")
        inner = _Operation(text, _found(text.find(f"{_PARTITIONS}(", start)))
        text = _replaced(text, inner.types, types)
        text = _replaced(text, inner.operands, operands)
        text = _replaced(text, outer.operands, "")
    return text


def _without_tensors(text: str) -> str:
    at = text.find(_WRAPPED)
    while at >= 0:
        inner = at + len(_WRAPPED) - 1
        end = _closing(text, inner)
        text = text[: at + len(_DESCRIPTOR)] + text[inner + 1 : end] + text[end + 1 :]
        at = text.find(_WRAPPED, at)
    return text


def _with_segments(text: str) -> str:
    for start in _operations(text, _COPY):
        copy = _Operation(text, start)
        places = _part(text, copy.operands).count(",") + 1 - 4
        segments = f"operandSegmentSizes = array<i32: 1, {places}, 0, 1, 1, 1>"
        if copy.attributes is not None:
            text = _replaced(text, copy.attributes, f"isVolatile = false, {segments}")
    return text


def _without_scopes(text: str) -> str:
    return _BARRIER.sub('"gpu.barrier"() :', text)


_CHANGES: tuple[tuple[Version, Callable[[str], str]], ...] = (
    ((0, 0), _without_scopes),
    ((3, 7), _with_captures_inside),
    ((3, 7), _with_segments),
    ((3, 8), _without_tensors),
)
"""From which version on what is written in another way."""
