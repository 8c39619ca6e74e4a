"""Mutants of a program, to see that the simulator finds what is wrong with them.

A mutant differs in one place: a barrier is missing, a wait covers one operation less, a matrix instruction
takes its operands the other way around. `judge` runs it. Where the run breaks no rule and gives the same
bytes, the mutant has survived, and the verdict says from what the run has recorded whether and why it is
equivalent in that run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from aecompiler.backends.amd.simulator.errors import SimulationError
from aecompiler.backends.amd.simulator.operands import register, vector_row
from aecompiler.backends.amd.simulator.program import Program, build, build_wait
from aecompiler.backends.amd.simulator.state import Wave
from aecompiler.backends.amd.simulator.text import Instruction
from aecompiler.backends.amd.simulator.waits import LARGEST, Operation, parse_wait


@dataclasses.dataclass
class Mutant:
    """`program` with one change at `instruction`, which `change` describes.

    `left` are the operations that a raised wait leaves under way although the original one waits for them;
    `executions` counts executions of the changed instruction, `effects` those that gave another value.
    """

    program: Program
    instruction: Instruction
    change: str
    left: list[Operation] = dataclasses.field(default_factory=list)
    executions: int = 0
    effects: int = 0

    def __str__(self) -> str:
        return f"line {self.instruction.line} ({self.instruction.text}): {self.change}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a mutant, and why.

    `outcome`: "error" (a rule was broken), "wrong" (other bytes), "equivalent", "unreached" (the changed
    instruction was never executed), or "survived", where the change had an effect that no result shows.
    """

    outcome: str
    reason: str


def _replace(program: Program, index: int, step: Callable[[Wave], object]) -> Program:
    steps = list(program.steps)
    steps[index] = step
    return dataclasses.replace(program, steps=steps)


def _found(program: Program, opcode: str) -> Iterator[Instruction]:
    return (one for one in program.body.instructions if one.opcode == opcode)


def without_barriers(program: Program) -> Iterator[Mutant]:
    """For each barrier the program without it."""
    for instruction in _found(program, "s_barrier"):
        mutant = Mutant(program, instruction, "removed")
        mutant.program = _replace(program, instruction.index, _no_barrier(mutant))
        yield mutant


def _no_barrier(mutant: Mutant) -> Callable[[Wave], object]:
    def step(wave: Wave) -> None:
        mutant.executions += 1

    return step


def with_raised_waits(program: Program) -> Iterator[Mutant]:
    """For each wait and each of its counters the program that waits for one operation less."""
    for instruction in _found(program, "s_waitcnt"):
        counts = parse_wait(instruction)
        for counter, count in counts.items():
            if counter == "expcnt":
                continue
            raised = {**counts, counter: count + 1}
            if raised[counter] >= LARGEST[counter]:
                del raised[counter]
            mutant = Mutant(program, instruction, f"{counter}({count}) to {counter}({count + 1})")
            mutant.program = _replace(program, instruction.index, _raised_wait(mutant, counts, raised))
            yield mutant


def _raised_wait(mutant: Mutant, counts: dict[str, int], raised: dict[str, int]) -> Callable[[Wave], object]:
    """A wait with other counts that keeps in `left` what it doesn't wait for."""
    run = build_wait(mutant.instruction, raised)

    def step(wave: Wave) -> None:
        complete = wave.counters.complete(counts.get("vmcnt"), counts.get("lgkmcnt"))
        fewer = wave.counters.complete(raised.get("vmcnt"), raised.get("lgkmcnt"))
        kept = {id(operation) for operation in fewer}
        mutant.left.extend(operation for operation in complete if id(operation) not in kept)
        mutant.executions += 1
        run(wave)

    return step


def with_swapped_operands(program: Program) -> Iterator[Mutant]:
    """For each matrix instruction the program where it takes its first two operands the other way around."""
    for instruction in program.body.instructions:
        if not instruction.opcode.startswith("v_mfma"):
            continue
        destination, a, b, c = instruction.operands
        if a == b:
            continue
        swapped = dataclasses.replace(instruction, operands=[destination, b, a, c])
        mutant = Mutant(program, instruction, "A and B swapped")
        step = build(swapped, program.body, program.target, program.cell)
        assert step is not None
        mutant.program = _replace(program, instruction.index, _compared(mutant, program, step))
        yield mutant


def _compared(mutant: Mutant, program: Program, step: Callable[[Wave], object]) -> Callable[[Wave], object]:
    """`step`, with a count of the executions where it does something else than the original."""
    original, found = program.steps[mutant.instruction.index], register(mutant.instruction.operands[0])
    assert found is not None
    first = vector_row(mutant.instruction.operands[0])
    rows = slice(first, first + found[2])

    def run(wave: Wave) -> None:
        before = wave.vector[rows].copy()
        original(wave)
        expected = wave.vector[rows].copy()
        wave.vector[rows] = before
        step(wave)
        mutant.executions += 1
        mutant.effects += not np.array_equal(expected, wave.vector[rows])

    return run


def judge(mutant: Mutant, run: Callable[[Program], bool]) -> Verdict:
    """What becomes of a mutant. `run` simulates a program and says whether its results are right."""
    mutant.left.clear()
    mutant.executions = mutant.effects = 0
    try:
        right = run(mutant.program)
    except SimulationError as error:
        return Verdict("error", str(error))
    if not right:
        return Verdict("wrong", "the results differ")
    if not mutant.executions:
        return Verdict("unreached", "it was never executed")
    return Verdict("survived" if mutant.effects else "equivalent", _why_equivalent(mutant))


def _why_equivalent(mutant: Mutant) -> str:
    if mutant.instruction.opcode == "s_barrier":
        return "without it, all accesses to LDS bytes that waves share are ordered by other barriers"
    if mutant.instruction.opcode != "s_waitcnt":
        return f"it gives another value in {mutant.effects} of {mutant.executions} executions"
    if not mutant.left:
        return "no operation is under way beyond the raised count in any execution"
    by = sorted({one.completed_by.line for one in mutant.left if one.completed_by is not None})
    ends = sum(one.completed_by is None for one in mutant.left)
    parts = []
    if by:
        later = len(mutant.left) - ends
        parts.append(f"{later} operations are waited for later, but before their first use, at lines {by}")
    if ends:
        parts.append(f"{ends} operations have no use before the end of the wave")
    return "; ".join(parts)
