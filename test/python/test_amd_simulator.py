"""The simulator of AMD assembly gets from kernels that Triton's AMD backend compiles what float64 gives.

Kernels by hand show what it refuses, and what it counts.
"""

import numpy as np
import pytest
from amd_assembly import LANE, kernel, result_of

from aecompiler.backends.amd.simulator import (
    Program,
    Runaway,
    SimulationError,
    StrayAccess,
    UnknownInstruction,
    simulate,
)

CHIPS = ("gfx90a", "gfx942", "gfx950")
SAMPLE_NAMES = (
    *("matmul-f16", "matmul-bf16", "matmul-f32", "matmul-f32-wide", "matmul-f16-stages", "softmax-f32"),
    *("softmax-f16", "reduce", "running-sum", "attention-f16", "attention-bf16", "attention-f16-wide"),
    "attention-bf16-small",
)


@pytest.fixture(scope="module")
def samples():
    pytest.importorskip("triton")
    import amd_samples

    assert tuple(amd_samples.SAMPLES) == SAMPLE_NAMES
    return amd_samples


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_kernels_of_triton_agree_with_float64(samples, name, chip):
    check_sample(samples, samples.SAMPLES[name], chip)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("part", range(12))
def test_more_kernels_of_triton_agree_with_float64(samples, part, chip):
    for sample in list(samples.VARIANTS.values())[part::12]:
        check_sample(samples, sample, chip)


def check_sample(samples, sample, chip):
    name = sample.name
    assembly, kernel, lds_bytes, threads = samples.compiled(name, chip)
    arguments, results, grid = sample.make(np.random.default_rng(0))
    inputs = [np.copy(value) for n, value in enumerate(arguments) if n not in results]
    counts = simulate(Program.parse(assembly, kernel, chip), arguments, grid, threads, lds_bytes)
    for position, result in results.items():
        assert np.abs(samples.wide(arguments[position]) - result).max() <= sample.tolerance
    after = [value for n, value in enumerate(arguments) if n not in results]
    assert all(np.array_equal(before, value) for before, value in zip(inputs, after, strict=True))
    assert (counts.classes["mfma"] > 0) == ("matmul" in name or "attention" in name)


def test_unknown_opcodes_are_all_named_at_load():
    with pytest.raises(UnknownInstruction, match=r"s_frobnicate, line 7; v_frobnicate_b32, line 6"):
        kernel("v_frobnicate_b32 v1, v0\ns_frobnicate s0\nv_mov_b32_e32 v1, v0\nv_frobnicate_b32 v1, v0")


def test_opcodes_of_other_chips_are_unknown():
    swap = "v_permlane32_swap_b32_e32 v0, v1"
    kernel(swap, chip="gfx950")
    with pytest.raises(UnknownInstruction, match="unsupported on gfx942: v_permlane32_swap_b32"):
        kernel(swap, chip="gfx942")
    with pytest.raises(UnknownInstruction, match="v_mfma_f32_16x16x32_f16"):
        kernel("v_mfma_f32_16x16x32_f16 v[0:3], v[4:7], v[8:11], v[0:3]", chip="gfx942")


def test_unknown_modifiers_are_refused():
    with pytest.raises(UnknownInstruction, match=r"unknown modifiers \['op_sel'\]"):
        kernel("v_add_f16_e64 v1, v0, v0 op_sel:[1,0,0]")


def test_inactive_lanes_keep_their_values():
    code = "v_mov_b32_e32 v1, 7\ns_mov_b64 exec, 0xf0\nv_mov_b32_e32 v1, 9\ns_mov_b64 exec, -1"
    assert np.array_equal(result_of(code), np.where((LANE >= 4) & (LANE < 8), 9, 7))


def test_loop_with_scalar_counter_and_carry():
    code = """s_mov_b32 s8, 0
v_mov_b32_e32 v1, 0
.LBB0_1:
v_add_u32_e32 v1, v1, v0
s_add_i32 s8, s8, 1
s_cmp_lt_u32 s8, 5
s_cbranch_scc1 .LBB0_1"""
    assert np.array_equal(result_of(code), 5 * LANE)
    out = np.zeros(64, np.uint32)
    program = kernel("v_lshlrev_b32_e32 v10, 2, v0\n" + code + "\nglobal_store_dword v10, v1, s[2:3]")
    loop = simulate(program, [out], 3, 64).hot_loop
    assert loop is not None
    assert (loop.label, loop.trips) == (".LBB0_1", 15)
    assert loop.per_trip()["valu"] == 1
    assert loop.per_trip()["salu"] == 2


def test_share_of_matrix_instructions_in_a_loop():
    code = """s_mov_b32 s8, 0
.LBB0_1:
v_mfma_f32_16x16x16_f16 v[4:7], v[0:1], v[2:3], v[4:7]
s_add_i32 s8, s8, 1
s_cmp_lt_u32 s8, 5
s_cbranch_scc1 .LBB0_1
s_nop 7
global_store_dword v10, v0, s[2:3]"""
    counts = simulate(kernel("v_lshlrev_b32_e32 v10, 2, v0\n" + code), [np.zeros(64, np.uint32)], 1, 64)
    loop = counts.hot_loop
    assert loop is not None
    assert loop.mfma_share == 1 / 4
    assert counts.mfma_share == 5 / counts.instructions


def test_endless_loops_and_missing_ends_are_errors():
    out = np.zeros(64, np.uint32)
    with pytest.raises(Runaway, match="hasn't ended"):
        simulate(kernel(".LBB0_1:\ns_branch .LBB0_1"), [out], 1, 64, limit=1000)


def test_processes_share_the_workgroups():
    code = """v_lshlrev_b32_e32 v1, 2, v0
s_lshl_b32 s9, s8, 8
v_add_u32_e32 v1, s9, v1
v_mov_b32_e32 v2, s8
global_store_dword v1, v2, s[2:3]"""
    program = kernel(code.replace("s8", "s12"), entry="s_mov_b32 s12, s2")
    single, several = np.full((5, 64), 9, np.uint32), np.full((5, 64), 9, np.uint32)
    counts = [simulate(program, [out], 5, 64, jobs=jobs) for out, jobs in ((single, 1), (several, 2))]
    assert np.array_equal(single, np.repeat(np.arange(5)[:, None], 64, axis=1))
    assert np.array_equal(single, several)
    assert counts[0].classes == counts[1].classes
    with pytest.raises(StrayAccess, match="outside every array"):
        simulate(program, [np.zeros(64, np.uint32)], 5, 64, jobs=2)


def test_counts_of_chosen_instructions():
    out = np.zeros(64, np.uint32)
    counts = simulate(kernel("v_mov_b32_e32 v1, 0\nv_mov_b32_e32 v2, 0\ns_nop 0"), [out], 2, 64)
    chosen = counts.select(lambda one: one.opcode == "v_mov_b32")
    assert (chosen.instructions, chosen.classes["valu"], chosen.lines) == (4, 4, (6, 7))


def test_arguments_are_checked():
    program = kernel("s_nop 0", pointers=2)
    with pytest.raises(SimulationError, match="takes 2 arguments, got 3"):
        simulate(program, [None, None, None], 1, 64)
    with pytest.raises(SimulationError, match="argument 0 expects a contiguous array"):
        simulate(program, [np.zeros((4, 4))[:, 1], None], 1, 64)
    with pytest.raises(SimulationError, match="no kernel named 'other'"):
        Program.parse("k:\n s_endpgm", "other", "gfx942")
