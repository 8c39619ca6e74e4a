"""What may be chosen for an NVIDIA GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

from aecompiler.backends.base import Schedule
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.errors import BackendError
from aecompiler.passes.attn_tile import MAX_BLOCK

MIN_BLOCK = 16
"""The matrix units multiply no smaller tiles."""

WARPS = (1, 2, 4, 8, 16)
MAX_STAGES = 8
MAX_CONSUMERS = 3

_BLOCK_Q, _BLOCK_KV, _NUM_WARPS, _NUM_STAGES = 64, 64, 4, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaSchedule(Schedule):
    """Options of the NVIDIA backend. What is 0 is chosen for the target, by `resolved`.

    `block_q`, `block_kv`: the query rows and the keys of a tile.
    `num_warps`: the warps of a block, each of 32 threads.
    `num_stages`: the tiles of k and v that are on their way from memory at a time.
    `consumers`: the groups of four warps that compute, each on 64 rows, beside a warp that copies tiles; for
    chips with wgmma and TMA. It decides on the rows and the warps of a block; neither may be given beside it.
    `approximate_tanh`: compute tanh, as of capped scores, by one instruction with errors of up to 2^-11.
    """

    block_q: int = 0
    block_kv: int = 0
    num_warps: int = 0
    num_stages: int = 0
    consumers: int = 0
    approximate_tanh: bool = False

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

        if not 0 <= self.consumers <= MAX_CONSUMERS:
            raise ValueError(
                f"expects consumers to be 1 to {MAX_CONSUMERS}, or 0 to choose, got {self.consumers}"
            )
        for name in ("block_q", "num_warps") if self.consumers else ():
            if given := getattr(self, name):
                raise ValueError(f"expects {name} to be 0 beside consumers, which decides it, got {given}")

    def resolved(self, target: NvidiaTarget) -> Self:
        """The schedule with a choice for what is 0; warps without tasks of their own, unless consumers are given."""
        if self.consumers:
            _, block_kv, stages = _SPECIALIZED[0]
            return dataclasses.replace(
                self, block_kv=self.block_kv or block_kv, num_stages=self.num_stages or stages
            )
        return dataclasses.replace(
            self,
            block_q=self.block_q or _BLOCK_Q,
            block_kv=self.block_kv or _BLOCK_KV,
            num_warps=self.num_warps or _NUM_WARPS,
            num_stages=self.num_stages or _NUM_STAGES,
        )


_TILES = ("block_q", "block_kv", "num_warps", "num_stages")
_SMALLER = ((64, 32, 4, 2), (32, 32, 4, 1), (16, 16, 4, 1))
"""Tiles, warps and stages that are tried in turn where those before do not fit the target."""

_ROLES = ("consumers", "block_kv", "num_stages")
_SPECIALIZED = ((2, 128, 2), (2, 64, 2))
"""Consumers, keys of a tile and stages that are tried in turn on chips whose warps may have tasks of their own."""


def attempts(schedule: NvidiaSchedule, target: NvidiaTarget) -> list[NvidiaSchedule]:
    """The schedules that are tried, with a choice for what is 0: the fastest first, then smaller ones.

    Those with consumers take only some programs; without, there is one that takes any.
    """
    found = []
    if target.specializes_warps and not (schedule.block_q or schedule.num_warps):
        found += [_completed(schedule, _ROLES, numbers) for numbers in _SPECIALIZED]
    if schedule.consumers:
        found = found or [schedule]
    else:
        found.append(schedule)
        found += [_completed(schedule, _TILES, numbers) for numbers in _SMALLER]
    return list(dict.fromkeys(each.resolved(target) for each in found))


def _completed(schedule: NvidiaSchedule, names: Sequence[str], numbers: Sequence[int]) -> NvidiaSchedule:
    """The schedule with these numbers for what is 0."""
    missing: dict[str, Any] = {
        name: n for name, n in zip(names, numbers, strict=True) if not getattr(schedule, name)
    }
    return dataclasses.replace(schedule, **missing)


def pipeline_for(schedule: NvidiaSchedule, target: NvidiaTarget) -> str:
    """The pipeline, as text, by which programs are compiled for a GPU."""
    chosen = schedule.resolved(target)
    tanh = " approximate-tanh=true" if chosen.approximate_tanh else ""
    if chosen.consumers:
        if not target.specializes_warps:
            raise BackendError(f"expects a target with wgmma for consumers, got '{target.name}'")
        numbers = f"consumers={chosen.consumers} block-kv={chosen.block_kv} stages={chosen.num_stages}"
        limits = f"shared-bytes={target.shared_bytes_per_block} registers={target.registers}"
        return f"builtin.module(attn-hopper{{{numbers} {limits}{tanh}}})"
    tiles = f"block-q={chosen.block_q} block-kv={chosen.block_kv}"
    return f"builtin.module(attn-tt{{{tiles} least-value-features={target.least_value_features}{tanh}}})"
