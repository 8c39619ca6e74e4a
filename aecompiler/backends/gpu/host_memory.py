"""What memory the tensors of a host function are, a part of `host_plan.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

Instruction = dict[str, Any]


@dataclasses.dataclass
class Memory:
    """What a tensor's memory is: of an argument, allocated, or of an `scf.if`."""

    number: int
    alloc: Instruction | None = None
    """The `alloc` instruction, unless the memory belongs to somebody else."""
    depth: int = 0
    in_place: bool = False
    """Whether it belongs to an argument that the function updates."""
    branches: tuple[Memory, ...] = ()
    """For a result of an `scf.if`: the memory that each branch yields."""


def claim(memory: Memory, result: int, taken: dict[int, int]) -> bool:
    """Let a result be computed in the caller's memory, where nothing is in the way; whether it is."""
    allocs = []
    for leaf in _leaves(memory, memory.depth):
        if leaf is None or leaf.alloc is None or taken.get(leaf.number, result) != result:
            return False
        allocs.append(leaf.alloc)
        taken[leaf.number] = result
    for alloc in allocs:
        alloc["output"] = result
    return True


def _leaves(memory: Memory, depth: int) -> list[Memory | None]:
    """The allocations that a tensor's memory comes from; None among them for memory of another kind.

    Those outside of the branches that yield them are of another kind: the other branch may read them while
    it writes the result.
    """
    if memory.branches:
        return [leaf for branch in memory.branches for leaf in _leaves(branch, memory.depth + 1)]
    return [memory if memory.alloc is not None and memory.depth == depth else None]


def value_numbers(passed: Sequence[Memory | int]) -> list[int]:
    """The numbers of values that are memory, or numbers already."""
    return [each.number if isinstance(each, Memory) else each for each in passed]
