"""Arguments that a call updates in the caller's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.arrays import Argument

Overlap = Callable[[Any, str, Any, str], bool]
"""Whether two arrays, each with its element type, have an address in common."""


def updated(arguments: Sequence[Argument]) -> list[int]:
    """The numbers of the arguments that a call updates."""
    return [n for n, argument in enumerate(arguments) if argument.in_place is not None]


def check_updated(arguments: Sequence[Argument], inputs: Sequence[Any], overlap: Overlap) -> None:
    """Refuse an argument that the call updates and that shares memory with another one."""
    for n in updated(arguments):
        argument = arguments[n]
        for m, other in enumerate(arguments):
            if m == n or other.kind != "tensor":
                continue
            if overlap(inputs[n], argument.dtype, inputs[m], other.dtype):
                raise ValueError(
                    f"argument '{argument.name}': expects an array to update that overlaps no other "
                    f"argument, got one that overlaps argument '{other.name}'"
                )
