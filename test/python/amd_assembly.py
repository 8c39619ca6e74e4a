"""Kernels of AMD assembly that are written by hand, for tests of one rule each."""

import numpy as np

from aecompiler.backends.amd.simulator import Program, simulate

LANE = np.arange(64)


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
