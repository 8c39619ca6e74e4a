"""The AMD simulator's memories: bounds, what races, what is waited for, and banks."""

import numpy as np
import pytest
from amd_assembly import LANE, kernel, result_of

from aecompiler.backends.amd.simulator import (
    LocalMemoryError,
    LocalMemoryRace,
    MissingWait,
    SimulationError,
    StrayAccess,
    simulate,
)


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


def test_addresses_of_local_memory_wrap_around():
    write = "v_subrev_u32_e32 v2, 64, v10\nds_write_b32 v2, v0 offset:64\n"
    code = write + "ds_read_b32 v1, v10\ns_waitcnt lgkmcnt(0)"
    assert np.array_equal(result_of(code, lds_bytes=256), LANE)
