"""What may be chosen for an NVIDIA GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aecompiler.backends.base import Schedule
from aecompiler.backends.nvidia.hopper.waits import Waits
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.backends.triton.tt_approximate_tanh import Tanh
from aecompiler.errors import BackendError
from aecompiler.passes.attn_tile import MAX_BLOCK

MIN_BLOCK = 16
"""The matrix units multiply no smaller tiles."""

WARPS = (1, 2, 4, 8, 16)
MAX_STAGES = 8
MAX_CONSUMERS = 3

GRIDS = ("tiles", "persistent")
ORDERS = ("free", "ping-pong")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaSchedule(Schedule):
    """Options of the NVIDIA backend. What is 0 is chosen for the target, by `resolved`.

    `block_q`, `block_kv`: the query rows and the keys of a tile. `num_warps`: the warps of a block, each of
    32 threads. `num_stages`: the tiles of k and v that are on their way from memory at a time. `consumers`:
    the groups of four warps that compute, each on 64 rows, beside a warp that copies tiles; for chips with
    wgmma and TMA. It decides on the rows and the warps of a block; neither may be given beside it. With them,
    `grid` is "tiles", a block for each tile of rows, or "persistent", a block for each multiprocessor, which
    computes one tile after the other; `waits` says where the sum of the tile of keys before is waited for
    (`ttg-overlap-products`); with the `order` "ping-pong" groups take turns in beginning products
    (`ttg-order-groups`), with "free" they begin them when they can. These are chosen where they are "".
    `tanh`: "library", or "approximate", by one instruction with errors of up to 2^-11, as of capped scores;
    "narrow", which is chosen for "", is that where products are of factors of 16 bits.
    """

    block_q: int = 0
    block_kv: int = 0
    num_warps: int = 0
    num_stages: int = 0
    consumers: int = 0
    grid: str = ""
    waits: str = ""
    order: str = ""
    tanh: str = ""

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
        waits, tanhs = (tuple(each.value for each in words) for words in (Waits, Tanh))
        for name, words in (("grid", GRIDS), ("waits", waits), ("order", ORDERS), ("tanh", tanhs)):
            if (word := getattr(self, name)) not in ("", *words):
                raise ValueError(
                    f"expects {name} to be one of {', '.join(words)}, or '' to choose, got '{word}'"
                )
        for name in ("block_q", "num_warps") if self.consumers else ():
            if given := getattr(self, name):
                raise ValueError(f"expects {name} to be 0 beside consumers, which decides it, got {given}")

    def resolved(self, target: NvidiaTarget, features: int = 0) -> NvidiaSchedule:
        """The schedule with a choice for what it says nothing of; consumers only where it has some.

        `features` are the most of q and v, 0 if they are not known.
        """
        if self.consumers:
            return _completed(self, next(iter(_choices(features)), _SPECIALIZED[-1]))
        return _completed(self, _PLAIN)


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What is chosen where a schedule says nothing, for programs of so many features at most; 0: for any."""

    numbers: Mapping[str, int | str]
    features: int = 0


_PLAIN = _Choice({"block_q": 64, "block_kv": 64, "num_warps": 4, "num_stages": 3})
_SMALLER = [
    _Choice({"block_q": 64, "block_kv": 32, "num_warps": 4, "num_stages": 2}),
    _Choice({"block_q": 32, "block_kv": 32, "num_warps": 4, "num_stages": 1}),
    _Choice({"block_q": 16, "block_kv": 16, "num_warps": 4, "num_stages": 1}),
]
"""What is tried in turn where `_PLAIN` does not fit the target."""

_PING_PONG = {"waits": "at-use", "order": "ping-pong"}
_SPECIALIZED = [
    _Choice({"consumers": 3, "block_kv": 128, "num_stages": 3, "grid": "persistent", **_PING_PONG}, 64),
    _Choice({"consumers": 2, "block_kv": 128, "num_stages": 2, "grid": "persistent", **_PING_PONG}, 192),
    _Choice({"consumers": 2, "block_kv": 64, "num_stages": 2, "grid": "tiles", **_PING_PONG}, 256),
]
"""What is tried in turn on chips whose warps may have tasks of their own: the fastest on one H100."""


def _choices(features: int) -> list[_Choice]:
    return [choice for choice in _SPECIALIZED if features <= choice.features]


def attempts(schedule: NvidiaSchedule, target: NvidiaTarget, features: int = 0) -> list[NvidiaSchedule]:
    """The schedules that are tried, with a choice for what is 0: the fastest first, then smaller ones.

    Those with consumers take only some programs; without, there is one that takes any. `features` are the
    most of q and v, 0 if they are not known.
    """
    found = []
    if target.specializes_warps and not (schedule.block_q or schedule.num_warps):
        found += [_completed(schedule, choice) for choice in _choices(features)]
    if schedule.consumers:
        found = found or [schedule]
    else:
        found += [_completed(schedule, choice) for choice in (_PLAIN, *_SMALLER)]
    return list(dict.fromkeys(each.resolved(target, features) for each in found))


def _completed(schedule: NvidiaSchedule, choice: _Choice) -> NvidiaSchedule:
    """The schedule with these numbers for what it says nothing of."""
    missing: dict[str, Any] = {
        name: value for name, value in choice.numbers.items() if not getattr(schedule, name)
    }
    return dataclasses.replace(schedule, **missing)


def pipeline_for(schedule: NvidiaSchedule, target: NvidiaTarget, features: int = 0) -> str:
    """The pipeline, as text, by which programs are compiled for a GPU."""
    chosen = schedule.resolved(target, features)
    tanh = f" tanh={chosen.tanh or Tanh.NARROW.value}"
    if chosen.consumers:
        if not target.specializes_warps:
            raise BackendError(f"expects a target with wgmma for consumers, got '{target.name}'")
        is_persistent = chosen.grid == "persistent"
        programs = f"programs={target.multiprocessors} section=4" if is_persistent else "programs=0"
        numbers = f"consumers={chosen.consumers} block-kv={chosen.block_kv} stages={chosen.num_stages}"
        limits = f"shared-bytes={target.shared_bytes_per_block} registers={target.registers}"
        order = f"waits={chosen.waits} ping-pong={str(chosen.order == 'ping-pong').lower()}"
        return f"builtin.module(attn-hopper{{{numbers} {programs} {order} {limits}{tanh}}})"
    tiles = f"block-q={chosen.block_q} block-kv={chosen.block_kv}"
    return f"builtin.module(attn-tt{{{tiles} least-value-features={target.least_value_features}{tanh}}})"
