"""What may be chosen for an NVIDIA GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from aecompiler.backends.base import Schedule, check_one_of, check_range
from aecompiler.backends.nvidia.hopper.waits import Waits
from aecompiler.backends.nvidia.target import NvidiaTarget, Version
from aecompiler.backends.triton.chunk_kernels import BLOCKS, MOST_STAGES, USUAL_SHARED_BYTES
from aecompiler.backends.triton.tt_approximate_tanh import Tanh
from aecompiler.dialect.chunked import MAX_CHUNK
from aecompiler.errors import BackendError
from aecompiler.passes.attn_tile import MAX_BLOCK
from aecompiler.passes.attn_tile_steps import MAX_VALUE_BLOCK
from aecompiler.passes.options import render

MIN_BLOCK = 16
"""The matrix units multiply no smaller tiles."""

WARPS = (1, 2, 4, 8, 16)
MAX_STAGES = 8
MAX_CONSUMERS = 3

MAX_LENGTH = 1 << 30
MAX_TUNE = 256

GRIDS = ("tiles", "persistent")
ORDERS = ("free", "ping-pong")
PACKS = ("none", "heads")
SPLITS = ("none", "keys")

PLAIN_BLOCKS = 2
"""The blocks without roles that a multiprocessor has room for at a time, which keys are split for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NvidiaSchedule(Schedule):
    """Options of the NVIDIA backend. What is 0 is chosen, by `schedule_choice.py`.

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

    `pack`: "heads", the rows of a tile are those of all query heads that share a kv head, or "none"; `split`:
    "keys", keys are cut into as many parts as the chip has room for programs, and what programs find is
    merged by a second kernel, or "none". Where these are "", both are chosen for calls with few queries.

    `value_block`: the value features of a program of a recurrence, where they are independent. `chunk`: the
    positions of a chunk of a recurrence, usually 64, or as many as keys in a tile; where each key feature has
    its own decay they are 32 at most; with 1 a loop goes from position to position. `chunk_value_block`: the
    value features of a program that takes chunks, usually 64, or `value_block`; `chunk_stages`: the chunks on
    their way from memory at a time, usually as many as leave room for two blocks; `shared_heads`: products
    that so many heads have alike are computed once, before, which is not usual. Where these four are 0,
    `recurrence_choice.py` looks for what is faster than usual, as where there are few programs.

    `length` is what lengths that the program does not say are taken for where schedules are compared, 0:
    4096. `queries` is that of q, 0: as long as k. `sequences` is the batch of recurrences, 0: many. They
    change nothing of what is computed. `tune`: so many schedules are timed on the card of this machine, when
    a program is first compiled, and the fastest is taken; 0: the model chooses.
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
    pack: str = ""
    split: str = ""
    value_block: int = 0
    chunk: int = 0
    chunk_value_block: int = 0
    chunk_stages: int = 0
    shared_heads: int = 0
    length: int = 0
    queries: int = 0
    sequences: int = 0
    tune: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("block_q", MIN_BLOCK, MAX_BLOCK),
            ("block_kv", MIN_BLOCK, MAX_BLOCK),
            ("num_stages", 1, MAX_STAGES),
            ("consumers", 1, MAX_CONSUMERS),
            ("chunk", 1, MAX_CHUNK),
            ("value_block", 1, MAX_VALUE_BLOCK),
            ("chunk_value_block", 1, MAX_VALUE_BLOCK),
            ("chunk_stages", 1, MOST_STAGES),
        ):
            check_range(name, getattr(self, name), least, most)
        for name, most, otherwise in (
            ("length", MAX_LENGTH, "for a usual one"),
            ("queries", MAX_LENGTH, "for as many as keys"),
            ("sequences", MAX_LENGTH, "for many"),
            ("tune", MAX_TUNE, "for none"),
        ):
            check_range(name, getattr(self, name), 1, most, otherwise)
        if self.shared_heads < 0 or self.shared_heads == 1:
            raise ValueError(f"expects shared_heads to be 2 or more, or 0 to choose, got {self.shared_heads}")
        if self.queries and self.tune:
            raise ValueError(
                f"expects queries to be 0 beside tune, whose calls have as many as keys, got {self.queries}"
            )
        known: tuple[tuple[str, Sequence[int | str]], ...] = (
            ("num_warps", WARPS),
            ("grid", GRIDS),
            ("waits", tuple(each.value for each in Waits)),
            ("order", ORDERS),
            ("tanh", tuple(each.value for each in Tanh)),
            ("pack", PACKS),
            ("split", SPLITS),
        )
        for name, words in known:
            check_one_of(name, getattr(self, name), words)
        for name in ("block_q", "num_warps") if self.consumers else ():
            if given := getattr(self, name):
                raise ValueError(f"expects {name} to be 0 beside consumers, which decides it, got {given}")

    def resolved(self) -> NvidiaSchedule:
        """The schedule with a number for what it says nothing of; consumers only where it has some."""
        return self.completed(WITH_ROLES[0] if self.consumers else PLAIN[0])

    def completed(self, numbers: Mapping[str, Any]) -> NvidiaSchedule:
        """The schedule with these numbers for what it says nothing of."""
        missing = {name: value for name, value in numbers.items() if not getattr(self, name)}
        return dataclasses.replace(self, **missing)

    @property
    def takes_some(self) -> bool:
        """Whether it takes only some programs: kernels with roles and those for few queries ask for more.

        So may recurrences that are made otherwise than is usual.
        """
        of_chunks = self.chunk_value_block or self.chunk_stages or self.shared_heads
        return bool(self.consumers or of_chunks) or self.pack == "heads" or self.split == "keys"

    @property
    def options(self) -> dict[str, Any]:
        """What it says, as options of `compile`."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}


FEW_QUERIES = 64
"""Calls with no more queries, and more keys than these, have few: a tile of rows is for more of them."""

FEW: tuple[Mapping[str, Any], ...] = ({"pack": "heads", "split": "keys"}, {"pack": "none", "split": "keys"})
"""How tiles are used where queries are few: packed heads don't take all programs."""

FEW_WITH_ROLES: Mapping[str, Any] = {
    "consumers": 1,
    "grid": "tiles",
    "waits": "at-use",
    "order": "free",
}
"""What is tried for few queries on chips whose warps may have tasks of their own: memory is what is waited
for, and one group of warps computes faster than that."""

FEW_PLAIN: tuple[Mapping[str, Any], ...] = (
    {"block_q": 64, "block_kv": 32, "num_warps": 4, "num_stages": 3},
    {"block_q": 16, "block_kv": 32, "num_warps": 4, "num_stages": 2},
)
"""What is tried in turn for few queries without such tasks."""

_PING_PONG = {"waits": "at-use", "order": "ping-pong"}
WITH_ROLES: tuple[Mapping[str, Any], ...] = (
    {"consumers": 3, "block_kv": 128, "num_stages": 3, "grid": "persistent", **_PING_PONG},
    {"consumers": 2, "block_kv": 128, "num_stages": 2, "grid": "persistent", **_PING_PONG},
    {"consumers": 2, "block_kv": 64, "num_stages": 2, "grid": "tiles", **_PING_PONG},
)
"""What is tried in turn where nothing is known of a program, on chips whose warps may have tasks of their
own. Of those that have room, the first was the fastest on one H100."""

PLAIN: tuple[Mapping[str, Any], ...] = (
    {"block_q": 64, "block_kv": 64, "num_warps": 4, "num_stages": 3},
    {"block_q": 64, "block_kv": 32, "num_warps": 4, "num_stages": 2},
    {"block_q": 32, "block_kv": 32, "num_warps": 4, "num_stages": 1},
    {"block_q": 16, "block_kv": 16, "num_warps": 4, "num_stages": 1},
)
"""What is tried in turn without such tasks: smaller tiles fit where larger ones do not."""

USUAL_CHUNK = 64
"""The positions of a chunk: with 128 one H100 had too few registers, with 32 wgmma has half as many rows."""


def _recurrence_options(chosen: NvidiaSchedule) -> str:
    """What a schedule says of recurrences, but for the positions of a chunk, as options of a pipeline."""
    block = chosen.value_block
    options = {
        "value-block": block,
        "step-value-block": block,
        "chunk-value-block": chosen.chunk_value_block or block,
        "chunk-stages": chosen.chunk_stages,
        "shared-heads": chosen.shared_heads,
    }
    return "".join(f" {name}={value}" for name, value in options.items() if value)


def pipeline_for(schedule: NvidiaSchedule, target: NvidiaTarget, triton: Version = ()) -> str:
    """The pipeline, as text, by which programs are compiled for a GPU by a version of Triton."""
    chosen = schedule.resolved()
    tanh = f" tanh={chosen.tanh or Tanh.NARROW.value}"
    values = _recurrence_options(chosen)
    if (chunk := chosen.chunk or min(USUAL_CHUNK, chosen.block_kv)) != USUAL_CHUNK:
        values += f" chunk={chunk}"
    if (shared := target.shared_bytes - BLOCKS * target.reserved_shared_bytes) != USUAL_SHARED_BYTES:
        values += f" chunk-shared-bytes={shared}"
    if target.guards_transposes(triton):
        values += " guard-transposes=true"
    if chosen.consumers:
        if not target.specializes_warps:
            raise BackendError(f"expects a target with wgmma for consumers, got '{target.name}'")
        is_persistent = chosen.grid == "persistent"
        programs = f"programs={target.multiprocessors} section=4" if is_persistent else "programs=0"
        numbers = f"consumers={chosen.consumers} block-kv={chosen.block_kv} stages={chosen.num_stages}"
        limits = f"shared-bytes={target.shared_bytes_per_block} registers={target.registers}"
        order = f"waits={chosen.waits} ping-pong={render(chosen.order == 'ping-pong')}"
        few = " pack-heads=true" if chosen.pack == "heads" else ""
        few += f" split-programs={target.multiprocessors}" if chosen.split == "keys" else ""
        return f"builtin.module(attn-hopper{{{numbers} {programs} {order} {limits}{tanh}{few}{values}}})"
    rows = f"block-q={chosen.block_q}"
    if chosen.pack == "heads":
        rows = f"packed-rows={chosen.block_q}"
    if chosen.split == "keys":
        rows += f" split-programs={PLAIN_BLOCKS * target.multiprocessors}"
    tiles = f"{rows} block-kv={chosen.block_kv}"
    return f"builtin.module(attn-tt{{{tiles}{tanh}{values}}})"
