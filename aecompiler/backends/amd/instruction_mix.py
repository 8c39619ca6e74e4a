"""Instructions of AMD's machine code by kind, and the clocks that a SIMD spends on them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from aecompiler.backends.amd.simulator.text import Instruction, parse_body
from aecompiler.backends.amd.target import AmdTarget
from aecompiler.backends.basic_blocks import Block, Flow, connect, innermost_loops, instructions_of

MATRIX, SPECIAL, DIRECT, OTHER = "matrix", "special functions", "direct loads to LDS", "other"
KINDS = {
    MATRIX: r"v_s?mfmac?_\w+",
    SPECIAL: r"v_(exp|log|rcp|rsq|sqrt|sin|cos)_\w+",
    "conversions": r"v_(cvt|pack)_\w+",
    "lane exchanges": r"v_(read|write|perm)(first)?lane\w*|ds_b?permute_\w+|ds_swizzle_\w+",
    "accumulator moves": r"v_accvgpr_\w+",
    "other vector": r"v_\w+",
    "LDS loads": r"ds_(read|load)\w*",
    "LDS stores": r"ds_(write|store)\w*",
    DIRECT: r"(global|buffer)_load_(lds_\w+|\w+_lds)",
    "memory loads": r"(global|buffer|flat)_load_\w+",
    "memory stores": r"(global|buffer|flat)_store_\w+",
    "atomics": r"(global|buffer|flat|ds)_(atomic|add|sub|min|max|cmpst)\w*",
    "scratch": r"scratch_\w+",
    "waits": r"s_waitcnt\w*",
    "barriers": r"s_barrier\w*",
    "scalar loads": r"s_(buffer_)?load_\w+",
    "no operation": r"s_nop",
    "other scalar": r"s_\w+",
    OTHER: r"\w+",
}
"""What is counted, each kind by the opcodes of its instructions; the first that fits. An instruction that
takes an operand from another lane (DPP) counts by its opcode."""

_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_VECTOR = ("conversions", "lane exchanges", "accumulator moves", "other vector")
_LANES_PER_CLOCK = 16
"""Of a SIMD, for vector instructions that are neither of the matrix cores nor special functions."""

_CONDITIONAL, _JUMP, _END = "s_cbranch", "s_branch", "s_endpgm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """Instructions of a piece of code, each once, however often it runs.

    `kinds`: how many there are of each in `KINDS`; `matrix`: how many of each matrix instruction by name.
    `matrix_cycles`: clocks that the matrix core of a SIMD is busy with them; `vector_cycles`: that the vector
    unit is, with four clocks for 64 lanes and more for special functions. Both are estimates: the two units
    work side by side for different waves, and neither waits here. `unrated`: matrix instructions of which the
    target does not say how long they take.
    """

    kinds: dict[str, int]
    matrix: dict[str, int]
    matrix_cycles: int
    vector_cycles: int
    unrated: int = 0

    @property
    def instructions(self) -> int:
        """How many there are."""
        return sum(self.kinds.values())

    @property
    def matrix_share(self) -> float:
        """The part of the instructions that the matrix cores run; 0 where there is none."""
        return self.kinds[MATRIX] / self.instructions if self.instructions else 0.0


def mix_of(instructions: Iterable[Instruction], target: AmdTarget) -> Mix:
    """Count instructions."""
    cycles = {each.name: each.cycles for each in target.matrix_instructions}
    special = target.wave_size * target.simds // target.special_functions
    kinds = dict.fromkeys(KINDS, 0)
    matrix: dict[str, int] = {}
    vector_cycles = 0
    for instruction in instructions:
        kind = kind_of(instruction)
        kinds[kind] += 1
        if kind == MATRIX:
            matrix[instruction.opcode] = matrix.get(instruction.opcode, 0) + 1
        elif kind == SPECIAL:
            vector_cycles += special
        elif kind in _VECTOR and instruction.opcode.startswith("v_"):
            vector_cycles += target.wave_size // _LANES_PER_CLOCK
    return Mix(
        kinds=kinds,
        matrix=matrix,
        matrix_cycles=sum(count * cycles.get(name, 0) for name, count in matrix.items()),
        vector_cycles=vector_cycles,
        unrated=sum(count for name, count in matrix.items() if name not in cycles),
    )


def kind_of(instruction: Instruction) -> str:
    """The kind of `KINDS` that an instruction is of."""
    if "lds" in instruction.modifiers and "_load_" in instruction.opcode:
        return DIRECT
    return next(kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(instruction.opcode))


def blocks_of(assembly: str, kernel: str) -> list[Block[Instruction]]:
    """The basic blocks of a kernel, the entry first."""
    body = parse_body(assembly, kernel)
    flows = {}
    for place, instruction in enumerate(body.instructions):
        opcode = instruction.opcode
        if opcode.startswith((_CONDITIONAL, _JUMP, _END)):
            targets = tuple(body.labels[name] for name in instruction.operands if name in body.labels)
            flows[place] = Flow(targets, opcode.startswith(_CONDITIONAL))
    return connect(body.instructions, flows, set(body.labels.values()))


def loops_of(blocks: list[Block[Instruction]]) -> list[list[Instruction]]:
    """The instructions of each innermost loop, the largest first.

    Loops with matrix instructions count alone, where there are some.
    """
    loops = innermost_loops(blocks, lambda instruction: kind_of(instruction) == MATRIX)
    return [list(instructions_of(blocks, loop)) for loop in loops]
