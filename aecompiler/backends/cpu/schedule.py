"""What may be chosen for the CPU."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.base import Schedule
from aecompiler.passes.attention_to_linalg import MAX_BLOCK_Q


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuSchedule(Schedule):
    """Options of the CPU backend.

    `block_q`: the query rows of `attn.attention` that are computed together.
    `opt_level`: how hard LLVM works, 0 to 3. At 0 a kernel compiles about five times faster and runs about
    five times slower than at 2.
    """

    block_q: int = 32
    opt_level: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.block_q <= MAX_BLOCK_Q:
            raise ValueError(f"expects block_q to be 1 to {MAX_BLOCK_Q}, got {self.block_q}")
        if self.opt_level not in range(4):
            raise ValueError(f"expects opt_level to be 0, 1, 2 or 3, got {self.opt_level}")
