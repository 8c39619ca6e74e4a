"""What may be chosen for an NVIDIA GPU."""

from __future__ import annotations

import dataclasses
from typing import Self

from aecompiler.backends.base import Schedule
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.passes.attn_tile import MAX_BLOCK

MIN_BLOCK = 16
"""The matrix units multiply no smaller tiles."""

WARPS = (1, 2, 4, 8, 16)
MAX_STAGES = 8

_BLOCK_Q, _BLOCK_KV, _NUM_WARPS, _NUM_STAGES = 64, 64, 4, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaSchedule(Schedule):
    """Options of the NVIDIA backend. What is 0 is chosen for the target, by `resolved`.

    `block_q`, `block_kv`: the query rows and the keys of a tile.
    `num_warps`: the warps of a block, each of 32 threads.
    `num_stages`: the tiles of k and v that are on their way from memory at a time.
    """

    block_q: int = 0
    block_kv: int = 0
    num_warps: int = 0
    num_stages: int = 0

    def __post_init__(self) -> None:
        for name, value in (("block_q", self.block_q), ("block_kv", self.block_kv)):
            if value and not MIN_BLOCK <= value <= MAX_BLOCK:
                raise ValueError(
                    f"expects {name} to be {MIN_BLOCK} to {MAX_BLOCK}, or 0 to choose, got {value}"
                )
        if self.num_warps and self.num_warps not in WARPS:
            known = ", ".join(map(str, WARPS))
            raise ValueError(f"expects num_warps to be one of {known}, or 0 to choose, got {self.num_warps}")
        if not 0 <= self.num_stages <= MAX_STAGES:
            raise ValueError(
                f"expects num_stages to be 1 to {MAX_STAGES}, or 0 to choose, got {self.num_stages}"
            )

    def resolved(self, target: NvidiaTarget) -> Self:
        """The schedule with a choice for what is 0."""
        return dataclasses.replace(
            self,
            block_q=self.block_q or _BLOCK_Q,
            block_kv=self.block_kv or _BLOCK_KV,
            num_warps=self.num_warps or _NUM_WARPS,
            num_stages=self.num_stages or _NUM_STAGES,
        )


_SMALLER = ((64, 32, 4, 2), (32, 32, 4, 1), (16, 16, 4, 1))
"""Tiles, warps and stages that are tried in turn where those before do not fit the target."""


def attempts(schedule: NvidiaSchedule, target: NvidiaTarget) -> list[NvidiaSchedule]:
    """The schedules that are tried: as chosen for the target, then with smaller numbers for what is 0."""
    found = [schedule.resolved(target)]
    for numbers in _SMALLER:
        names = ("block_q", "block_kv", "num_warps", "num_stages")
        smaller = {n: value for n, value in zip(names, numbers, strict=True) if not getattr(schedule, n)}
        found.append(dataclasses.replace(schedule, **smaller).resolved(target))
    return list(dict.fromkeys(found))


def pipeline_for(schedule: NvidiaSchedule, target: NvidiaTarget) -> str:
    """The pipeline, as text, by which programs are compiled for a GPU."""
    chosen = schedule.resolved(target)
    tiles = f"block-q={chosen.block_q} block-kv={chosen.block_kv}"
    return f"builtin.module(attn-tt{{{tiles} least-value-features={target.least_value_features}}})"
