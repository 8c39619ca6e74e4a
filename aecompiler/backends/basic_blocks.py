"""Basic blocks of machine code, and the natural loops that they make; of any instructions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class Block(Generic[T]):
    """Instructions that are run one after another, and the numbers of the blocks that may follow."""

    instructions: list[T]
    successors: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Loop:
    """A natural loop: the number of its first block, and those of all blocks in it."""

    header: int
    blocks: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Flow:
    """Where control goes from an instruction that may end a block.

    `targets` are places in the list of instructions; `falls_through`: whether the next one may follow.
    """

    targets: tuple[int, ...]
    falls_through: bool


def connect(instructions: Sequence[T], flows: Mapping[int, Flow], starts: set[int]) -> list[Block[T]]:
    """Blocks of a list of instructions, the entry first.

    `flows`, by an instruction's place, is of those that end a block; others are followed by the next one.
    `starts` are places where blocks begin beside the entry, those behind the ends, and all targets.
    """
    if not instructions:
        return []
    count = len(instructions)
    starts = {0, *starts, *(place + 1 for place in flows)}
    starts.update(target for flow in flows.values() for target in flow.targets)
    order = sorted(start for start in starts if start < count)
    number_of = {start: number for number, start in enumerate(order)}
    blocks = []
    for start, end in zip(order, [*order[1:], count], strict=True):
        flow = flows.get(end - 1, Flow((), True))
        following = [number_of[target] for target in flow.targets if target in number_of]
        if flow.falls_through and end in number_of:
            following.append(number_of[end])
        blocks.append(Block(list(instructions[start:end]), tuple(dict.fromkeys(following))))
    return blocks


def natural_loops(blocks: Sequence[Block[T]]) -> list[Loop]:
    """The loops, those with one header together as one; a jump back that only rejoins a path makes none."""
    if not blocks:
        return []
    order = _postorder(blocks)
    dominator = _dominators(blocks, order)
    predecessors = _predecessors(blocks)
    bodies: dict[int, set[int]] = {}
    for number in order:
        for header in blocks[number].successors:
            if _dominates(header, number, dominator):
                bodies.setdefault(header, {header}).update(_body(header, number, predecessors, dominator))
    return [Loop(header, frozenset(body)) for header, body in sorted(bodies.items())]


def innermost_loops(blocks: Sequence[Block[T]], works: Callable[[T], bool]) -> list[Loop]:
    """The innermost loops, the largest first.

    Loops with an instruction that `works` count alone, where there are some: one around others that only wait
    is innermost then.
    """
    loops = natural_loops(blocks)
    working = [loop for loop in loops if any(map(works, instructions_of(blocks, loop)))] or loops
    innermost = [loop for loop in working if not any(other.blocks < loop.blocks for other in working)]
    return sorted(innermost, key=lambda loop: -sum(1 for _ in instructions_of(blocks, loop)))


def instructions_of(blocks: Sequence[Block[T]], loop: Loop) -> Iterator[T]:
    """The instructions of all blocks in a loop."""
    for number in sorted(loop.blocks):
        yield from blocks[number].instructions


def _postorder(blocks: Sequence[Block[T]]) -> list[int]:
    order: list[int] = []
    seen = {0}
    stack = [(0, iter(blocks[0].successors))]
    while stack:
        number, rest = stack[-1]
        following = next((successor for successor in rest if successor not in seen), None)
        if following is None:
            order.append(number)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(blocks[following].successors)))
    return order


def _predecessors(blocks: Sequence[Block[T]]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for successor in block.successors:
            found[successor].append(number)
    return found


def _dominators(blocks: Sequence[Block[T]], order: Sequence[int]) -> dict[int, int]:
    """The immediate dominator of each block that is reached; the entry is its own."""
    position = {number: place for place, number in enumerate(order)}
    predecessors = _predecessors(blocks)
    dominator = {0: 0}
    is_changing = True
    while is_changing:
        is_changing = False
        for number in reversed(order[:-1]):
            known = [p for p in predecessors[number] if p in dominator]
            nearest = known[0]
            for other in known[1:]:
                while nearest != other:
                    if position[nearest] < position[other]:
                        nearest = dominator[nearest]
                    else:
                        other = dominator[other]
            if dominator.get(number) != nearest:
                dominator[number] = nearest
                is_changing = True
    return dominator


def _dominates(header: int, number: int, dominator: dict[int, int]) -> bool:
    while number not in (header, 0):
        number = dominator[number]
    return number == header


def _body(header: int, tail: int, predecessors: Sequence[Sequence[int]], reached: dict[int, int]) -> set[int]:
    body, waiting = {header}, [tail]
    while waiting:
        number = waiting.pop()
        if number not in body and number in reached:
            body.add(number)
            waiting += predecessors[number]
    return body
