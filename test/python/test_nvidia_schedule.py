"""Schedules for NVIDIA chips: what is tried, what is refused, and what code the fastest road gives."""

from __future__ import annotations

import re

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.backends.nvidia import backend
from aecompiler.backends.nvidia.program_facts import read_forms
from aecompiler.backends.nvidia.schedule import PLAIN, WITH_ROLES, NvidiaSchedule, pipeline_for
from aecompiler.backends.nvidia.schedule_choice import attempts, ranked
from aecompiler.backends.nvidia.target import named_target
from aecompiler.backends.triton import compiler
from aecompiler.backends.triton.report import report_of
from aecompiler.errors import BackendError, CompileError
from aecompiler.library import masks, normalizers

HOPPER, AMPERE = named_target("nvidia:sm_90"), named_target("nvidia:sm_80")


def causal(features=64, dtype="bf16", heads=4, value_features=None, **how):
    """A program of causal attention."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)
    v = aec.tensor("B", heads, "S", value_features or features, dtype=dtype)
    how.setdefault("mask", masks.causal())

    @aec.program(q=x, k=x, v=v)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), **how)

    return attention


def not_listed():
    """A mask for which a test of a tile takes a loop: there are no lists of tiles."""
    return masks.dilated(3) & masks.dilated(5)


def documents(features=128):
    """A program of causal attention within documents."""
    x = aec.tensor("B", 4, "S", features, dtype="bf16")

    @aec.program(q=x, k=x, v=x, ids=aec.tensor("B", "S", dtype="i32"))
    def attention(q, k, v, ids):
        return aec.attention(q, k, v, score=aec.scores.scale(), mask=masks.causal() & masks.document(ids))

    return attention


FORMS = read_forms(causal().module)


def roles(found):
    return [each.consumers for each in found]


# ---- what is tried -------------------------------------------------------------------------------------


def test_roles_of_warps_are_tried_first_where_the_chip_has_them():
    found = attempts(NvidiaSchedule(), HOPPER, FORMS)
    count = sum(map(bool, roles(found)))
    assert count >= 1
    assert all(roles(found)[:count])
    assert not any(roles(found)[count:])
    assert found[count:] == [NvidiaSchedule(**numbers) for numbers in PLAIN]


def test_other_chips_begin_with_what_the_model_says():
    first, *others = attempts(NvidiaSchedule(), AMPERE, FORMS)
    assert first == next(each for each in ranked(NvidiaSchedule(), AMPERE, FORMS) if not each.consumers)
    assert others == [NvidiaSchedule(**numbers) for numbers in PLAIN if NvidiaSchedule(**numbers) != first]


def test_tiles_become_smaller_from_attempt_to_attempt():
    sizes = [each.block_q * each.block_kv for each in attempts(NvidiaSchedule(), AMPERE)]
    assert len(sizes) > 2
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_programs_of_many_features_are_given_no_roles():
    assert not any(roles(attempts(NvidiaSchedule(), HOPPER, read_forms(causal(512).module))))
    assert any(roles(attempts(NvidiaSchedule(), HOPPER, read_forms(causal(256).module))))


@pytest.mark.parametrize("given", [{"block_q": 32}, {"num_warps": 8}])
def test_what_only_other_warps_have_means_them(given):
    found = attempts(NvidiaSchedule(**given), HOPPER, FORMS)
    assert not any(roles(found))
    assert all(getattr(each, name) == value for each in found for name, value in given.items())


@pytest.mark.parametrize("given", [{"block_kv": 32}, {"num_stages": 1}])
def test_numbers_that_are_given_stand_in_all_attempts(given):
    found = attempts(NvidiaSchedule(**given), HOPPER, FORMS)
    assert roles(found)[0]
    assert not roles(found)[-1]
    assert all(getattr(each, name) == value for each in found for name, value in given.items())


def test_consumers_that_are_given_are_not_replaced():
    found = attempts(NvidiaSchedule(consumers=1, num_stages=3), HOPPER, FORMS)
    assert found
    assert {(each.consumers, each.num_stages) for each in found} == {(1, 3)}


def test_no_attempt_is_made_twice():
    found = attempts(NvidiaSchedule(block_kv=64, num_stages=2), HOPPER)
    assert len(set(found)) == len(found)


def test_every_attempt_has_a_pipeline():
    for attempt in attempts(NvidiaSchedule(), HOPPER):
        name = "attn-hopper" if attempt.consumers else "attn-tt"
        assert pipeline_for(attempt, HOPPER).startswith(f"builtin.module({name}{{")


def test_a_persistent_grid_has_a_program_for_each_multiprocessor():
    text = pipeline_for(NvidiaSchedule(consumers=2, grid="persistent"), HOPPER)
    assert f"programs={HOPPER.multiprocessors} " in text
    assert "programs=0 " in pipeline_for(NvidiaSchedule(consumers=2, grid="tiles"), HOPPER)


def test_packed_heads_and_split_keys_are_options_of_pipelines():
    few = {"pack": "heads", "split": "keys"}
    assert "pack-heads=true split-programs=132" in pipeline_for(NvidiaSchedule(consumers=1, **few), HOPPER)
    text = pipeline_for(NvidiaSchedule(block_q=64, **few), AMPERE)
    assert f"packed-rows=64 split-programs={2 * AMPERE.multiprocessors} " in text
    none = {"pack": "none", "split": "none"}
    assert pipeline_for(NvidiaSchedule(**none), AMPERE) == pipeline_for(NvidiaSchedule(), AMPERE)


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"consumers": 4}, "expects consumers to be 1 to 3, or 0 to choose, got 4"),
        ({"consumers": -1}, "expects consumers to be 1 to 3, or 0 to choose, got -1"),
        ({"grid": "whole"}, "expects grid to be one of tiles, persistent, or '' to choose, got 'whole'"),
        ({"waits": "never"}, "expects waits to be one of at-use, at-end, together, or '' to choose"),
        ({"consumers": 2, "block_q": 128}, "expects block_q to be 0 beside consumers"),
        ({"consumers": 2, "num_warps": 4}, "expects num_warps to be 0 beside consumers"),
        ({"pack": "all"}, "expects pack to be one of none, heads, or '' to choose, got 'all'"),
        ({"split": "rows"}, "expects split to be one of none, keys, or '' to choose, got 'rows'"),
        ({"queries": -1}, "expects queries to be 1 to 1073741824, or 0 for as many as keys, got -1"),
        ({"queries": 3, "tune": 2}, "expects queries to be 0 beside tune"),
    ],
)
def test_options_are_checked_at_once(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        aec.compile(causal(), target="nvidia:sm_90", **given)


def test_consumers_need_a_chip_with_wgmma():
    with pytest.raises(BackendError, match="expects a target with wgmma for consumers, got 'nvidia:sm_80'"):
        aec.compile(causal(), target="nvidia:sm_80", consumers=2)


def test_too_much_shared_memory_is_refused_with_numbers():
    most = HOPPER.shared_bytes_per_block
    with pytest.raises(
        CompileError, match=rf"needs \d+ bytes of shared memory, a block may have {most}"
    ) as error:
        aec.compile(causal(128), target="nvidia:sm_90", consumers=2, block_kv=128, num_stages=8)
    needed = int(re.findall(r"needs (\d+) bytes", str(error.value))[0])
    rows, keys, row = 2 * 64, 8 * 2 * 128, 128 * 2
    assert 0 <= needed - (rows + keys) * row < 1024, "tiles of rows, a ring for k and one for v, and barriers"


def test_too_many_registers_are_refused_with_numbers():
    with pytest.raises(CompileError, match=r"needs about \d+ registers of a thread, which may have \d+"):
        aec.compile(causal(256), target="nvidia:sm_90", consumers=2, block_kv=256, num_stages=1)


def test_more_consumers_have_fewer_registers():
    with pytest.raises(CompileError, match=r"registers of a thread, which may have 160"):
        aec.compile(causal(256), target="nvidia:sm_90", consumers=3, block_kv=128, num_stages=1)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (causal(dtype="f32"), "expects tiles of v to be read by 'tt.descriptor_load'"),
        (causal(mask=not_listed()), "a loop around loops over tiles that can't be unrolled"),
        (causal(40), "expects a tile of rows that is read by a descriptor|tt.descriptor_load"),
        (causal(dtype="f16", normalize=normalizers.relu()), "second factor is no tile in shared memory"),
    ],
    ids=["f32", "tested in loops", "features", "large weights"],
)
def test_programs_that_are_not_for_roles_are_refused_with_a_reason(program, reason):
    with pytest.raises(CompileError, match=reason):
        aec.compile(program, target="nvidia:sm_90", consumers=2)


# ---- compiled ------------------------------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """What Triton makes of kernels that are compiled."""
    pytest.importorskip("triton")
    found = []
    by_triton = compiler.compile_kernel

    def compile_kernel(*arguments, **options):
        found.append(by_triton(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(compiler, "compile_kernel", compile_kernel)
    return found


@pytest.mark.parametrize("program", [causal(16, "f32", mask=masks.causal()), causal(16, mask=not_listed())])
def test_other_programs_take_the_other_road(program, compiled):
    manifest = aec.compile(program, target="nvidia:sm_90").artifact.manifest
    assert manifest["pipeline"].startswith("builtin.module(attn-tt{")
    assert {facts["stage"] for facts in manifest["kernels"].values()} == {"ttir"}
    assert compiled


def test_attempts_that_do_not_fit_are_followed_by_others(compiled, monkeypatch):
    """The first has too little shared memory, the second is compiled."""
    tried = [
        NvidiaSchedule(consumers=2, block_kv=128, num_stages=8, grid="tiles", waits="at-end"),
        NvidiaSchedule(consumers=1, block_kv=64, num_stages=1, grid="tiles", waits="at-end"),
        NvidiaSchedule(block_q=16, block_kv=16, num_warps=4, num_stages=1),
    ]
    monkeypatch.setattr(backend, "attempts", lambda *_: tried)
    kernel = aec.compile(causal(128, heads=1), target="nvidia:sm_90")
    assert "consumers=1" in kernel.artifact.manifest["pipeline"]
    assert len(compiled) == 1


MOST_SPILLS = {64: 48, 128: 4, 256: 20}
"""Instructions for want of registers in a loop with products, by features; with 64 there are three groups."""


@pytest.mark.parametrize(("features", "dtype"), [(64, "bf16"), (64, "f16"), (128, "bf16"), (256, "bf16")])
def test_code_of_causal_attention(features, dtype, compiled):
    """Each loop over tiles has the products that it needs, and nearly nothing that makes it wait."""
    manifest = aec.compile(causal(features, dtype), target="nvidia:sm_90").artifact.manifest
    pipeline = manifest["pipeline"]
    assert pipeline.startswith("builtin.module(attn-hopper{")
    numbers = {name: int(number) for name, number in re.findall(r"([\w-]+)=(\d+)", pipeline)}
    (facts,) = manifest["kernels"].values()
    assert facts["stage"] == "ttgir"
    (kernel,) = compiled
    assert kernel.warnings == ()
    report = report_of(kernel, HOPPER)
    assert len(set(report.reallocations)) >= 2, "a warp that copies gives registers to those that compute"
    loops = [loop for loop in report.loops if loop.kinds["wgmma"]]
    assert len(loops) == 2 * numbers["consumers"], "tiles with masks and without, for each group of warps"
    for loop in loops:
        assert loop.kinds["wgmma"] == np.ceil(features / 16) + numbers["block-kv"] / 16
        assert loop.kinds["mma"] == 0
        assert loop.kinds["block barriers"] <= 2 + 2 * ("ping-pong=true" in pipeline)
        assert loop.kinds["shared stores"] == loop.kinds["global loads"] == 0
        assert loop.kinds["spill stores"] + loop.kinds["spill loads"] <= MOST_SPILLS[features]
    exponentials = min(loop.kinds["special functions"] for loop in loops)
    scores = 64 * numbers["block-kv"] // 128
    assert exponentials <= scores + 4, "one for each score of a thread, and for its rows"


def test_code_of_documents(compiled):
    """Kernels before write lists of tiles; loops over lists are nearly those of causal attention."""
    same = WITH_ROLES[1]
    manifest = aec.compile(documents(), target="nvidia:sm_90", **same).artifact.manifest
    assert manifest["pipeline"].startswith("builtin.module(attn-hopper{")
    assert [facts["stage"] for facts in manifest["kernels"].values()] == ["ttir", "ttir", "ttgir"]
    main = report_of(compiled[-1], HOPPER)
    for each in compiled[:-1]:
        assert each.spill_stores == each.spill_loads == 0
    aec.compile(causal(128), target="nvidia:sm_90", **same)
    of_causal = report_of(compiled[-1], HOPPER)
    loops, plain = (
        sorted((loop for loop in report.loops if loop.kinds["wgmma"]), key=lambda loop: loop.instructions)
        for report in (main, of_causal)
    )
    assert len(loops) == len(plain) == 4
    for loop, other, most, loads in zip(loops, plain, (1.05, 1.05, 1.2, 1.2), (0, 0, 4, 4), strict=True):
        assert loop.instructions <= most * other.instructions
        assert loop.kinds["global loads"] <= loads, "a list, two rows, and one key for each thread"
        assert loop.kinds["spill stores"] + loop.kinds["spill loads"] <= 16


def test_keys_of_a_tile_that_no_role_takes_fall_back():
    pytest.importorskip("triton")
    kernel = aec.compile(causal(64), target="nvidia:sm_90", block_kv=100)
    assert "attn-tt" in kernel.artifact.manifest["pipeline"]
