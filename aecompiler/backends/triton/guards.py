"""Forms that a kernel must not take: Triton compiles them, and their results are wrong."""

from __future__ import annotations

import re

_FROM_REGISTERS = re.compile(r"(%[\w#]+) = ttg\.local_alloc %")
_SUM = re.compile(r"ttng\.warp_group_dot %[\w#]+, (%[\w#]+), .*: tensor<")


def sums_registers_by_wgmma(ttgir: str) -> bool:
    """Whether a second product reads a v by wgmma that was written to shared memory from registers.

    With Triton 3.6 on sm_90 its memory is that of k, and the sums come out wrong. Where v is copied
    asynchronously it has memory of its own. `ttgir` is a kernel as Triton prints it, with layouts.
    """
    written = set(_FROM_REGISTERS.findall(ttgir))
    return any(operand in written for operand in _SUM.findall(ttgir))
