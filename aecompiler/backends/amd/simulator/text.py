"""AMDGCN assembly text, as LLVM prints it, to a list of instructions, labels and directives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aecompiler.backends.amd.simulator.errors import SimulationError

_LABEL = re.compile(r"([.\w$]+):(?:\s+|$)")
_ENCODINGS = re.compile(r"_(e32|e64|dpp|sdwa)$")
_NAKED_MODIFIERS = re.compile(r"(offset|offset0|offset1|quad_perm|row_\w+|wave_\w+|op_sel\w*|neg_\w+):")


@dataclass
class Instruction:
    """One instruction: `opcode` without the suffix of its `encoding` ("e32", "e64", "dpp", "sdwa" or "").

    `modifiers` maps a name to the text behind its colon, or to "" where it has none. `line` counts lines of
    the assembly from 1; `source` is the line of the program that debug information names, or 0. `index` is
    its place in the kernel.
    """

    opcode: str
    encoding: str
    operands: list[str]
    modifiers: dict[str, str]
    line: int
    text: str
    source: int = 0
    index: int = 0

    def integer(self, name: str, default: int = 0) -> int:
        """The value of a modifier as an integer."""
        return int(self.modifiers.get(name, str(default)), 0)

    def bits(self, name: str, count: int, default: int) -> list[bool]:
        """The value of a modifier of the form `[0,1]`, padded with `default` to `count` places."""
        text = self.modifiers.get(name)
        given = [] if text is None else [part.strip() == "1" for part in text.strip("[]").split(",")]
        return (given + [bool(default)] * count)[:count]


@dataclass
class Body:
    """The code of one kernel. `labels` maps a name to the index of the instruction behind it."""

    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)


def split_at_depth(text: str, separator: str) -> list[str]:
    """Parts of `text` between separators that stand outside brackets, without empty ones."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "[(") - (character in ")]")
        if character == separator and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [part for part in [*parts, current.strip()] if part]


def parse_instruction(text: str, line: int = 0, source: int = 0) -> Instruction:
    """One line of assembly, without comment."""
    name, _, rest = text.replace("\t", " ").partition(" ")
    match = _ENCODINGS.search(name)
    encoding = match.group(1) if match else ""
    opcode = name[: match.start()] if match else name
    if opcode == "s_waitcnt":
        return Instruction(opcode, "", [rest.strip()], {}, line, text, source)
    operands = split_at_depth(rest, ",")
    words = split_at_depth(operands.pop(), " ") if operands else []
    if words and not _NAKED_MODIFIERS.match(words[0]):
        operands.append(words.pop(0))
    modifiers = {}
    for word in words:
        key, _, value = word.partition(":")
        modifiers[key] = value
    return Instruction(opcode, encoding, operands, modifiers, line, text, source)


def parse_body(assembly: str, kernel: str) -> Body:
    """The instructions from the label of `kernel` to the end of its code: all but labels and directives."""
    lines = assembly.splitlines()
    start = next((at for at, line in enumerate(lines) if line.split(";")[0].strip() == f"{kernel}:"), None)
    if start is None:
        raise SimulationError(f"the assembly has no kernel named '{kernel}'")
    body, source = Body(), 0
    for number, line in enumerate(lines[start + 1 :], start + 2):
        code = re.sub(r"(;|//).*", "", line).strip()
        if re.match(r"\.Lfunc_end\d+:", code):
            break
        while label := _LABEL.match(code):
            body.labels[label.group(1)] = len(body.instructions)
            code = code[label.end() :]
        if place := re.match(r"\.loc\s+\d+\s+(\d+)", code):
            source = int(place.group(1))
        elif code.startswith((".section", ".end_amdhsa_kernel", ".amdhsa_kernel")):
            break
        elif code and not code.startswith("."):
            instruction = parse_instruction(code, number, source)
            instruction.index = len(body.instructions)
            body.instructions.append(instruction)
    return body
