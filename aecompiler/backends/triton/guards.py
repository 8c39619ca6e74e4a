"""Forms that a kernel must not take: Triton compiles them, and their results are wrong."""

from __future__ import annotations

import re

_MADE = re.compile(r"\s*(%\w+)(?::\d+)? = (ttg\.local_alloc %)?")
_SUM = re.compile(r"ttng\.warp_group_dot %[\w#]+, (%\w+)[#\d]*, .*: tensor<")


def sums_registers_by_wgmma(ttgir: str) -> bool:
    """Whether a second product reads a v by wgmma that was written to shared memory from registers.

    With Triton 3.6 on sm_90 its memory is that of k, and the sums came out wrong. Where v is copied
    asynchronously it has memory of its own. `ttgir` is a kernel as Triton prints it, with layouts.
    The cause is the assembler's, where v and k have different layouts, and is kept out by
    `wgmma_descriptors.py`; this guard stays until such kernels have run without it.
    """
    written: dict[str, bool] = {}  # of the values seen last: each region counts on from where it stands
    for line in ttgir.splitlines():
        product = _SUM.search(line)
        if product and written.get(product[1]):
            return True
        if made := _MADE.match(line):
            written[made[1]] = made[2] is not None
    return False
