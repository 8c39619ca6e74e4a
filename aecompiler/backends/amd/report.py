"""What the code of a kernel is like: its needs of a compute unit, and its instructions by kind.

Everything is read from the assembly, ours or Triton's: registers and spills are stated there, instructions
are counted, each once, however often it runs. Occupancy and clocks are estimates from what the target says;
no card was asked.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from aecompiler.backends.amd.artifact import KernelCode
from aecompiler.backends.amd.instruction_mix import KINDS, Mix, blocks_of, loops_of, mix_of
from aecompiler.backends.amd.occupancy import Occupancy, occupancy
from aecompiler.backends.amd.target import AmdTarget

_SHOWN_LOOPS = 3


@dataclasses.dataclass(frozen=True)
class KernelReport:
    """What `report_of` finds; `text` and `as_json` print it.

    `total`: the instructions of the kernel; `loops`: those of each innermost loop, the largest first. Loops
    without matrix instructions do not count, where others have some.
    """

    code: KernelCode
    target: AmdTarget
    occupancy: Occupancy
    total: Mix
    loops: tuple[Mix, ...]

    @property
    def waves(self) -> int:
        """Waves of a workgroup."""
        return self.code.threads // self.target.wave_size

    def as_json(self) -> dict[str, Any]:
        """All numbers as plain data."""
        return {
            "kernel": self.code.symbol,
            "target": self.target.name,
            "waves": self.waves,
            **dataclasses.asdict(self.code.resources),
            "lds_bytes": self.code.lds_bytes,
            "predicted": None if self.code.predicted is None else dataclasses.asdict(self.code.predicted),
            "occupancy": dataclasses.asdict(self.occupancy),
            "total": _plain(self.total),
            "loops": [_plain(loop) for loop in self.loops],
        }

    def text(self) -> str:
        """A table for reading; kinds of instructions that don't occur are left out."""
        needs, found = self.code.resources, self.occupancy
        registers = f"{needs.vgprs} vector, {needs.agprs} accumulation, {needs.sgprs} scalar"
        if needs.allocated_registers > needs.registers:
            registers += f"; {needs.allocated_registers} vector are taken"
        limits = ", ".join(f"{name} {limit}" for name, limit in found.limits.items())
        rows = [
            ("waves", str(self.waves)),
            ("registers", registers),
            ("spills", f"{needs.vgpr_spills} vector, {needs.sgpr_spills} scalar registers"),
            ("scratch", f"{needs.scratch_bytes} bytes of a lane"),
            ("LDS", f"{self.code.lds_bytes} of {self.target.lds_bytes} bytes"),
            *self._predicted(),
            ("workgroups of a CU", f"{found.workgroups}, {found.fraction:.0%} of its waves, estimated"),
            ("limited by", f"{' and '.join(found.limited_by)} ({limits})"),
        ]
        rows += [(name, f"{count} in the kernel") for name, count in self.total.matrix.items()]
        lines = [f"kernel {self.code.symbol} for {self.target.name}"]
        lines += [f"  {name:<20}  {value}" for name, value in rows]
        return "\n".join([*lines, *self._table()]) + "\n"

    def _predicted(self) -> list[tuple[str, str]]:
        if (said := self.code.predicted) is None:
            return []
        return [("predicted", f"{said.registers} vector registers, {said.lds_bytes} bytes of LDS")]

    def _table(self) -> list[str]:
        columns = [self.total, *self.loops[:_SHOWN_LOOPS]]
        heads = ["kernel", *(["main loop"] if self.loops else []), *["loop"] * (len(columns) - 2)]
        rows = [("instructions", [str(column.instructions) for column in columns])]
        rows += [
            (kind, [str(column.kinds[kind]) for column in columns])
            for kind in KINDS
            if self.total.kinds[kind]
        ]
        if self.total.matrix:
            rows += [
                ("matrix share", [f"{column.matrix_share:.1%}" for column in columns]),
                ("matrix clocks", [_clocks(column) for column in columns]),
                ("vector clocks", [str(column.vector_cycles) for column in columns]),
            ]
        lines = [" " * 22 + "".join(f"{head:>11}" for head in heads)]
        lines += [f"  {name:<20}" + "".join(f"{text:>11}" for text in texts) for name, texts in rows]
        if len(self.loops) > _SHOWN_LOOPS:
            lines.append(f"  and {len(self.loops) - _SHOWN_LOOPS} smaller")
        return lines


def report_of(code: KernelCode, target: AmdTarget) -> KernelReport:
    """Read a kernel's assembly and count."""
    blocks = blocks_of(code.assembly, code.symbol)
    needs = code.resources
    return KernelReport(
        code=code,
        target=target,
        occupancy=occupancy(
            target,
            waves=code.threads // target.wave_size,
            registers=needs.allocated_registers,
            sgprs=needs.sgprs,
            lds_bytes=code.lds_bytes,
        ),
        total=mix_of((instruction for block in blocks for instruction in block.instructions), target),
        loops=tuple(mix_of(loop, target) for loop in loops_of(blocks)),
    )


def _plain(mix: Mix) -> dict[str, Any]:
    return {
        "instructions": mix.instructions,
        "matrix_share": mix.matrix_share,
        **dataclasses.asdict(mix),
    }


def _clocks(mix: Mix) -> str:
    """Clocks of the matrix core; more, where some of its instructions have no rate."""
    return f">{mix.matrix_cycles}" if mix.unrated else str(mix.matrix_cycles)
