"""Execution of a program: one workgroup after another, its waves in turns from barrier to barrier."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator.banks import BankModel
from aecompiler.backends.amd.simulator.counts import Counts, Record, count_program
from aecompiler.backends.amd.simulator.errors import Runaway, SimulationError
from aecompiler.backends.amd.simulator.global_memory import GlobalMemory
from aecompiler.backends.amd.simulator.local_memory import LocalMemory
from aecompiler.backends.amd.simulator.metadata import entry_registers, pack_arguments
from aecompiler.backends.amd.simulator.processes import split
from aecompiler.backends.amd.simulator.program import AT_END, Program
from aecompiler.backends.amd.simulator.state import ALL_LANES, LANES, Wave

INSTRUCTION_LIMIT = 20_000_000


def simulate(
    program: Program,
    arguments: Sequence[Any],
    grid: int | Sequence[int],
    threads: int,
    lds_bytes: int = 0,
    limit: int = INSTRUCTION_LIMIT,
    jobs: int = 1,
) -> Counts:
    """Run `program` over a grid of workgroups and count what it executes.

    `arguments`: for pointers numpy arrays, which are read and written in place and bound what may be
    accessed, or None for null; for the others integers, floats (as the kernel's type) or numpy scalars of the
    right size. `grid`: workgroups, one to three numbers. `threads`: of each workgroup. `lds_bytes`: local
    memory of a launch, in addition to what the kernel declares. `limit`: of instructions that one wave may
    execute. `jobs`: processes that share the workgroups.

    Raises `SimulationError` where the kernel breaks a rule of the machine.
    """
    extents = (grid,) if isinstance(grid, int) else tuple(grid)
    extents = extents + (1,) * (3 - len(extents))
    size = program.metadata.lds_bytes + lds_bytes
    if size > program.target.lds_bytes:
        raise SimulationError(
            f"a workgroup asks for {size} bytes of LDS, {program.target.chip} has {program.target.lds_bytes}"
        )
    if not 0 < threads <= program.target.threads_per_workgroup:
        raise SimulationError(
            f"a workgroup has 1 to {program.target.threads_per_workgroup} threads, got {threads}"
        )
    memory = GlobalMemory()
    values = [_value(memory, position, value) for position, value in enumerate(arguments)]
    segment = pack_arguments(program.metadata, values, extents, threads, lds_bytes)
    kernarg = memory.add(segment, "the kernel's arguments", writable=False)
    workgroups = [
        (x, y, z) for z, y, x in itertools.product(*(range(extent) for extent in reversed(extents)))
    ]

    def run(part: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
        return _run_groups(program, part, memory, kernarg, size, threads, limit)

    jobs = min(jobs, len(workgroups))
    results = split(workgroups, jobs, run, memory.writable()) if jobs > 1 else [run(workgroups)]
    executed, conflicts = (np.sum([result[n] for result in results], axis=0).tolist() for n in (0, 1))
    waves = len(workgroups) * -(-threads // LANES)
    return count_program(Record(program.body, executed, conflicts), waves)


def _run_groups(
    program: Program,
    workgroups: Sequence[tuple[int, int, int]],
    memory: GlobalMemory,
    kernarg: int,
    lds_bytes: int,
    threads: int,
    limit: int,
) -> tuple[list[int], list[int]]:
    """Run workgroups one after the other; executions and conflict cycles of each instruction."""
    count, length = -(-threads // LANES), len(program.steps)
    local = LocalMemory(lds_bytes, count, program.cell)
    executed, conflicts = [0] * length, [0] * length
    banks = BankModel(program.target.lds_banks)
    waves = [Wave(identity, local, memory, banks, conflicts) for identity in range(count)]
    with np.errstate(all="ignore"):
        for workgroup in workgroups:
            registers = entry_registers(program.metadata, kernarg, workgroup)
            local.reset()
            for wave in waves:
                wave.reset(registers)
                active = min(LANES, threads - wave.identity * LANES)
                if active < LANES:
                    wave.set_exec(ALL_LANES >> LANES - active)
            _run_group(program, waves, executed, limit, workgroup)
    return executed, conflicts


def _value(memory: GlobalMemory, position: int, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return memory.add(value, f"argument {position}")
    return 0 if value is None else value


def _run_group(
    program: Program, waves: list[Wave], executed: list[int], limit: int, workgroup: tuple[int, ...]
) -> None:
    """Run the waves of one workgroup to their ends. A wave that has ended holds up no barrier."""
    running = list(waves)
    while running:
        going = []
        for wave in running:
            try:
                state = _run_wave(program, wave, executed, limit)
            except SimulationError as error:
                error.wave, error.workgroup = wave.identity, workgroup
                raise
            if state != AT_END:
                wave.epoch += 1
                going.append(wave)
        running = going


def _run_wave(program: Program, wave: Wave, executed: list[int], limit: int) -> int:
    """Execute until the next barrier or the end, and say which it was."""
    steps, used, counters = program.steps, program.used, wave.counters
    length, pc = len(steps), wave.pc
    for done in range(wave.executed, limit):
        if pc >= length:
            raise Runaway("the wave runs off the end of the kernel", program.body.instructions[-1])
        if counters.pending & used[pc]:
            counters.check(program.body.instructions[pc], used[pc])
        executed[pc] += 1
        wave.pc = pc + 1
        state = steps[pc](wave)
        if state is not None:
            wave.executed = done + 1
            return state
        pc = wave.pc
    at = min(pc, length - 1)
    raise Runaway(
        f"the wave has executed {limit} instructions and hasn't ended", program.body.instructions[at]
    )
