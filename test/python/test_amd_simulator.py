"""The simulator of AMD assembly gets from kernels that Triton's AMD backend compiles what float64 gives."""

import ml_dtypes
import numpy as np
import pytest

from aecompiler.backends.amd.simulator import (
    LocalMemoryError,
    LocalMemoryRace,
    MissingWait,
    Program,
    Runaway,
    SimulationError,
    StrayAccess,
    UnknownInstruction,
    simulate,
)
from aecompiler.backends.amd.target import NAMED_TARGETS

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


# Kernels written by hand, for one rule each.


def kernel(
    code: str, pointers: int = 1, lds_bytes: int = 0, chip: str = "gfx942", entry: str = "s_nop 0"
) -> Program:
    """A kernel that has `pointers` addresses in s[2:3], s[4:5], ... when `code` begins.

    `entry` stands before them, where s2 is the number of the workgroup.
    """
    arguments = "\n".join(
        f"      - .offset: {8 * n}\n        .size: 8\n        .value_kind: global_buffer"
        for n in range(pointers)
    )
    loads = "\n".join(
        f"s_load_dwordx2 s[{2 + 2 * n}:{3 + 2 * n}], s[0:1], {8 * n:#x}" for n in range(pointers)
    )
    text = f"""
k:
{entry}
{loads}
s_waitcnt lgkmcnt(0)
{code}
s_endpgm
.Lfunc_end0:
.amdhsa_kernel k
.amdhsa_group_segment_fixed_size {lds_bytes}
.amdhsa_user_sgpr_kernarg_segment_ptr 1
.amdhsa_user_sgpr_count 2
.amdhsa_system_sgpr_workgroup_id_x 1
.end_amdhsa_kernel
.amdgpu_metadata
amdhsa.kernels:
  - .args:
{arguments}
    .kernarg_segment_size: {8 * pointers}
    .name: k
.end_amdgpu_metadata
"""
    return Program.parse(text, "k", chip)


def result_of(code: str, threads: int = 64, chip: str = "gfx942", lds_bytes: int = 0) -> np.ndarray:
    """What stands in v1 at the end of `code`, for each thread; v0 is its number and v10 four times of it."""
    out = np.zeros(threads, np.uint32)
    prologue, epilogue = "v_lshlrev_b32_e32 v10, 2, v0\n", "\nglobal_store_dword v10, v1, s[2:3]"
    simulate(kernel(prologue + code + epilogue, 1, lds_bytes, chip), [out], 1, threads)
    return out


LANE = np.arange(64)


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


@pytest.mark.parametrize(
    ("control", "source"),
    [
        ("quad_perm:[1,0,3,2]", LANE ^ 1),
        ("row_ror:3", LANE // 16 * 16 + (LANE - 3) % 16),
        ("row_mirror", LANE // 16 * 16 + 15 - LANE % 16),
        ("row_half_mirror", LANE // 8 * 8 + 7 - LANE % 8),
        ("row_newbcast:5", LANE // 16 * 16 + 5),
        ("row_shl:1", np.where(LANE % 16 < 15, LANE + 1, -1)),
        ("row_shr:4", np.where(LANE % 16 >= 4, LANE - 4, -1)),
    ],
)
def test_dpp_reads_other_lanes(control, source):
    code = f"v_mov_b32_e32 v1, 99\nv_mov_b32_dpp v1, v0 {control} row_mask:0xf bank_mask:0xf"
    assert np.array_equal(result_of(code), np.where(source >= 0, source, 99))
    assert np.array_equal(result_of(code + " bound_ctrl:1"), np.where(source >= 0, source, 0))


def test_swizzle_and_permutes():
    swap = "ds_swizzle_b32 v1, v0 offset:swizzle(SWAP,16)\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(swap), LANE ^ 16)
    back = "v_xor_b32_e32 v2, 0x14, v10\nds_bpermute_b32 v1, v2, v0\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(back), LANE ^ 5)


def test_swaps_of_rows_exchange_halves():
    code = "v_mov_b32_e32 v1, v0\nv_add_u32_e32 v2, 0x64, v0\nv_permlane32_swap_b32_e32 v1, v2"
    assert np.array_equal(result_of(code, chip="gfx950"), np.where(LANE < 32, LANE, LANE - 32 + 100))


def test_stray_access_names_line_lane_and_address():
    out = np.zeros(60, np.uint32)
    code = "v_lshlrev_b32_e32 v10, 2, v0\nglobal_store_dword v10, v0, s[2:3]"
    with pytest.raises(
        StrayAccess, match=r"lane 60 accesses 4 bytes at 0x100000000f0.*\[line 7: global_store"
    ) as found:
        simulate(kernel(code), [out], 1, 64)
    assert (found.value.line, found.value.wave) == (7, 0)


def test_buffers_read_zero_and_drop_stores_out_of_bounds():
    descriptor = (
        "s_mov_b32 s4, 0x50\ns_mov_b32 s8, s2\ns_mov_b32 s9, s3\ns_mov_b32 s10, s4\ns_mov_b32 s11, 0x27000\n"
    )
    values = np.arange(100, 164, dtype=np.uint32)
    code = (
        descriptor
        + """v_lshlrev_b32_e32 v10, 2, v0
buffer_load_dword v1, v10, s[8:11], 0 offen
s_waitcnt vmcnt(0)
v_add_u32_e32 v1, 1, v1
buffer_store_dword v1, v10, s[8:11], 0 offen offset:4"""
    )
    simulate(kernel(code), [values], 1, 64)
    expected = np.arange(100, 164)
    expected[1:20] = np.arange(100, 119) + 1
    assert np.array_equal(values, expected)


def test_wide_buffer_accesses_are_checked_word_by_word():
    out = np.full(64, 7, np.uint32)
    code = """s_mov_b32 s10, 24
s_mov_b32 s8, s2
s_mov_b32 s9, s3
s_mov_b32 s11, 0x27000
v_lshlrev_b32_e32 v10, 4, v0
v_mov_b32_e32 v1, 1
v_mov_b32_e32 v2, 2
v_mov_b32_e32 v3, 3
v_mov_b32_e32 v4, 4
buffer_store_dwordx4 v[1:4], v10, s[8:11], 0 offen"""
    simulate(kernel(code), [out], 1, 64)
    assert np.array_equal(out[:8], [1, 2, 3, 4, 1, 2, 7, 7])


def test_local_memory_beyond_its_size_is_an_error():
    with pytest.raises(LocalMemoryError, match="outside the workgroup's 128 bytes"):
        result_of("ds_write_b32 v10, v0\nv_mov_b32_e32 v1, 0", lds_bytes=128)
    with pytest.raises(SimulationError, match="gfx942 has 65536"):
        result_of("v_mov_b32_e32 v1, 0", lds_bytes=1 << 17)


EXCHANGE = """v_xor_b32_e32 v2, 0x100, v10
ds_write_b32 v10, v0
{wait}
{barrier}
ds_read_b32 v1, v2
s_waitcnt lgkmcnt(0)"""


def test_exchange_between_waves_needs_wait_and_barrier():
    whole = EXCHANGE.format(wait="s_waitcnt lgkmcnt(0)", barrier="s_barrier")
    assert np.array_equal(result_of(whole, 128, lds_bytes=512), np.arange(128) ^ 64)
    with pytest.raises(LocalMemoryRace, match="with no barrier"):
        result_of(EXCHANGE.format(wait="s_waitcnt lgkmcnt(0)", barrier=""), 128, lds_bytes=512)
    with pytest.raises(LocalMemoryRace, match=r"hasn't waited for \(lgkmcnt\)"):
        result_of(EXCHANGE.format(wait="", barrier="s_barrier"), 128, lds_bytes=512)


def test_overwriting_what_another_wave_still_reads_is_a_race():
    code = EXCHANGE.format(wait="s_waitcnt lgkmcnt(0)", barrier="s_barrier") + "\nds_write_b32 v10, v10"
    with pytest.raises(
        LocalMemoryRace, match=r"wave 1 reads .* wave 0 accesses at .*\(ds_write_b32 v10, v10\)"
    ):
        result_of(code, 128, lds_bytes=512)
    same = "v_mov_b32_e32 v1, 5\nv_mov_b32_e32 v2, 0\nds_write_b32 v2, {}"
    assert (result_of(same.format("v1"), 128, lds_bytes=4) == 5).all()
    with pytest.raises(LocalMemoryRace, match="wave 1 writes LDS bytes that wave 0 accesses"):
        result_of(same.format("v0"), 128, lds_bytes=4)


def test_uninitialised_local_memory_is_poison():
    assert (result_of("ds_read_b32 v1, v10\ns_waitcnt lgkmcnt(0)", lds_bytes=256) == 0xFFFFFFFF).all()


@pytest.mark.parametrize("count", [0, 1])
def test_loads_are_waited_for_in_order(count):
    code = f"""global_load_dword v2, v10, s[2:3]
global_load_dword v3, v10, s[2:3]
s_waitcnt vmcnt({count})
v_mov_b32_e32 v1, v2
v_mov_b32_e32 v1, {"v3" if count == 0 else "v2"}"""
    result_of(code)
    with pytest.raises(MissingWait, match=r"used before s_waitcnt vmcnt covers its load at line 8"):
        result_of(code.replace(f"vmcnt({count})", "vmcnt(1)").replace("v1, v2", "v1, v3"))


@pytest.mark.parametrize(
    ("load", "most"), [("global_load_dword v{}, v10, s[2:3]", 63), ("ds_read_b32 v{}, v10", 15)]
)
def test_counters_that_are_full_hold_instructions_back(load, most):
    def code(younger):
        return "\n".join([load.format(2), *[load.format(3)] * younger, "v_mov_b32_e32 v1, v2"])

    result_of(f"{code(most)}\ns_waitcnt vmcnt(0) lgkmcnt(0)", lds_bytes=256)
    with pytest.raises(MissingWait, match="used before"):
        result_of(code(most - 1), lds_bytes=256)


def test_stores_count_towards_vmcnt():
    code = """global_load_dword v2, v10, s[2:3]
global_store_dword v10, v0, s[2:3]
s_waitcnt vmcnt({})
v_mov_b32_e32 v1, v2"""
    result_of(code.format(1))
    with pytest.raises(MissingWait):
        result_of(code.format(2))


def test_scalar_loads_need_a_full_wait():
    loads = "s_load_dword s8, s[2:3], 0x0\ns_load_dword s9, s[2:3], 0x4"
    code = loads + "\ns_waitcnt lgkmcnt({})\nv_mov_b32_e32 v1, s8"
    result_of(code.format(0))
    with pytest.raises(MissingWait, match="lgkmcnt covers its load"):
        result_of(code.format(1))


def test_registers_may_not_be_overwritten_while_a_load_is_under_way():
    with pytest.raises(MissingWait, match="used before"):
        result_of("global_load_dword v1, v10, s[2:3]\nv_mov_b32_e32 v1, v0")
    with pytest.raises(MissingWait, match="overwritten before"):
        result_of(
            "global_load_dword v1, v10, s[2:3]\nds_read_b32 v1, v10\ns_waitcnt vmcnt(0) lgkmcnt(0)",
            lds_bytes=256,
        )


TO_LOCAL = """s_mov_b32 m0, s3
v_readfirstlane_b32 s8, v10
s_mov_b32 m0, s8
v_and_b32_e32 v3, 63, v0
v_lshlrev_b32_e32 v3, 2, v3
global_load_lds_dword v3, s[2:3]
{wait}
{barrier}
v_xor_b32_e32 v2, {other}, v10
ds_read_b32 v1, v2
s_waitcnt lgkmcnt(0)"""


def test_loads_into_local_memory_are_spelled_in_two_ways():
    code = TO_LOCAL.format(wait="s_waitcnt vmcnt(0)", barrier="", other="0")
    old = code.replace("global_load_lds_dword v3, s[2:3]", "global_load_dword v3, s[2:3] lds")
    assert not result_of(old, 64, chip="gfx90a", lds_bytes=256).any()


def test_loads_into_local_memory_need_vmcnt_and_a_barrier():
    wait, barrier = "s_waitcnt vmcnt(0)", "s_barrier"
    assert not result_of(TO_LOCAL.format(wait=wait, barrier=barrier, other="0x100"), 128, lds_bytes=512).any()
    result_of(TO_LOCAL.format(wait=wait, barrier="", other="4"), 128, lds_bytes=512)
    with pytest.raises(LocalMemoryRace, match="before it has waited for its load into them"):
        result_of(TO_LOCAL.format(wait="", barrier=barrier, other="4"), 128, lds_bytes=512)
    with pytest.raises(LocalMemoryRace, match=r"hasn't waited for \(vmcnt\)"):
        result_of(TO_LOCAL.format(wait="", barrier=barrier, other="0x100"), 128, lds_bytes=512)
    with pytest.raises(LocalMemoryRace, match="with no barrier"):
        result_of(TO_LOCAL.format(wait=wait, barrier="", other="0x100"), 128, lds_bytes=512)


ENDS_EARLY = """v_and_b32_e32 v3, 63, v0
v_lshlrev_b32_e32 v3, 2, v3
v_readfirstlane_b32 s8, v0
s_cmp_eq_u32 s8, 0
s_cbranch_scc1 .LBB0_1
s_mov_b32 m0, 0
global_load_lds_dword v3, s[2:3]
s_endpgm
.LBB0_1:
{barrier}
ds_read_b32 v1, v3
s_waitcnt lgkmcnt(0)
v_add_u32_e32 v1, 1, v1"""


def test_waves_end_when_their_loads_into_local_memory_are_over():
    """s_endpgm waits for them, so that LDS may go to another workgroup; others see them behind a barrier."""
    whole = result_of(ENDS_EARLY.format(barrier="s_barrier"), 128, lds_bytes=256)
    assert np.array_equal(whole, np.repeat([1, 0], 64))
    with pytest.raises(LocalMemoryRace, match="with no barrier between its wait and this access"):
        result_of(ENDS_EARLY.format(barrier="").replace("LBB0_1:", "LBB0_1:\ns_nop 0"), 128, lds_bytes=256)


@pytest.mark.parametrize(
    ("stride", "chip", "cycles"),
    [
        (4, "gfx942", 0),
        (8, "gfx942", 2),
        (128, "gfx942", 62),
        (4, "gfx950", 0),
        (8, "gfx950", 1),
        (128, "gfx950", 31),
    ],
)
def test_bank_conflicts_of_strided_reads(stride, chip, cycles):
    out = np.zeros(64, np.uint32)
    code = f"v_mul_u32_u24_e32 v1, {stride}, v0\nds_read_b32 v2, v1"
    counts = simulate(kernel(code, lds_bytes=64 * stride, chip=chip), [out], 1, 64)
    assert (counts.read_conflict_cycles, counts.write_conflict_cycles) == (cycles, 0)


def test_broadcasts_have_no_conflicts_and_wide_writes_go_in_phases():
    out = np.zeros(64, np.uint32)
    counts = simulate(kernel("v_mov_b32_e32 v1, 0\nds_read_b128 v[2:5], v1", lds_bytes=64), [out], 1, 64)
    assert counts.read_conflict_cycles == 0
    code = "v_lshlrev_b32_e32 v1, 4, v0\nds_write_b128 v1, v[2:5]\nds_write_b64 v1, v[2:3]"
    counts = simulate(kernel(code, lds_bytes=1024), [out], 1, 64)
    assert counts.write_conflict_cycles == 4


MATRIX_CASES = [
    (target.chip, matrix) for target in NAMED_TARGETS.values() for matrix in target.matrix_instructions
]


@pytest.mark.parametrize(
    ("chip", "matrix"), MATRIX_CASES, ids=[f"{chip}-{m.name}" for chip, m in MATRIX_CASES]
)
def test_matrix_instructions_multiply(chip, matrix):
    random = np.random.default_rng(0)
    m, n, k = matrix.m, matrix.n, matrix.k
    kinds = {
        "f16": np.float16,
        "bf16": ml_dtypes.bfloat16,
        "f32": np.float32,
        "xf32": np.float32,
        "f64": np.float64,
    }
    kind, wide = kinds[matrix.dtype], np.float64 if matrix.dtype == "f64" else np.float32
    a, b, c = random.standard_normal((m, k)), random.standard_normal((k, n)), random.standard_normal((m, n))
    a, b, c = a.astype(kind), b.astype(kind), c.astype(wide)
    each = m * k // 64
    left, right = np.zeros((64, each), kind), np.zeros((64, each), kind)
    rows, results = np.zeros((64, m * n // 64), int), m * n // 64
    for lane in range(64):
        left[lane] = a[lane % m, lane // m * each :][:each]
        right[lane] = b[lane // n * each :, lane % n][:each]
        for r in range(results):
            if matrix.dtype == "f64":
                rows[lane, r] = lane // 16 + 4 * r
            elif m == 16:
                rows[lane, r] = 4 * (lane // 16) + r
            else:
                rows[lane, r] = 8 * (r // 4) + 4 * (lane // 32) + r % 4
    columns = np.arange(64)[:, None] % n
    total = np.ascontiguousarray(c[rows, columns])
    words, out = left.nbytes // 256, total.nbytes // 256
    code = []
    for register, array, count, first in (
        (4, "s[2:3]", words, 16),
        (5, "s[4:5]", words, 32),
        (6, "s[6:7]", out, 64),
    ):
        code.append(f"v_mul_u32_u24_e32 v{register}, {4 * count}, v0")
        code += [f"global_load_dword v{first + r}, v{register}, {array} offset:{4 * r}" for r in range(count)]
    span = lambda first, count: f"v[{first}:{first + count - 1}]" if count > 1 else f"v{first}"  # noqa: E731
    code += [
        "s_waitcnt vmcnt(0)",
        f"{matrix.name} {span(64, out)}, {span(16, words)}, {span(32, words)}, {span(64, out)}",
    ]
    code += [f"global_store_dword v6, v{64 + r}, s[6:7] offset:{4 * r}" for r in range(out)]
    simulate(kernel("\n".join(code), 3, chip=chip), [left, right, total], 1, 64)
    expected = (a.astype(np.float64) @ b.astype(np.float64) + c)[rows, columns]
    tolerance = {"f64": 1e-14, "xf32": 1e-2}.get(matrix.dtype, 1e-5)
    assert np.abs(total - expected).max() < tolerance


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


def test_addresses_of_local_memory_wrap_around():
    write = "v_subrev_u32_e32 v2, 64, v10\nds_write_b32 v2, v0 offset:64\n"
    code = write + "ds_read_b32 v1, v10\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(code, lds_bytes=256), LANE)


def test_arguments_are_checked():
    program = kernel("s_nop 0", pointers=2)
    with pytest.raises(SimulationError, match="takes 2 arguments, got 3"):
        simulate(program, [None, None, None], 1, 64)
    with pytest.raises(SimulationError, match="argument 0 expects a contiguous array"):
        simulate(program, [np.zeros((4, 4))[:, 1], None], 1, 64)
    with pytest.raises(SimulationError, match="no kernel named 'other'"):
        Program.parse("k:\n s_endpgm", "other", "gfx942")


DIVIDE = """v_lshlrev_b32_e32 v20, 3, v0
global_load_dwordx2 v[2:3], v20, s[2:3]
global_load_dwordx2 v[4:5], v20, s[4:5]
s_waitcnt vmcnt(0)
v_div_scale_f64 v[6:7], s[10:11], v[4:5], v[4:5], v[2:3]
v_rcp_f64_e32 v[8:9], v[6:7]
v_fma_f64 v[10:11], -v[6:7], v[8:9], 1.0
v_fma_f64 v[8:9], v[8:9], v[10:11], v[8:9]
v_div_scale_f64 v[12:13], vcc, v[2:3], v[4:5], v[2:3]
v_mul_f64 v[14:15], v[12:13], v[8:9]
v_fma_f64 v[6:7], -v[6:7], v[14:15], v[12:13]
v_div_fmas_f64 v[6:7], v[6:7], v[8:9], v[14:15]
v_div_fixup_f64 v[2:3], v[6:7], v[4:5], v[2:3]
global_store_dwordx2 v20, v[2:3], s[6:7]"""


def test_divisions_in_f64_are_right_at_the_ends_of_the_range():
    numbers = [0.0, -0.0, 1, -3.5, 1e-310, 5e-324, 2.3e-308, 7e300, -1e-300, 1.7e308, np.inf, -np.inf, np.nan]
    x, y = (np.ravel(each) for each in np.meshgrid(numbers, numbers))
    count = -(-x.size // 64) * 64
    x, y = (np.concatenate([each, np.ones(count - x.size)]) for each in (x, y))
    program = kernel(DIVIDE, pointers=3)
    for first in range(0, count, 64):
        part, out = slice(first, first + 64), np.zeros(64)
        simulate(program, [np.copy(x[part]), np.copy(y[part]), out], 1, 64)
        with np.errstate(all="ignore"):
            want = x[part] / y[part]
        np.testing.assert_allclose(out, want, rtol=3e-16, atol=5e-324)
        assert np.array_equal(np.signbit(out), np.signbit(want) & ~np.isnan(want))


def test_leading_bits_of_the_sign_are_counted():
    shifted = result_of("v_lshlrev_b32_e32 v1, v0, v0\nv_ffbh_i32_e32 v1, v1")
    numbers = (np.arange(64) << np.arange(64) % 32) & 0xFFFFFFFF
    numbers = np.where(numbers >> 31, ~numbers & 0xFFFFFFFF, numbers)
    assert [int(each) for each in shifted] == [32 - int(n).bit_length() if n else 0xFFFFFFFF for n in numbers]


def test_constants_of_mixed_sums_are_of_the_type_of_the_operand():
    code = "v_cvt_f32_u32_e32 v2, v0\nv_fma_mix_f32 v1, -v2, 1.0, {c} op_sel_hi:[0,{half},0]"
    halves = result_of(code.format(c="2.0", half=1)).view(np.float32)
    singles = result_of(code.format(c="neg(2.0)", half=0)).view(np.float32)
    assert np.array_equal(halves, 2.0 - LANE)
    assert np.array_equal(singles, -2.0 - LANE)


def test_both_words_of_the_constant_0_are_0():
    code = (
        "v_cvt_f32_u32_e32 v2, v0\nv_mov_b32_e32 v3, v2\nv_pk_add_f32 v[4:5], v[2:3], 0\nv_mov_b32_e32 v1, v5"
    )
    assert np.array_equal(result_of(code).view(np.float32), LANE)
    with pytest.raises(UnknownInstruction, match=r"upper word of the constant '1\.0'"):
        result_of(code.replace("v[2:3], 0", "v[2:3], 1.0"))
