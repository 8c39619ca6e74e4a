"""Code that computes with scalar registers which nothing has set is told, and generated in another way."""

from __future__ import annotations

import pytest

from aecompiler.backends.amd.codegen import toolchain
from aecompiler.backends.amd.codegen.lost_scalars import lost_scalar
from aecompiler.backends.amd.simulator.text import parse_body
from aecompiler.errors import ResourceError

LOADED = "s_load_dwordx4 s[20:23], s[0:1], 0x0"


def lost(*lines: str) -> str | None:
    found = lost_scalar(parse_body("\n".join(["k:", *lines, "s_endpgm"]), "k"))
    return found and found.text


@pytest.mark.parametrize(
    "lines",
    [
        ["s_add_u32 s20, s0, s15"],  # what a kernel begins with
        [LOADED, "v_writelane_b32 v9, s21, 3", "v_readlane_b32 s40, v9, 3", "s_add_u32 s41, s40, s40"],
        [LOADED, "s_mov_b64 s[40:41], s[22:23]", "s_add_u32 s42, s40, s41"],
        # a group of which a part is copied for nothing
        ["v_writelane_b32 v9, s60, 0", "v_readlane_b32 s61, v9, 0", "s_mov_b32 s62, s61"],
        # half of a pair
        ["s_mov_b32 s40, 0", "v_pk_mul_f32 v[0:1], v[0:1], s[40:41] op_sel_hi:[1,0]"],
        # one of two ways
        ["s_cbranch_scc1 .L", "s_mov_b32 s40, 0", ".L:", "s_add_u32 s41, s40, s40"],
        ["v_cmp_gt_u32_e64 s[40:41], v1, v2", "v_cndmask_b32_e64 v1, v2, v3, s[40:41]"],
        ["v_add_co_u32_e64 v1, s[40:41], v2, v3", "v_addc_co_u32_e64 v1, s[42:43], v2, v3, s[40:41]"],
        ["v_readlane_b32 s40, v1, 5", "s_add_u32 s41, s40, s40"],  # of a register of the kernel's own
        ["v_cndmask_b32_e64 v1, v2, v3, vcc"],
        # not reached
        ["s_branch .L", "s_add_u32 s41, s40, s40", ".L:"],
    ],
)
def test_code_without_a_lost_scalar(lines: list[str]) -> None:
    assert lost(*lines) is None


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["s_add_u32 s41, s40, s0"], "s_add_u32 s41, s40, s0"),
        (["v_mul_f32_e64 v1, v2, -s40"], "v_mul_f32_e64 v1, v2, -s40"),
        (
            # six of a group of eight are copied: what was seen of LLVM
            [
                "s_load_dwordx8 s[24:31], s[0:1], 0x0",
                *("s_mov_b64 s[66:67], s[26:27]", "v_writelane_b32 v9, s64, 17"),
                *("v_writelane_b32 v9, s66, 19", "v_readlane_b32 s46, v9, 19"),
                *("v_readlane_b32 s44, v9, 17", "s_add_u32 s12, s46, s44"),
            ],
            "s_add_u32 s12, s46, s44",
        ),
        (
            ["s_mov_b64 s[40:41], s[50:51]", "s_lshl_b64 s[42:43], s[40:41], 1"],
            "s_lshl_b64 s[42:43], s[40:41], 1",
        ),
        (
            ["s_cbranch_scc1 .L", "s_mov_b32 s50, 0", ".L:", "s_branch .L2", ".L2:", "s_and_b32 s1, s40, 1"],
            "s_and_b32 s1, s40, 1",
        ),
        # each turn of a loop
        ([".L:", "s_add_u32 s1, s40, s1", "s_cbranch_scc1 .L"], "s_add_u32 s1, s40, s1"),
    ],
)
def test_lost_scalar(lines: list[str], wrong: str) -> None:
    assert lost(*lines) == wrong


KERNEL = """define amdgpu_kernel void @k() #0 {
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
"""
LOSING = "k:\n v_writelane_b32 v1, s40, 0\n s_add_u32 s41, s40, s40\n s_endpgm\n"


@pytest.mark.parametrize("is_mended", [True, False])
def test_code_is_generated_again_without_merged_loads(monkeypatch, is_mended: bool) -> None:
    pytest.importorskip("triton")
    texts = []
    generate = toolchain._assembly

    def assembly(text: str, chip: str, fuse_multiply_add: bool) -> str:
        texts.append(text)
        made = generate(text, chip, fuse_multiply_add)
        return made if is_mended and len(texts) == 2 else LOSING

    monkeypatch.setattr(toolchain, "_assembly", assembly)
    if is_mended:
        assert "s_add_u32" not in toolchain.compile_text(KERNEL, "k", "gfx950").assembly
    else:
        rule = "expects code whose scalar registers are set, got 's_add_u32 s41, s40, s40' in line 3"
        with pytest.raises(ResourceError, match=rule):
            toolchain.compile_text(KERNEL, "k", "gfx950")
    assert ["noimplicitfloat" in text for text in texts] == [False, True]
