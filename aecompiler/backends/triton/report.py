"""What the code of a kernel is like: its needs of a multiprocessor, and the instructions of its main loop.

The numbers of registers and spills are the assembler's; instructions are counted in the disassembled binary,
each once, however often it runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from aecompiler.backends.basic_blocks import Block, Loop, innermost_loops, instructions_of
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton import sass
from aecompiler.backends.triton.compiler import CompiledKernel
from aecompiler.backends.triton.occupancy import Occupancy, occupancy
from aecompiler.backends.triton.sass import Instruction

KINDS = {
    "mma": r"[HIDQO]MMA",
    "wgmma": r"[HIQBD]GMMA",
    "tcgen05.mma": r"UTC[HIQO]MMA",
    "special functions": r"MUFU",
    "f32 arithmetic": r"F(FMA|MUL|ADD|MNMX|SEL|SETP)\d?",
    "conversions": r"F2FP|F2F|I2F|F2I|I2FP",
    "shuffles": r"SHFL",
    "shared loads": r"LDS|LDSM",
    "shared stores": r"STS|STSM",
    "global loads": r"LDG",
    "global stores": r"STG",
    "asynchronous copies": r"LDGSTS",
    "tensor map copies": r"UTMALDG|UTMASTG|UTMAREDG|UBLKCP",
    "tensor memory moves": r"LDTM|STTM",
    "block barriers": r"BAR",
    "memory barriers": r"SYNCS",
    "spill stores": r"STL",
    "spill loads": r"LDL",
}
"""What is counted, each kind by the base names of its instructions."""

_MATRIX_KINDS = ("mma", "wgmma", "tcgen05.mma")
_KIND_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_REGISTER_COUNT = re.compile(r"0x(?P<count>[0-9a-f]+)")
_SHOWN_LOOPS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """How many instructions there are, of all kinds and of each in `KINDS`."""

    instructions: int
    kinds: dict[str, int]

    @property
    def matrix_instructions(self) -> int:
        """Those that the tensor cores run."""
        return sum(self.kinds[kind] for kind in _MATRIX_KINDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelReport:
    """What `report_of` finds; `text` and `as_json` print it.

    `total`: the instructions of the kernel; `loops`: those of each innermost loop, the largest first. A loop
    that only waits for a barrier does not count as one, where others hold matrix instructions.
    `reallocations`: the numbers of registers that groups of warps change to.
    """

    kernel: CompiledKernel
    target: NvidiaTarget
    occupancy: Occupancy
    total: Counts
    loops: tuple[Counts, ...]
    reallocations: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """All numbers as plain data."""
        kernel = self.kernel
        return {
            "kernel": kernel.name,
            "target": self.target.name,
            "num_warps": kernel.num_warps,
            "registers": kernel.registers,
            "register_reallocations": list(self.reallocations),
            "stack_bytes": kernel.stack,
            "spill_store_bytes": kernel.spill_stores,
            "spill_load_bytes": kernel.spill_loads,
            "dynamic_shared_bytes": kernel.shared,
            "static_shared_bytes": kernel.static_shared,
            "tensor_memory_columns": kernel.tensor_memory,
            "barriers": kernel.barriers,
            "occupancy": dataclasses.asdict(self.occupancy),
            "total": dataclasses.asdict(self.total),
            "loops": [dataclasses.asdict(loop) for loop in self.loops],
            "warnings": list(kernel.warnings),
        }

    def text(self) -> str:
        """A table for reading; kinds of instructions that don't occur are left out."""
        kernel, found = self.kernel, self.occupancy
        registers = f"{kernel.registers} of a thread"
        if self.reallocations:
            registers += f", changed to {', '.join(map(str, self.reallocations))}"
        shared = f"{kernel.shared} bytes"
        if kernel.static_shared:
            shared += f" and {kernel.static_shared} static"
        rows = [
            ("warps", str(kernel.num_warps)),
            ("registers", registers),
            ("spills", f"{kernel.spill_stores} bytes stored, {kernel.spill_loads} bytes loaded"),
            ("shared memory", shared),
        ]
        if kernel.tensor_memory:
            rows.append(("tensor memory", f"{kernel.tensor_memory} columns"))
        limits = ", ".join(f"{name} {limit}" for name, limit in found.limits.items())
        rows.append(("blocks of an SM", f"{found.blocks}, {found.fraction:.0%} of its warps"))
        rows.append(("limited by", f"{' and '.join(found.limited_by)} ({limits})"))
        rows += [("warning", warning) for warning in kernel.warnings]
        lines = [f"kernel {kernel.name} for {self.target.name}"]
        lines += [f"  {name:<20}  {value}" for name, value in rows]
        return "\n".join([*lines, *self._table()]) + "\n"

    def _table(self) -> list[str]:
        columns = [self.total, *self.loops[:_SHOWN_LOOPS]]
        heads = ["kernel", *(["main loop"] if self.loops else []), *["loop"] * (len(columns) - 2)]
        rows = [("instructions", [column.instructions for column in columns])]
        rows += [
            (kind, [column.kinds[kind] for column in columns]) for kind in KINDS if self.total.kinds[kind]
        ]
        lines = [" " * 22 + "".join(f"{head:>11}" for head in heads)]
        lines += [f"  {name:<20}" + "".join(f"{count:>11}" for count in counts) for name, counts in rows]
        if len(self.loops) > _SHOWN_LOOPS:
            lines.append(f"  and {len(self.loops) - _SHOWN_LOOPS} smaller")
        return lines


def report_of(kernel: CompiledKernel, target: NvidiaTarget) -> KernelReport:
    """Disassemble a kernel and count."""
    blocks = sass.parse_blocks(sass.disassemble(kernel.cubin), kernel.name)
    every = [instruction for block in blocks for instruction in block.instructions]
    return KernelReport(
        kernel=kernel,
        target=target,
        occupancy=occupancy(
            target,
            num_warps=kernel.num_warps,
            registers=kernel.registers,
            shared=kernel.shared + kernel.static_shared,
            tensor_memory=kernel.tensor_memory,
            barriers=kernel.barriers,
        ),
        total=count(every),
        loops=tuple(count(instructions_of(blocks, loop)) for loop in main_loops(blocks)),
        reallocations=_reallocations(every),
    )


def count(instructions: Iterable[Instruction]) -> Counts:
    """How many there are of each kind."""
    bases = [instruction.base for instruction in instructions]
    kinds = {
        kind: sum(pattern.fullmatch(base) is not None for base in bases)
        for kind, pattern in _KIND_PATTERNS.items()
    }
    return Counts(instructions=len(bases), kinds=kinds)


def main_loops(blocks: Sequence[Block[Instruction]]) -> list[Loop]:
    """The innermost loops, the largest first.

    A loop around others that only wait, without a matrix instruction, counts as innermost if it has one.
    """
    return innermost_loops(blocks, lambda instruction: count([instruction]).matrix_instructions > 0)


def _reallocations(instructions: Iterable[Instruction]) -> tuple[int, ...]:
    changes = (
        _REGISTER_COUNT.search(instruction.operands)
        for instruction in instructions
        if instruction.base == "USETMAXREG"
    )
    return tuple(sorted({int(change["count"], 16) for change in changes if change}, reverse=True))
