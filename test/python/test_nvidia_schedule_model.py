"""The model of what schedules take: what follows from a chip's numbers, and in which direction."""

from __future__ import annotations

import dataclasses

import pytest

from aecompiler.backends.nvidia.program_facts import Form, ProgramFacts, Shape
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_model import CONSTANTS, Model, dealt
from aecompiler.backends.nvidia.schedule_space import legal_schedules
from aecompiler.backends.nvidia.target import NAMED_TARGETS, named_target
from aecompiler.passes.tile_counts import Visited

HOPPER = named_target("nvidia:sm_90")
FACTS = ProgramFacts(
    features=128, value_features=128, element="bf16", operations=6.0, special=1.0, mask_operations=2.0
)
ROLES = NvidiaSchedule(consumers=2, block_kv=128, num_stages=2, grid="tiles", waits="at-end", order="free")
PLAIN = NvidiaSchedule(block_q=64, block_kv=64, num_warps=4, num_stages=3)


def form(is_causal=False, heads=64, rows=4096, keys=4096, **changes):
    """The form of a program without masked elements, or a causal one."""

    def visits(block_q, block_kv):
        tiles = -(-keys // block_kv)
        firsts = range(0, rows, block_q)
        if not is_causal:
            return [Visited(tiles, 0) for _ in firsts]
        return [Visited(first // block_kv, -(-block_q // block_kv)) for first in firsts]

    facts = dataclasses.replace(FACTS, **changes)
    return Form(facts, Shape(heads=heads, rows=rows, keys=keys), "", visits)


def time_of(schedule, target=HOPPER, **what):
    return Model(form(**what), target).microseconds(schedule)


@pytest.mark.parametrize("schedule", [ROLES, PLAIN])
@pytest.mark.parametrize(
    "more",
    [
        {"heads": 256},
        {"keys": 8192},
        {"features": 256},
        {"value_features": 256},
        {"special": 4.0},
        {"operations": 60.0},
        {"loads": 4.0},
        {"element": "f32"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_more_work_takes_longer(schedule, more):
    assert time_of(schedule, **more) > 1.05 * time_of(schedule)


@pytest.mark.parametrize("schedule", [ROLES, PLAIN, dataclasses.replace(ROLES, grid="persistent")])
def test_causal_masks_take_half_and_a_little_more(schedule):
    assert 0.5 < time_of(schedule, is_causal=True) / time_of(schedule) < 0.8


def test_operations_of_masks_count_in_their_tiles_only():
    assert time_of(ROLES, mask_operations=100.0) == time_of(ROLES)
    assert time_of(ROLES, is_causal=True, mask_operations=100.0) > time_of(ROLES, is_causal=True)


def test_no_schedule_is_faster_than_the_tensor_cores():
    flops = 4 * 64 * 4096 * 4096 * 128
    least = flops / HOPPER.peak_flops("bf16") * 1e6
    model = Model(form(), HOPPER)
    assert all(model.microseconds(each) > least for each in legal_schedules(FACTS, HOPPER))


def test_a_wave_that_is_begun_costs_a_whole_one():
    one = time_of(ROLES, heads=HOPPER.multiprocessors, rows=128)
    assert time_of(ROLES, heads=HOPPER.multiprocessors - 9, rows=128) == pytest.approx(one)
    assert time_of(ROLES, heads=HOPPER.multiprocessors + 1, rows=128) == pytest.approx(2 * one)


def test_blocks_of_unequal_length_fill_the_chip():
    even, uneven = [10.0] * 4, [4.0, 8.0, 12.0, 16.0]
    assert dealt(even, 9, 4) == 30.0
    assert dealt(uneven, 9, 4) < 30.0
    assert dealt(uneven, 1, 4) == 16.0


def test_a_ring_of_one_tile_waits_for_memory():
    assert time_of(dataclasses.replace(ROLES, num_stages=1)) > 1.2 * time_of(ROLES)


def test_more_groups_hide_more():
    one, two = (dataclasses.replace(ROLES, consumers=number) for number in (1, 2))
    assert time_of(one) > 1.1 * time_of(two)


def test_small_tiles_read_more_of_q_and_wait_more_often():
    assert time_of(dataclasses.replace(ROLES, block_kv=16)) > 1.5 * time_of(ROLES)


def test_registers_that_are_missing_cost():
    model = Model(form(), HOPPER)
    large = NvidiaSchedule(block_q=128, block_kv=128, num_warps=4, num_stages=2)
    assert model.plain_registers(large) > HOPPER.registers_per_thread > model.plain_registers(PLAIN)
    free = Model(form(), HOPPER, {**CONSTANTS, "spill": 0.0})
    assert model.microseconds(large) > free.microseconds(large)
    assert model.microseconds(PLAIN) == free.microseconds(PLAIN)


@pytest.mark.parametrize("name", NAMED_TARGETS)
@pytest.mark.parametrize("element", ["bf16", "f32"])
def test_every_chip_and_type_has_times(name, element):
    target = NAMED_TARGETS[name]
    model = Model(form(element=element), target)
    found = [model.microseconds(each) for each in legal_schedules(model.facts, target)]
    assert all(0 < time < 1e6 for time in found)
    assert len(set(found)) > 5


def test_programs_without_rows_have_a_time():
    empty = Form(FACTS, Shape(heads=4, rows=0, keys=64), "", lambda *_: [])
    assert Model(empty, HOPPER).microseconds(ROLES) >= 0
