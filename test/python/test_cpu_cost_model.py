"""The model by which the sizes of tiles are chosen: what must hold whatever its numbers are."""

from __future__ import annotations

import itertools
import re

import pytest

import aecompiler as aec
from aecompiler.backends.cpu import pipelines  # noqa: F401  (registers)
from aecompiler.backends.cpu.cost_model import (
    KEY_BLOCKS,
    ROW_BLOCKS,
    Core,
    Program,
    Tiles,
    Visits,
    candidates,
    choose,
    cycles,
    scratch_bytes,
    work,
)
from aecompiler.backends.cpu.schedule import CpuSchedule, pipeline_for
from aecompiler.backends.cpu.target import NAMED_TARGETS
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.library import masks, normalizers
from aecompiler.passes.infra import Pipeline, run_pipeline

WIDE, NARROW = Core(vector_bits=512), Core(vector_bits=128, tile_q=2)
LENGTH = 2048


def everything(tiles):
    rows = LENGTH // tiles.block_q
    return Visits(rows, rows * (LENGTH // tiles.block_kv), 0)


def window(width):
    """The tiles that `i - width < j <= i` leaves, far from the first row, counted one by one."""

    def count(tiles):
        first = 4 * LENGTH
        last = first + tiles.block_q - 1
        begin, end = (first - width + 1) // tiles.block_kv, last // tiles.block_kv + 1
        full = 0
        for tile in range(begin, end):
            low, high = tile * tiles.block_kv, (tile + 1) * tiles.block_kv - 1
            full += high <= first and low > last - width
        return Visits(1, full, end - begin - full)

    return count


@pytest.mark.parametrize("core", [WIDE, NARROW, Core(vector_bits=256, tile_q=2)], ids=["512", "128", "256"])
@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("features", [16, 64, 128, 256, 1024])
def test_scratch_memory_fits_the_second_cache(core, bits, features):
    program = Program(features=features, v_features=features, bits=bits)
    for count in (everything, window(100)):
        tiles = choose(core, program, count)
        smallest = min(scratch_bytes(program, each) for each in candidates(core, program))
        assert scratch_bytes(program, tiles) <= max(core.l2_bytes // 2, smallest)
        assert tiles.block_q in ROW_BLOCKS
        assert tiles.block_q * 32 >= 2 * core.vector_bits
        assert tiles.block_kv in KEY_BLOCKS


def test_a_small_cache_asks_for_small_tiles():
    program = Program(features=256, v_features=256)
    small, large = (
        choose(Core(vector_bits=512, l2_bytes=size << 10), program, everything) for size in (256, 2048)
    )
    assert scratch_bytes(program, small) < scratch_bytes(program, large)
    tiny = choose(Core(vector_bits=512, l2_bytes=1), program, everything)
    assert tiny == Tiles(32, 16)


@pytest.mark.parametrize("features", [32, 64, 128, 256])
@pytest.mark.parametrize("bits", [16, 32])
def test_a_narrow_window_gets_smaller_tiles(features, bits):
    program = Program(features=features, v_features=features, bits=bits)
    full, wide, narrow = (choose(WIDE, program, count) for count in (everything, window(1024), window(16)))
    area = [tiles.block_q * tiles.block_kv for tiles in (narrow, wide, full)]
    assert area == sorted(area)
    assert area[0] < area[-1]


def test_more_work_costs_more():
    program = Program(features=64, v_features=64)
    for tiles in map(Tiles, *zip(*itertools.product(ROW_BLOCKS, KEY_BLOCKS), strict=True)):
        some, more, masked = Visits(4, 10, 2), Visits(4, 12, 2), Visits(4, 10, 3)
        assert cycles(WIDE, program, tiles, some) < cycles(WIDE, program, tiles, more)
        assert cycles(WIDE, program, tiles, some) < cycles(WIDE, program, tiles, masked)
        larger = Program(features=64, v_features=80)
        assert cycles(WIDE, program, tiles, some) < cycles(WIDE, larger, tiles, some)
        assert cycles(WIDE, program, tiles, some) < cycles(NARROW, program, tiles, some)


def test_products_are_all_elements_of_all_tiles():
    program = Program(features=64, v_features=32)
    tiles, visits = Tiles(32, 16), Visits(2, 3, 4)
    elements = 32 * 16 * (64 + 32) * 7
    assert work(WIDE, program, tiles, visits)["products"] == elements // 16
    paired = Core(vector_bits=512, pair_products=True)
    narrow = Program(features=64, v_features=32, bits=16)
    assert work(paired, narrow, tiles, visits)["products"] == elements // 32


def test_given_sizes_stay():
    program = Program(features=64, v_features=64)
    assert choose(WIDE, program, everything, 48, 6) == Tiles(48, 6)
    assert choose(WIDE, program, everything, block_kv=7).block_kv == 7
    assert choose(WIDE, program, everything, block_q=3).block_q == 3


@pytest.mark.parametrize("name", sorted(NAMED_TARGETS))
@pytest.mark.parametrize("mask", [None, masks.causal(), masks.window(24), masks.chunked(100)])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_programs_on_described_processors(name, mask, dtype):
    """The choice is legal, stands in the IR, and a person's choice goes before it."""
    target = NAMED_TARGETS[name]
    q = aec.tensor("B", 2, "S", 64, dtype=dtype)

    @aec.program(q=q, k=q, v=q)
    def program(q, k, v):
        chosen = {} if mask is None else {"mask": mask}
        return aec.attention(q, k, v, normalize=normalizers.softmax(), **chosen)

    def tiles(**options):
        step = re.search(r"cpu-choose-tiles\{[^}]*\}", expanded(CpuSchedule(**options), target))
        with make_context():
            module = ir.Module.parse(str(program.module))
            run_pipeline(module, f"builtin.module(attn-derive-online,func.func({step[0]}))")
            found = re.search(r"attn.tile = array<i64: (\d+), (\d+)>", str(module))
            return int(found[1]), int(found[2])

    rows, keys = tiles()
    assert rows in ROW_BLOCKS
    assert rows >= 2 * target.lanes(32)
    assert keys in KEY_BLOCKS
    assert tiles(block_q=48, block_kv=24) == (48, 24)
    if mask is None:
        assert rows * keys >= 64 * 32


@pytest.mark.parametrize("mask", [masks.causal(), masks.dilated(4), None])
@pytest.mark.parametrize("length", [0, 1, 1 << 40])
def test_lengths_are_not_counted_one_by_one(mask, length):
    q = aec.tensor(1, 1, length, 16)

    @aec.program(q=q, k=q, v=q)
    def program(q, k, v):
        chosen = {} if mask is None else {"mask": mask}
        return aec.attention(q, k, v, normalize=normalizers.softmax(), **chosen)

    with make_context():
        module = ir.Module.parse(str(program.module))
        run_pipeline(module, "builtin.module(attn-derive-online,func.func(cpu-choose-tiles))")
        assert "attn.tile = array<i64: " in str(module)


def of_documents(ids):
    return masks.document(ids)


@pytest.mark.parametrize(
    ("mask", "length", "first"),
    [
        (None, "S", True),
        (masks.window(100), "S", True),
        (masks.window(100), 1024, True),
        (masks.causal(), "S", False),
        (masks.prefix_lm(64), "S", False),
        # Half of the rows have fewer keys than the window.
        (masks.window(100), 128, False),
        # One tile of rows, or none.
        (None, 1, False),
        (None, 0, False),
        # Known when it is called.
        (of_documents, "S", False),
    ],
)
def test_the_first_tile_of_rows_comes_first_unless_the_last_may_take_longest(mask, length, first):
    q = aec.tensor("B", 2, length, 64)

    @aec.program(q=q, k=q, v=q, ids=aec.tensor("B", length, dtype="i32"))
    def program(q, k, v, ids):
        given = of_documents(ids) if mask is of_documents else mask
        chosen = {} if given is None else {"mask": given}
        return aec.attention(q, k, v, normalize=normalizers.softmax(), **chosen)

    with make_context():
        module = ir.Module.parse(str(program.module))
        run_pipeline(module, "builtin.module(attn-derive-online,func.func(cpu-choose-tiles))")
        assert ("attn.first_tile_first" in str(module)) == first


def expanded(schedule, target):
    """The passes of the pipeline for a processor, as text."""
    return str(Pipeline(pipeline_for(schedule, target)))
