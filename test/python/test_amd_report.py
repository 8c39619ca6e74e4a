"""What reports say of AMD's machine code: kinds of instructions, loops, clocks, and occupancy."""

from __future__ import annotations

import json
import re

import pytest
from amd_lanes import attention, elementwise, module
from triton_kernels import kernels

from aecompiler.backends.amd import triton_road
from aecompiler.backends.amd.artifact import code_of
from aecompiler.backends.amd.codegen.compiler import compile_module
from aecompiler.backends.amd.instruction_mix import KINDS, blocks_of, kind_of, loops_of, mix_of
from aecompiler.backends.amd.occupancy import occupancy
from aecompiler.backends.amd.report import KernelReport, report_of
from aecompiler.backends.amd.resources import resources_of
from aecompiler.backends.amd.simulator.text import parse_instruction
from aecompiler.backends.amd.target import GFX90A, GFX942, GFX950, NAMED_TARGETS
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import BackendError

TARGETS = pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.chip)

KERNEL = """\
	.text
k:                                      ; @k
; %bb.0:
	s_load_dwordx4 s[4:7], s[0:1], 0x0
	v_and_b32_e32 v0, 0x3ff, v0
.LBB0_1:                                ; outer
	v_mov_b32_e32 v1, 0
.LBB0_2:                                ; inner
	ds_read_b128 v[4:7], v1
	s_waitcnt lgkmcnt(0)
	v_mfma_f32_16x16x16_f16 v[8:11], v[4:5], v[6:7], v[8:11]
	v_mfma_f32_16x16x16_f16 v[8:11], v[4:5], v[6:7], v[8:11]
	v_exp_f32_e32 v2, v8
	v_mov_b32_dpp v3, v2 row_shr:1 row_mask:0xf bank_mask:0xf
	s_cbranch_scc1 .LBB0_2
; %bb.3:
	buffer_load_dword v1, s[4:7], 0 offen lds
	s_barrier
	s_cbranch_vccnz .LBB0_1
; %bb.4:
	global_store_dword v1, v2, s[4:5]
	s_endpgm
.Lfunc_end0:
"""


def test_kinds():
    for text, kind in {
        "v_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15]": "matrix",
        "v_rcp_f32_e32 v0, v1": "special functions",
        "v_cvt_pk_bf16_f32 v0, v1, v2": "conversions",
        "v_permlane32_swap_b32_e32 v0, v1": "lane exchanges",
        "v_readfirstlane_b32 s0, v0": "lane exchanges",
        "ds_bpermute_b32 v0, v1, v2": "lane exchanges",
        "ds_swizzle_b32 v0, v1 offset:swizzle(SWAP,16)": "lane exchanges",
        "v_accvgpr_write_b32 a0, v0": "accumulator moves",
        "v_pk_mul_f32 v[0:1], v[2:3], v[4:5]": "other vector",
        "ds_read_b64_tr_b16 v[0:1], v2": "LDS loads",
        "ds_write2_b64 v0, v[2:3], v[4:5] offset1:2": "LDS stores",
        "global_load_lds_dwordx4 v[0:1], off": "direct loads to LDS",
        "buffer_load_dwordx4 v0, s[0:3], 0 offen lds": "direct loads to LDS",
        "buffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen": "memory loads",
        "global_store_dwordx4 v0, v[4:7], s[0:1]": "memory stores",
        "global_atomic_add_f32 v0, v1, s[0:1]": "atomics",
        "scratch_store_dword off, v0, s32": "scratch",
        "s_waitcnt vmcnt(0) lgkmcnt(0)": "waits",
        "s_barrier": "barriers",
        "s_load_dwordx2 s[0:1], s[4:5], 0x0": "scalar loads",
        "s_nop 7": "no operation",
        "s_setprio 1": "other scalar",
    }.items():
        assert kind_of(parse_instruction(text)) == kind, text


def test_blocks_and_innermost_loop():
    blocks = blocks_of(KERNEL, "k")
    assert [len(block.instructions) for block in blocks] == [2, 1, 7, 3, 2]
    assert [block.successors for block in blocks] == [(1,), (2,), (2, 3), (1, 4), ()]
    (loop,) = loops_of(blocks)
    assert [instruction.opcode for instruction in loop][:2] == ["ds_read_b128", "s_waitcnt"]
    found = mix_of(loop, GFX942)
    assert {kind: count for kind, count in found.kinds.items() if count} == {
        "matrix": 2,
        "special functions": 1,
        "other vector": 1,
        "LDS loads": 1,
        "waits": 1,
        "other scalar": 1,
    }
    assert found.matrix == {"v_mfma_f32_16x16x16_f16": 2}
    assert (found.matrix_cycles, found.vector_cycles, found.unrated) == (32, 16 + 4, 0)
    assert found.matrix_share == 2 / 7


def test_matrix_instruction_of_another_chip_has_no_rate():
    found = mix_of(loops_of(blocks_of(KERNEL, "k"))[0], GFX90A)
    assert (found.matrix_cycles, found.unrated) == (0, 2)


def test_loops_without_matrix_instructions():
    (loop,) = loops_of(blocks_of(KERNEL.replace("v_mfma_f32_16x16x16_f16", "v_bogus"), "k"))
    assert mix_of(loop, GFX942).matrix_share == 0
    assert mix_of([], GFX942).matrix_share == 0


def test_special_functions_are_twice_as_fast_on_gfx950():
    exp = [parse_instruction("v_exp_f32_e32 v0, v1")]
    assert [mix_of(exp, target).vector_cycles for target in (GFX90A, GFX942, GFX950)] == [16, 16, 8]


def test_occupancy():
    found = occupancy(GFX942, waves=4, registers=129, sgprs=20, lds_bytes=18432)
    assert found.limits == {"registers": 3, "scalar registers": 25, "waves": 8, "LDS": 3, "barriers": 16}
    assert (found.workgroups, found.waves, found.limited_by) == (3, 3.0, ("registers", "LDS"))
    assert found.fraction == 3 / 8
    assert occupancy(GFX942, waves=1, registers=512, sgprs=1, lds_bytes=0).waves == 1
    assert occupancy(GFX950, waves=8, registers=64, sgprs=1, lds_bytes=81920).workgroups == 2
    assert occupancy(GFX950, waves=8, registers=64, sgprs=1, lds_bytes=81921).workgroups == 1
    assert occupancy(GFX942, waves=16, registers=256, sgprs=1, lds_bytes=0).workgroups == 0


@TARGETS
def test_occupancy_is_that_of_llvm(target):
    pytest.importorskip("triton")
    kernels = module(attention(target, "f16", 64), elementwise("%r = math.tanh %x : f32"))
    for waves_per_simd in (0, 2):
        with make_context():
            given = ir.Module.parse(kernels)
            made = compile_module(given, target.chip, waves=4, waves_per_simd=waves_per_simd)
        for name, kernel in made.items():
            (stated,) = re.findall(r"^; Occupancy: (\d+)$", kernel.assembly, re.MULTILINE)
            needs = kernel.resources
            found = occupancy(
                target,
                waves=4,
                registers=needs.allocated_registers,
                sgprs=needs.sgprs,
                lds_bytes=needs.lds_bytes,
            )
            assert found.waves == int(stated), (name, waves_per_simd, found)


@TARGETS
def test_main_loop_of_attention(target):
    pytest.importorskip("triton")
    with make_context():
        (kernel,) = compile_module(
            ir.Module.parse(module(attention(target, "bf16", 64))), target.chip, waves=4
        ).values()
    blocks = blocks_of(kernel.assembly, "attention")
    main = mix_of(loops_of(blocks)[0], target)
    total = mix_of((each for block in blocks for each in block.instructions), target)
    (name,) = main.matrix
    shape = next(each for each in target.instructions_for("bf16") if each.name == name)
    assert main.matrix[name] == 2 * 2 * 64 * 16 * 32 // shape.flops
    assert main.matrix_cycles == main.matrix[name] * shape.cycles
    assert main.kinds["special functions"] == 9
    assert main.kinds["barriers"] == 2
    assert main.kinds["scratch"] == total.kinds["other"] == main.unrated == 0
    assert main.instructions < total.instructions == sum(total.kinds.values())
    assert set(total.kinds) == set(KINDS)


def test_resources_are_those_of_the_kernel():
    pytest.importorskip("triton")
    with make_context():
        made = compile_module(ir.Module.parse(module(attention(GFX942))), "gfx942", waves=4)
    assembly = made["attention"].assembly
    changed = assembly.replace(".vgpr_spill_count: 0", ".vgpr_spill_count: 3")
    changed = changed.replace(".agpr_count:     0", ".agpr_count:     12")
    found = resources_of(changed, "attention")
    assert (found.vgpr_spills, found.agprs) == (3, 12)
    assert found.vgprs == found.registers - 12 <= found.allocated_registers
    with pytest.raises(BackendError, match="no metadata of a kernel 'other'"):
        resources_of(assembly, "other")


def report_on_attention(target=GFX942, **options) -> KernelReport:
    pytest.importorskip("triton")
    with make_context():
        given = ir.Module.parse(module(attention(target)))
        (kernel,) = compile_module(given, target.chip, waves=4, **options).values()
    return report_of(code_of(kernel.name, kernel.assembly, kernel.hsaco, threads=256), target)


def test_report_as_text():
    report = report_on_attention(waves_per_simd=2)
    text = report.text()
    rows = dict(re.findall(r"^  (\S.{0,19}?) {2,}(\S.*)$", text, re.MULTILINE))
    assert text.startswith("kernel attention for amd:gfx942\n")
    assert rows["waves"] == "4"
    assert re.fullmatch(r"\d+ vector, \d+ accumulation, \d+ scalar; 169 vector are taken", rows["registers"])
    assert rows["spills"] == "0 vector, 0 scalar registers"
    assert rows["scratch"] == "0 bytes of a lane"
    assert rows["LDS"] == "4608 of 65536 bytes"
    assert rows["workgroups of a CU"] == "2, 25% of its waves, estimated"
    assert rows["limited by"].startswith("registers (registers 2, ")
    main = report.loops[0]
    for name, number in (("matrix", 16), ("matrix clocks", 256), ("vector clocks", main.vector_cycles)):
        assert rows[name].split()[1] == str(number), name
    assert rows["matrix share"].split()[1] == f"{main.matrix_share:.1%}"
    assert "atomics" not in rows


def test_report_as_json():
    report = report_on_attention(GFX950)
    found = json.loads(json.dumps(report.as_json()))
    assert (found["kernel"], found["target"], found["waves"]) == ("attention", "amd:gfx950", 4)
    assert (found["lds_bytes"], found["scratch_bytes"], found["vgpr_spills"]) == (4608, 0, 0)
    assert found["occupancy"]["workgroups"] == report.occupancy.workgroups
    assert found["loops"][0]["matrix"] == {"v_mfma_f32_16x16x32_f16": 8}
    assert found["loops"][0]["kinds"]["barriers"] == 2
    assert found["total"]["instructions"] == sum(found["total"]["kinds"].values())


@TARGETS
def test_report_on_code_by_triton(target):
    """Its local memory is what a launch adds."""
    pytest.importorskip("triton")
    product = kernels()["f_0"]
    options = dict.fromkeys(triton_road.OPTIONS, 0)
    made = triton_road.compile_kernel(product.text, "f_0", target, waves=4, options=options)
    report = report_of(made.code, target)
    assert report.waves == 4
    assert report.total.kinds["matrix"] > 0
    assert report.total.kinds["other"] == report.total.unrated == 0
    assert report.as_json()["lds_bytes"] == made.code.shared + made.code.resources.lds_bytes > 0
    assert f"kernel f_0 for {target.name}" in report.text()
