"""What the code of a kernel is like: its needs of a compute unit, and its instructions by kind.

The numbers of registers and spills are those that the assembly states; instructions are counted in its text,
each once, however often it runs. How many waves are resident follows LLVM's "User Guide for AMDGPU Backend".
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from aecompiler.backends.amd.artifact import KernelCode
from aecompiler.backends.amd.target import AmdTarget

KINDS = {
    "matrix": r"v_s?mfmac?_\w+",
    "special functions": r"v_(exp|log|rcp|rsq|sqrt|sin|cos)_\w+",
    "conversions": r"v_(cvt|pack)_\w+",
    "cross-lane moves": r"v_(read|write|perm)\w*lane\w*|ds_(bpermute|permute|swizzle)_\w+|v_\w+_dpp",
    "accumulator moves": r"v_accvgpr_\w+",
    "LDS loads": r"ds_(read|load)\w*",
    "LDS stores": r"ds_(write|store)\w*",
    "direct loads to LDS": r"(global|buffer)_load_(lds_\w+|\w+_lds)",
    "global loads": r"(global|buffer|flat)_load_\w+",
    "global stores": r"(global|buffer|flat)_store_\w+",
    "scratch": r"scratch_\w+",
    "waits": r"s_waitcnt\w*",
    "barriers": r"s_barrier\w*",
    "other vector": r"v_\w+",
    "other scalar": r"s_\w+",
}
"""What is counted, each kind by the names of its instructions; the first that fits."""

_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_LABEL = re.compile(r"^(?P<label>[.\w$]+):")
_INSTRUCTION = re.compile(r"^\s+(?P<name>(?:v|s|ds|global|buffer|flat|scratch)_\w+)\s*(?P<operands>[^;]*)")
_BRANCH = re.compile(r"s_c?branch\w*")
_SHOWN_LOOPS = 3


@dataclasses.dataclass(frozen=True)
class Occupancy:
    """The waves that are resident on a SIMD, and what limits their number; `limits` by resource."""

    waves: int
    limited_by: tuple[str, ...]
    limits: dict[str, int]


@dataclasses.dataclass(frozen=True)
class KernelReport:
    """What `report_of` finds; `text` and `as_json` print it.

    `total`: the instructions of the kernel by kind; `loops`: those of each innermost loop, the largest first.
    """

    code: KernelCode
    target: AmdTarget
    occupancy: Occupancy
    total: dict[str, int]
    loops: tuple[dict[str, int], ...]

    def as_json(self) -> dict[str, Any]:
        """All numbers as plain data."""
        return {
            "kernel": self.code.symbol,
            "target": self.target.name,
            "waves": self.code.threads // self.target.wave_size,
            **dataclasses.asdict(self.code.resources),
            "lds_bytes": self.code.lds_bytes,
            "occupancy": dataclasses.asdict(self.occupancy),
            "instructions": self.total,
            "loops": list(self.loops),
        }

    def text(self) -> str:
        """A table."""
        needs = self.code.resources
        limits = ", ".join(f"{name} {limit}" for name, limit in self.occupancy.limits.items())
        waves = f"{self.occupancy.waves} of {self.target.waves_per_simd}"
        rows = [
            ("waves", str(self.code.threads // self.target.wave_size)),
            ("registers", f"{needs.vgprs} vector, {needs.agprs} accumulation, {needs.sgprs} scalar"),
            ("spills", f"{needs.vgpr_spills} vector, {needs.sgpr_spills} scalar registers"),
            ("scratch", f"{needs.scratch_bytes} bytes of a lane"),
            ("LDS", f"{self.code.lds_bytes} of {self.target.lds_bytes} bytes"),
            ("waves of a SIMD", f"{waves}, estimated"),
            ("limited by", f"{' and '.join(self.occupancy.limited_by)} ({limits})"),
        ]
        lines = [f"kernel {self.code.symbol} for {self.target.name}"]
        lines += [f"  {name:<20}  {value}" for name, value in rows]
        return "\n".join([*lines, *self._table()]) + "\n"

    def _table(self) -> list[str]:
        columns = [self.total, *self.loops[:_SHOWN_LOOPS]]
        heads = ["kernel", *(["main loop"] if self.loops else []), *["loop"] * (len(columns) - 2)]
        rows = [("instructions", [sum(column.values()) for column in columns])]
        rows += [(kind, [column[kind] for column in columns]) for kind in KINDS if self.total[kind]]
        lines = [" " * 22 + "".join(f"{head:>11}" for head in heads)]
        lines += [f"  {name:<20}" + "".join(f"{count:>11}" for count in counts) for name, counts in rows]
        if len(self.loops) > _SHOWN_LOOPS:
            lines.append(f"  and {len(self.loops) - _SHOWN_LOOPS} smaller")
        return lines


def report_of(code: KernelCode, target: AmdTarget) -> KernelReport:
    """Read a kernel's assembly and count."""
    names, loops = _loops(code)
    counted = sorted((count(names[first:end]) for first, end in loops), key=lambda each: -sum(each.values()))
    return KernelReport(code, target, occupancy_of(code, target), count(names), tuple(counted))


def occupancy_of(code: KernelCode, target: AmdTarget) -> Occupancy:
    """How many waves of a kernel are resident on a SIMD, from its registers and its LDS."""
    waves = code.threads // target.wave_size
    for_wave = _rounded_up(max(code.resources.allocated_registers, 1), target.register_unit)
    limits = {"waves": target.waves_per_simd, "registers": target.registers // for_wave}
    if code.lds_bytes:
        workgroups = target.lds_bytes // _rounded_up(code.lds_bytes, target.lds_unit)
        limits["LDS"] = -(-workgroups * waves // target.simds)
    least = min(limits.values())
    return Occupancy(least, tuple(name for name, limit in limits.items() if limit == least), limits)


def count(names: Sequence[str]) -> dict[str, int]:
    """How many instructions there are of each kind."""
    found = dict.fromkeys(KINDS, 0)
    for name in names:
        kind = next((kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(name)), None)
        if kind is not None:
            found[kind] += 1
    return found


def _loops(code: KernelCode) -> tuple[list[str], list[tuple[int, int]]]:
    """The instructions of a kernel, and its innermost loops: each from a label to a jump back to it."""
    names: list[str] = []
    labels: dict[str, int] = {}
    jumps: list[tuple[int, int]] = []
    _, _, body = code.assembly.partition(f"\n{code.symbol}:")
    for line in body.split("\n.Lfunc_end")[0].split("\n"):
        if found := _LABEL.match(line):
            labels[found["label"]] = len(names)
        elif found := _INSTRUCTION.match(line):
            names.append(found["name"])
            start = labels.get(found["operands"].strip()) if _BRANCH.fullmatch(found["name"]) else None
            if start is not None:
                jumps.append((start, len(names)))
    inner = [each for each in jumps if not any(_is_inside(other, each) for other in jumps)]
    return names, list(dict.fromkeys(inner))


def _is_inside(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def _rounded_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
