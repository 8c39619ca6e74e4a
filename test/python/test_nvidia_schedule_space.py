"""Which schedules a chip has room for: what passes take is among them, what they refuse is not."""

from __future__ import annotations

import pytest

import aecompiler as aec
from aecompiler.backends.nvidia.backend import NvidiaBackend
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_space import BLOCKS_KV, ProgramFacts, legal_schedules
from aecompiler.backends.nvidia.target import NAMED_TARGETS, named_target
from aecompiler.errors import CompileError
from aecompiler.library import masks

HOPPER = named_target("nvidia:sm_90")


def facts(features, value_features=None, element="bf16"):
    return ProgramFacts(features=features, value_features=value_features or features, element=element)


def causal(features, value_features):
    """A program of causal attention."""
    x = aec.tensor("B", 4, "S", features, dtype="bf16")
    v = aec.tensor("B", 4, "S", value_features, dtype="bf16")

    @aec.program(q=x, k=x, v=v)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), mask=masks.causal())

    return attention


def roles_of(found):
    return {
        (each.consumers, each.block_kv, each.num_stages)
        for each in found
        if each.consumers and (each.grid, each.waits) == ("persistent", "at-end")
    }


@pytest.mark.parametrize("features", [(64, 64), (192, 128), (256, 256), (80, 80), (96, 192)])
def test_passes_take_what_there_is_room_for_and_nothing_beyond(features):
    """At the border: the largest tile of each number of consumers, the most stages, and one more of each."""
    module, backend = causal(*features).module, NvidiaBackend(HOPPER)
    found = roles_of(legal_schedules(facts(*features), HOPPER))
    for consumers in {each[0] for each in found}:
        keys = max(block for number, block, _ in found if number == consumers)
        stages = max(each[2] for each in found if each[:2] == (consumers, keys))
        given = {"consumers": consumers, "grid": "persistent", "waits": "at-end"}
        backend.lower(module, NvidiaSchedule(block_kv=keys, num_stages=stages, **given))
        if stages < 4:
            with pytest.raises(CompileError, match="bytes of shared memory, a block may have"):
                backend.lower(module, NvidiaSchedule(block_kv=keys, num_stages=stages + 1, **given))
        with pytest.raises(CompileError, match="registers of a thread, which may have"):
            backend.lower(module, NvidiaSchedule(block_kv=2 * keys, num_stages=1, **given))


@pytest.mark.parametrize("name", NAMED_TARGETS)
def test_every_chip_has_schedules_and_roles_only_where_it_has_wgmma(name):
    target = NAMED_TARGETS[name]
    found = legal_schedules(facts(128), target)
    assert len(set(found)) == len(found) > 20
    assert any(each.consumers for each in found) == target.specializes_warps
    assert not all(each.consumers for each in found)


@pytest.mark.parametrize("odd", [facts(64, element="f32"), facts(40), facts(64, 72), facts(64, 512)])
def test_tiles_that_are_not_copied_through_descriptors_have_no_roles(odd):
    found = legal_schedules(odd, HOPPER)
    assert not any(each.consumers for each in found)


def test_all_keys_of_tiles_are_there_for_few_features():
    found = legal_schedules(facts(16), HOPPER)
    assert {each.block_kv for each in found if each.consumers == 1} == set(BLOCKS_KV)


def test_smaller_memory_has_room_for_fewer():
    small, large = named_target("nvidia:sm_86"), named_target("nvidia:sm_80")
    assert set(legal_schedules(facts(256), small)) < set(legal_schedules(facts(256), large))
