"""What may be chosen for an AMD GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aecompiler.backends.amd.target import AmdTarget
from aecompiler.backends.base import Schedule, check_one_of, check_range
from aecompiler.dialect.chunked import MAX_CHUNK
from aecompiler.passes.attn_tile import MAX_BLOCK
from aecompiler.passes.attn_tile_steps import MAX_VALUE_BLOCK

MIN_BLOCK = 16
"""The matrix cores multiply no smaller tiles."""

ROADS = ("triton", "mlir")
DEFAULT_ROAD = "mlir"

WAVES = (1, 2, 4, 8, 16)
MAX_STAGES = 4
MATRIX_ROWS = (16, 32)
MAX_WAVES_PER_SIMD = 8
KPACKS = (1, 2)
PACKS = ("none", "heads")
SPLITS = ("none", "keys")
LOADS = ("local", "registers")

PARTS_OF_UNIT = 2
"""The workgroups of a compute unit that keys are split for."""

USUAL_CHUNK = 64
"""The positions of a chunk of a recurrence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AmdSchedule(Schedule):
    """Options of the AMD backend. What is 0 or "" is chosen.

    `road`: "triton", tiles go through Triton's AMD backend, or "mlir", through upstream MLIR. `block_q`,
    `block_kv`: the query rows and the keys of a tile. `waves`: those of a workgroup, each of 64 lanes.

    `num_stages`: the tiles of k and v that are on their way from memory at a time; `matrix_rows`: the rows of
    a matrix instruction, 16 or 32; `waves_per_simd`: how many waves of a SIMD registers are to leave room
    for. Triton calls these `num_stages`, `matrix_instr_nonkdim` and `waves_per_eu`. `kpack`, for the road
    "triton" only: how many neighbouring pieces of the sums of products a lane reads at a time.

    `pack`: "heads", the rows of a tile are those of all query heads that share a kv head, or "none"; `split`:
    "keys", keys are cut into as many parts as the chip has room for workgroups, and what these find is merged
    by a second kernel, or "none".

    `loads`: "local", loops load tiles of k and v straight into local memory, in two copies, where the chip
    and the types allow, or "registers", they are on their way in registers. For the road "mlir".

    `value_block`: the value features of a program of a recurrence, where they are independent. `chunk`: the
    positions of a chunk of a recurrence; with 1 a loop goes from position to position.
    """

    road: str = ""
    block_q: int = 0
    block_kv: int = 0
    waves: int = 0
    num_stages: int = 0
    matrix_rows: int = 0
    waves_per_simd: int = 0
    kpack: int = 0
    pack: str = ""
    split: str = ""
    loads: str = ""
    value_block: int = 0
    chunk: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("block_q", MIN_BLOCK, MAX_BLOCK),
            ("block_kv", MIN_BLOCK, MAX_BLOCK),
            ("num_stages", 1, MAX_STAGES),
            ("waves_per_simd", 1, MAX_WAVES_PER_SIMD),
            ("chunk", 1, MAX_CHUNK),
            ("value_block", 1, MAX_VALUE_BLOCK),
        ):
            check_range(name, getattr(self, name), least, most)
        known: tuple[tuple[str, tuple[int | str, ...]], ...] = (
            ("waves", WAVES),
            ("matrix_rows", MATRIX_ROWS),
            ("kpack", KPACKS),
            ("road", ROADS),
            ("pack", PACKS),
            ("split", SPLITS),
            ("loads", LOADS),
        )
        for name, words in known:
            check_one_of(name, getattr(self, name), words)

    @property
    def chosen_road(self) -> str:
        """The road, by default `DEFAULT_ROAD`."""
        return self.road or DEFAULT_ROAD

    def completed(self, numbers: Mapping[str, Any]) -> AmdSchedule:
        """The schedule with these numbers for what it says nothing of."""
        missing = {name: value for name, value in numbers.items() if not getattr(self, name)}
        return dataclasses.replace(self, **missing)

    @property
    def triton_options(self) -> dict[str, int]:
        """What Triton's backend is told of each kernel."""
        return {
            "num_stages": self.num_stages,
            "matrix_instr_nonkdim": self.matrix_rows,
            "waves_per_eu": self.waves_per_simd,
            "kpack": self.kpack,
        }


PLAIN: tuple[Mapping[str, Any], ...] = (
    {"block_q": 128, "block_kv": 64, "waves": 4, "num_stages": 2},
    {"block_q": 64, "block_kv": 32, "waves": 4, "num_stages": 2},
    {"block_q": 32, "block_kv": 32, "waves": 4, "num_stages": 1},
    {"block_q": 16, "block_kv": 16, "waves": 4, "num_stages": 1},
)
"""What is tried in turn: smaller tiles fit where larger ones do not."""


def attempts(schedule: AmdSchedule) -> list[AmdSchedule]:
    """The schedules that are tried, which say all numbers of tiles."""
    return list(dict.fromkeys(schedule.completed(numbers) for numbers in PLAIN))


def pipeline_for(schedule: AmdSchedule, target: AmdTarget) -> str:
    """The pipeline, as text, from programs to a host's function and kernels in Triton's dialect.

    Both roads begin with it.
    """
    chosen = attempts(schedule)[0]
    rows = "packed-rows" if chosen.pack == "heads" else "block-q"
    parts = [f"{rows}={chosen.block_q}", f"block-kv={chosen.block_kv}"]
    if chosen.split == "keys":
        parts.append(f"split-programs={PARTS_OF_UNIT * target.compute_units}")
    parts += ["precision=ieee", "library=ocml", "approximate-reciprocals=false"]
    if target.matrix_flushes_denormals:
        parts.append("scale-weights=true")
    if block := chosen.value_block:
        parts += [f"value-block={block}", f"step-value-block={block}", f"chunk-value-block={block}"]
    if chunk := chosen.chunk or min(USUAL_CHUNK, chosen.block_kv):
        parts += [f"chunk={chunk}"] if chunk != USUAL_CHUNK else []
    parts.append(f"chunk-shared-bytes={target.lds_bytes}")
    return f"builtin.module(attn-tt{{{' '.join(parts)}}})"
