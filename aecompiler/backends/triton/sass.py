"""Machine code of NVIDIA chips as nvdisasm prints it: instructions and basic blocks."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aecompiler.backends.basic_blocks import Block, Flow, connect
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


def parse_blocks(text: str, kernel: str) -> list[Block[Instruction]]:
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


def _connect(instructions: Sequence[Instruction], labels: dict[str, int]) -> list[Block[Instruction]]:
    flows = {}
    for place, instruction in enumerate(instructions):
        if instruction.base in _JUMPS + _ENDS:
            targets = instruction.targets if instruction.base in _JUMPS else ()
            places = tuple(labels[target] for target in targets if target in labels)
            flows[place] = Flow(places, instruction.is_conditional)
    return connect(instructions, flows, set(labels.values()))
