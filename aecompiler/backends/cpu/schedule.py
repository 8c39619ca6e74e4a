"""What may be chosen for the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from aecompiler.backends.base import Schedule
from aecompiler.backends.cpu.target import CpuTarget
from aecompiler.dialect.chunked import MAX_CHUNK
from aecompiler.environment import read_number
from aecompiler.passes.attention_to_linalg import MAX_BLOCK_Q
from aecompiler.passes.options import render

THREADS_VARIABLE = "AECOMPILER_NUM_THREADS"
MAX_THREADS = 1024
CHOOSE_LEVEL = -1
_DIRECT_BLOCK_Q = 32
_CHUNK = 16
MAX_BLOCK_KV = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuSchedule(Schedule):
    """Options of the CPU backend. What is 0 is chosen for the target, by `resolved`.

    `block_q`, `block_kv`: the query rows and the keys of a tile; where they are 0, `cpu-choose-tiles` chooses
    for each attention op, by a model of the costs. Rows are the lanes of vectors: their number is rounded up
    to whole vectors, as tails are anyway.
    `chunk`: the positions of a recurrence that are taken at once, 16 where it is 0; rounded up as well, but
    for 1, with which a loop goes from position to position.
    `direct`: compile the direct form, which is the meaning of a program and slow; `block_kv` does not count.
    `threads`: the threads that one call may use; the environment variable AECOMPILER_NUM_THREADS sets what is
    used where the option is not given, and otherwise it is all cores. The code is the same for any number.
    `opt_level`: how hard LLVM works, 0 to 3; -1 chooses: 0 for programs that were vectorized as a whole, and
    then compile in half the time and run as fast; else 2, without which loops over scalars run several times
    slower.
    """

    block_q: int = 0
    block_kv: int = 0
    chunk: int = 0
    direct: bool = False
    threads: int = 0
    opt_level: int = CHOOSE_LEVEL

    def __post_init__(self) -> None:
        if not 0 <= self.block_q <= MAX_BLOCK_Q:
            raise ValueError(f"expects block_q to be 1 to {MAX_BLOCK_Q}, or 0 to choose, got {self.block_q}")
        if not 0 <= self.block_kv <= MAX_BLOCK_KV:
            raise ValueError(
                f"expects block_kv to be 1 to {MAX_BLOCK_KV}, or 0 to choose, got {self.block_kv}"
            )
        if not 0 <= self.chunk <= MAX_CHUNK:
            raise ValueError(f"expects chunk to be 1 to {MAX_CHUNK}, or 0 to choose, got {self.chunk}")
        if not 0 <= self.threads <= MAX_THREADS:
            raise ValueError(f"expects threads to be 1 to {MAX_THREADS}, or 0 for all, got {self.threads}")
        if self.opt_level not in (CHOOSE_LEVEL, 0, 1, 2, 3):
            raise ValueError(f"expects opt_level to be 0, 1, 2 or 3, or -1 to choose, got {self.opt_level}")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """A schedule from keyword options and the environment."""
        given = super().from_options(options)
        if "threads" in options:
            return given
        threads = read_number(
            THREADS_VARIABLE, given.threads, MAX_THREADS, f"1 to {MAX_THREADS}, or 0 for all"
        )
        return dataclasses.replace(given, threads=threads)

    def resolved(self, target: CpuTarget) -> Self:
        """The schedule with whole vectors of rows, and a choice for what is 0 unless it needs the program."""
        lanes = 1 if self.direct else target.lanes(32)
        rows = self.block_q or (_DIRECT_BLOCK_Q if self.direct else 0)
        return dataclasses.replace(
            self,
            block_q=-(-rows // lanes) * lanes,
            chunk=1 if self.chunk == 1 else -(-(self.chunk or _CHUNK) // lanes) * lanes,
            threads=self.threads or target.cores,
        )


def pipeline_for(schedule: CpuSchedule, target: CpuTarget) -> str:
    """The pipeline, as text, by which programs are compiled for a processor."""
    chosen = schedule.resolved(target)
    if chosen.direct:
        return f"builtin.module(attn-cpu-reference{{block-q={chosen.block_q}}})"
    x86 = target.machine == "x86_64"
    options = {
        "block-q": chosen.block_q,
        "block-kv": chosen.block_kv,
        "chunk": chosen.chunk,
        "decode-rows": target.lanes(32),
        # Half of the registers or more hold the products that a register tile sums up.
        "tile-q": 4 if target.vector_registers >= 32 else 2,
        "vector-bits": target.vector_bits,
        "l1-bytes": target.l1_bytes,
        "l2-bytes": target.l2_bytes,
        "pair-products": x86 and target.vector_bits == 512 and target.has("avx512_bf16"),
        "x86": x86,
    }
    text = " ".join(f"{name}={render(value)}" for name, value in options.items())
    return f"builtin.module(attn-cpu{{{text}}})"
