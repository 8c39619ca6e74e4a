"""Machine code of NVIDIA chips as nvdisasm prints it: instructions, basic blocks and natural loops."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from aecompiler.errors import BackendError

_LABEL = re.compile(r"^(?P<label>[.$\w]+):\s*$")
_INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@(?P<predicate>!?U?P\w+)\s+)?(?P<opcode>[A-Z][\w.]*)(?P<operands>[^;]*)"
)
_TARGET = re.compile(r"`\((?P<label>[^)]+)\)")
_TARGETS = re.compile(r'\(\*"BRANCH_TARGETS (?P<labels>[^"]*)"\*\)')
_SECTION = re.compile(r"^\s*\.section\s+(?P<name>[^\s,]+)")

_JUMPS = ("BRA", "JMP", "BRX", "JMX")
_ENDS = ("EXIT", "RET")


@dataclasses.dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `targets` are the labels that it may jump to."""

    opcode: str
    operands: str
    targets: tuple[str, ...] = ()
    is_conditional: bool = False

    @property
    def base(self) -> str:
        """The opcode without its modifiers."""
        return self.opcode.partition(".")[0]


@dataclasses.dataclass(slots=True)
class Block:
    """Instructions that are run one after another, and the numbers of the blocks that may follow."""

    instructions: list[Instruction]
    successors: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Loop:
    """A natural loop: the number of its first block, and those of all blocks in it."""

    header: int
    blocks: frozenset[int]


def disassemble(cubin: bytes) -> str:
    """The text of a binary, by the disassembler that Triton brings with it."""
    from triton import knobs

    with tempfile.TemporaryDirectory(prefix="aec-triton-") as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        command = [knobs.nvidia.nvdisasm.path, "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendError(f"nvdisasm ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def parse_blocks(text: str, kernel: str) -> list[Block]:
    """The basic blocks of a kernel, the entry first."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    is_inside = False
    for line in text.split("\n"):
        if section := _SECTION.match(line):
            is_inside = section["name"] == f".text.{kernel}"
        elif not is_inside:
            continue
        elif label := _LABEL.match(line):
            labels[label["label"]] = len(instructions)
        elif found := _INSTRUCTION.match(line):
            instructions.append(_instruction(found))
    return _connect(instructions, labels)


def _instruction(found: re.Match[str]) -> Instruction:
    opcode, operands = found["opcode"], found["operands"]
    listed = _TARGETS.search(operands)
    targets = listed["labels"].split(",") if listed else [m["label"] for m in _TARGET.finditer(operands)]
    # A uniform branch, and one that is taken if threads diverge, has its condition among the operands.
    has_condition = opcode.startswith("BRA.") and bool(re.match(r"\s*(!?UP\w+|UR\w+|~\w+)\s*,", operands))
    return Instruction(
        opcode, operands.strip(), tuple(targets), found["predicate"] is not None or has_condition
    )


def _connect(instructions: Sequence[Instruction], labels: dict[str, int]) -> list[Block]:
    starts = {0} | {start for start in labels.values() if start < len(instructions)}
    starts |= {
        number + 1
        for number, instruction in enumerate(instructions[:-1])
        if instruction.base in _JUMPS + _ENDS
    }
    order = sorted(starts) if instructions else []
    number_of = {start: number for number, start in enumerate(order)}
    blocks = []
    for start, end in zip(order, [*order[1:], len(instructions)], strict=True):
        body = list(instructions[start:end])
        last = body[-1]
        following = [number_of[labels[t]] for t in last.targets if labels.get(t) in number_of]
        if last.base not in _JUMPS:
            following = []  # a call returns, and what converges goes on with the next instruction
        falls_through = last.base not in _JUMPS + _ENDS or last.is_conditional
        if falls_through and end in number_of:
            following.append(number_of[end])
        blocks.append(Block(body, tuple(dict.fromkeys(following))))
    return blocks


def natural_loops(blocks: Sequence[Block]) -> list[Loop]:
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


def instructions_of(blocks: Sequence[Block], loop: Loop) -> Iterator[Instruction]:
    """The instructions of all blocks in a loop."""
    for number in sorted(loop.blocks):
        yield from blocks[number].instructions


def _postorder(blocks: Sequence[Block]) -> list[int]:
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


def _predecessors(blocks: Sequence[Block]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for successor in block.successors:
            found[successor].append(number)
    return found


def _dominators(blocks: Sequence[Block], order: Sequence[int]) -> dict[int, int]:
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
