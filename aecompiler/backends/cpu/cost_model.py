"""What a tile program costs on one core, so that the sizes of its tiles can be chosen.

The model counts operations on vectors. A tile of `block_q` rows and `block_kv` keys computes both products of
all its elements, also of those that a mask drops: small tiles waste little where a mask is narrow. Large ones
do less often what is done once for each tile, for each of its rows, or for each of its keys. Scratch memory
must fit in the second cache; a tile of v is read column by column, for which it should fit in the first.

`COSTS` are cycles of a core that starts one multiply-add of vectors in a cycle, fitted to the measurements in
docs/backends/cpu.md. Only their proportions matter, so they serve for other cores, too.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping

from aecompiler.backends.cpu.target import KIB, MIB

COSTS: Mapping[str, float] = {
    "products": 1.0,  # a multiply-add of vectors, or one of pairs of bf16
    "broadcasts": 0.1,  # an element of k or v, for all rows of a register tile
    "tile of scores": 68.0,  # a register tile of the first product: its start, its end, the scores
    "tile of results": 22.0,  # one of the second product: accumulators are loaded, rescaled, stored
    "weights": 24.0,  # the exponential of a vector of scores, and what reduces them
    "masks": 3.0,  # a vector of scores of a partial tile
    "keys": 12.0,  # one key of a partial tile: distances, the test of v
    "packing": 1.6,  # a vector of k or v brought into the form in which it is multiplied
    "far values": 0.8,  # a row of v for a register tile of results, if v's tile exceeds the first cache
    "rows": 33.0,  # the state of a vector of rows, once for each tile of keys
    "tiles": 165.0,  # a tile of keys
    "features": 20.0,  # a vector of q or o, transposed, loaded or stored
    "q tiles": 5800.0,
}
"""Cycles of one operation of each kind."""

ROW_BLOCKS = (16, 32, 64)
"""The rows that a tile may have, if they are two vectors of f32 at least: fewer rows are left to decoding."""

KEY_BLOCKS = (16, 32, 64)
"""The keys that a tile may have. Larger tiles gain 1 % at best, and waste more at the ends of sequences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Core:
    """What the model knows of a processor and of the code that is made for it.

    `vector_bits`: the width of a vector. `tile_q`, `tile_kv`, `tile_d`: as in `cpu-vectorize-tiles`.
    `pair_products`: whether pairs of bf16 are multiplied by one instruction.
    """

    vector_bits: int
    tile_q: int = 4
    tile_kv: int = 4
    tile_d: int = 4
    pair_products: bool = False
    l1_bytes: int = 32 * KIB
    l2_bytes: int = 1 * MIB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """What the model knows of attention: sizes of its heads, the widths of k and v in bits, and of sums."""

    features: int
    v_features: int
    bits: int = 32
    accumulator_bits: int = 32
    accumulators: int = 1


@dataclasses.dataclass(frozen=True)
class Tiles:
    """The sizes of tiles."""

    block_q: int
    block_kv: int

    def __str__(self) -> str:
        return f"{self.block_q} x {self.block_kv}"


@dataclasses.dataclass(frozen=True)
class Visits:
    """The tiles of keys that a mask leaves: full and partial ones, of `q_tiles` tiles of rows in all."""

    q_tiles: int
    full: int
    partial: int


Count = Callable[[Tiles], Visits]


def work(core: Core, program: Program, tiles: Tiles, visits: Visits) -> Counter[str]:
    """How many operations of each kind the tiles take."""
    lanes = core.vector_bits // program.accumulator_bits
    rows, keys = -(-tiles.block_q // lanes), tiles.block_kv
    d, dv, accumulators = program.features, program.v_features, program.accumulators
    chunks = min(rows, core.tile_q)
    paired = core.pair_products and program.bits == 16
    each: Counter[str] = Counter()
    each["products"] = rows * keys * (d + dv * accumulators) // (2 if paired else 1)
    each["broadcasts"] = each["products"] // chunks
    each["tile of scores"] = _groups(keys, rows, chunks, core.tile_kv * core.tile_q)
    each["tile of results"] = _groups(dv, rows, chunks, core.tile_d * core.tile_q) * accumulators
    if keys * dv * (program.bits if paired else program.accumulator_bits) // 8 > core.l1_bytes:
        each["far values"] = keys * each["tile of results"]
    each["weights"] = rows * keys
    each["rows"] = rows
    each["tiles"] = 1
    if program.bits < program.accumulator_bits:
        each["packing"] = keys * (dv if paired else d + dv) // lanes
    masked = Counter({"masks": rows * keys, "keys": keys})
    around = Counter({"features": rows * (d + dv * accumulators), "q tiles": 1})
    total: Counter[str] = Counter()
    times = (visits.full + visits.partial, visits.partial, visits.q_tiles)
    for part, number in zip((each, masked, around), times, strict=True):
        for kind, count in part.items():
            total[kind] += count * number
    return total


def cycles(core: Core, program: Program, tiles: Tiles, visits: Visits) -> float:
    """The cost of one row, on average over the tiles that were counted."""
    total = sum(COSTS[kind] * count for kind, count in work(core, program, tiles, visits).items())
    return total / max(1, visits.q_tiles * tiles.block_q)


def scratch_bytes(program: Program, tiles: Tiles) -> int:
    """The memory that a tile program works in: q, accumulators, scores, weights, and copies of k and v."""
    d, dv, wide = program.features, program.v_features, program.accumulator_bits // 8
    carried = tiles.block_q * (d + dv * program.accumulators)
    elements = 2 * tiles.block_q * tiles.block_kv
    copies = tiles.block_kv * (d + dv)
    return wide * (carried + elements + copies)


def candidates(core: Core, program: Program, block_q: int = 0, block_kv: int = 0) -> list[Tiles]:
    """The tiles to choose from: those given, or those that fit in half of the second cache."""
    least = 2 * core.vector_bits // 32
    rows = [block_q] if block_q else [rows for rows in ROW_BLOCKS if rows >= least]
    found = [Tiles(q, kv) for q in rows for kv in ([block_kv] if block_kv else KEY_BLOCKS)]
    fitting = [tiles for tiles in found if scratch_bytes(program, tiles) <= core.l2_bytes // 2]
    return fitting or [min(found, key=lambda tiles: scratch_bytes(program, tiles))]


def choose(core: Core, program: Program, count: Count, block_q: int = 0, block_kv: int = 0) -> Tiles:
    """The cheapest tiles; `count` says how many a mask leaves, sizes that are not 0 are given."""
    return min(
        candidates(core, program, block_q, block_kv),
        key=lambda tiles: cycles(core, program, tiles, count(tiles)),
    )


def _groups(size: int, rows: int, chunks: int, vectors: int) -> int:
    """The register tiles of `vectors` sums for `size` by `rows` vectors, `chunks` of which go along."""
    return -(-rows // chunks) * -(-size // max(1, vectors // chunks))
