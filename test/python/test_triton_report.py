"""Reports on kernels: loops found in machine code, counts and resources against NVIDIA's own tools."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from triton_kernels import kernels

from aecompiler.backends.basic_blocks import Block, instructions_of, natural_loops
from aecompiler.backends.nvidia.target import NAMED_TARGETS, SM_80, SM_86, SM_90, SM_100, SM_120
from aecompiler.backends.triton import sass
from aecompiler.backends.triton.compiler import compile_kernel
from aecompiler.backends.triton.occupancy import occupancy
from aecompiler.backends.triton.report import count, main_loops, report_of

PRODUCT = kernels()["f_0"]


def code(*lines: str) -> list[Block[sass.Instruction]]:
    """Blocks of code in nvdisasm's form; a line with a colon is a label."""
    text = ['\t.section\t.text.k,"ax",@progbits']
    for number, line in enumerate(lines):
        text.append(
            line if line.endswith(":") else f"        /*{16 * number:04x}*/                   {line} ;"
        )
    return sass.parse_blocks("\n".join(text), "k")


def loop_sizes(blocks: list[Block[sass.Instruction]]) -> list[int]:
    return [count(instructions_of(blocks, loop)).instructions for loop in natural_loops(blocks)]


# ---- loops -------------------------------------------------------------------------------------------


def test_code_without_a_jump_is_one_block_without_loops():
    blocks = code("MOV R1, R2", "EXIT")
    assert [len(block.instructions) for block in blocks] == [2]
    assert natural_loops(blocks) == []
    assert natural_loops([]) == []


def test_backward_branch_makes_a_loop_of_what_it_encloses():
    blocks = code("MOV R1, R2", ".L_x_0:", "FADD R1, R1, R2", "FMUL R1, R1, R3", "@!P0 BRA `(.L_x_0)", "EXIT")
    assert loop_sizes(blocks) == [3]


def test_path_that_rejoins_further_up_makes_no_loop():
    # As waits for barriers are laid out: the retry stands at the end, and jumps back to where it came from.
    blocks = code(
        *(
            "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R2",
            "@!P0 BRA `(.L_x_7)",
            ".L_x_6:",
            "HGMMA.64x64x16.F32 R24",
        ),
        *(
            "EXIT",
            ".L_x_7:",
            "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R2",
            "@!P0 BRA `(.L_x_7)",
            "BRA `(.L_x_6)",
        ),
    )
    assert loop_sizes(blocks) == [2]


def test_nested_loops_and_the_conditions_of_uniform_branches():
    blocks = code(
        *(".L_x_0:", "MOV R1, R2", ".L_x_1:", "FADD R1, R1, R2", "BRA.U !UP0, `(.L_x_1)"),
        *("FMUL R1, R1, R2", "BRA.U UP1, `(.L_x_0)", "EXIT"),
    )
    assert sorted(loop_sizes(blocks)) == [2, 5]
    assert [count(instructions_of(blocks, loop)).instructions for loop in main_loops(blocks)] == [2]


def test_code_behind_an_unconditional_branch_is_not_reached_from_it():
    blocks = code(".L_x_0:", "MOV R1, R2", "BRA `(.L_x_0)", "EXIT")
    assert blocks[0].successors == (0,)
    blocks = code(".L_x_0:", "MOV R1, R2", "@P0 EXIT", "BRA `(.L_x_0)")
    assert loop_sizes(blocks) == [3]


def test_branch_to_one_of_several_targets_reaches_all_of_them():
    blocks = code(
        *(".L_x_0:", 'BRX R2 -0x40 (*"BRANCH_TARGETS .L_x_1,.L_x_2"*)', ".L_x_1:", "HGMMA.64x64x16.F32 R24"),
        *("BRA `(.L_x_0)", ".L_x_2:", "EXIT"),
    )
    assert blocks[0].successors == (1, 2)
    assert loop_sizes(blocks) == [3]


def test_call_and_convergence_go_on_with_the_next_instruction():
    blocks = code(
        *("BSSY B0, `(.L_x_1)", "CALL.REL.NOINC `($k$div)", ".L_x_1:", "BSYNC B0", "EXIT"),
        *("$k$div:", "MUFU.RCP R1, R2", "RET.REL.NODEC R2 `(k)"),
    )
    assert [block.successors for block in blocks] == [(1,), (), ()]


def test_loop_around_waits_counts_as_innermost_if_it_alone_has_matrix_instructions():
    lines = (
        *(
            ".L_x_0:",
            "MOV R9, R9",
            ".L_x_1:",
            "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R2",
            "@!P0 BRA `(.L_x_1)",
        ),
        *("HGMMA.64x64x16.F32 R24", "@P1 BRA `(.L_x_0)", "EXIT"),
    )
    blocks = code(*lines)
    assert [count(instructions_of(blocks, loop)).instructions for loop in main_loops(blocks)] == [5]
    without = code(*(line for line in lines if "HGMMA" not in line))
    assert [count(instructions_of(without, loop)).instructions for loop in main_loops(without)] == [2]


def test_largest_of_several_loops_is_the_first():
    blocks = code(
        *(".L_x_0:", "HMMA.16816.F32 R1", "@P0 BRA `(.L_x_0)"),
        *(".L_x_1:", "HMMA.16816.F32 R1", "FADD R1, R1, R2", "@P0 BRA `(.L_x_1)", "EXIT"),
    )
    assert [count(instructions_of(blocks, loop)).instructions for loop in main_loops(blocks)] == [3, 2]


def test_code_of_other_kernels_is_left_out():
    text = (
        '\t.section\t.text.other,"ax",@progbits\n        /*0000*/  MOV R1, R2 ;\n'
        '\t.section\t.text.k,"ax",@progbits\n        /*0000*/  EXIT ;\n'
        '\t.section\t.nv.shared.k,"aw",@nobits\n        /*0000*/  MOV R1, R2 ;\n'
    )
    assert [block.instructions[0].opcode for block in sass.parse_blocks(text, "k")] == ["EXIT"]


def test_kinds_are_told_by_the_base_of_the_opcode():
    (block,) = code(
        *(
            "HMMA.16816.F32.BF16 R1",
            "HGMMA.64x64x16.F32 R1",
            "UTCHMMA gdesc[UR4]",
            "MUFU.EX2 R1, R1",
            "FMNMX3 R1, R1",
        ),
        *(
            "BAR.SYNC.DEFER_BLOCKING 0x0",
            "SYNCS.ARRIVE.TRANS64 RZ",
            "STL.64 [R1], R2",
            "LDL R2, [R1]",
            "LDSM.16.M88.4 R1",
        ),
        *("LDGSTS.E.BYPASS.128 [R1]", "UTMALDG.2D [UR8]", "IMAD.MOV.U32 R1, R2", "@P0 EXIT"),
    )
    found = count(block.instructions)
    assert found.instructions == 14
    assert {kind: number for kind, number in found.kinds.items() if number} == {
        **{"mma": 1, "wgmma": 1, "tcgen05.mma": 1, "special functions": 1, "f32 arithmetic": 1},
        **{"block barriers": 1, "memory barriers": 1, "spill stores": 1, "spill loads": 1, "shared loads": 1},
        **{"asynchronous copies": 1, "tensor map copies": 1},
    }
    assert found.matrix_instructions == 3


# ---- occupancy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "num_warps", "registers", "shared", "blocks", "limited_by"),
    [
        (SM_80, 8, 32, 0, 8, ("registers", "warps")),
        (SM_80, 4, 255, 0, 2, ("registers",)),
        (SM_80, 4, 128, 0, 4, ("registers",)),
        (SM_80, 1, 32, 0, 32, ("blocks",)),
        (SM_86, 32, 32, 0, 1, ("warps",)),
        (SM_86, 1, 16, 0, 16, ("blocks",)),
        (SM_90, 12, 168, 164088, 1, ("registers", "shared memory")),
        (SM_90, 4, 64, 113 * 1024, 2, ("shared memory",)),
        (SM_90, 4, 64, 113 * 1024 + 1, 1, ("shared memory",)),
        (SM_90, 4, 64, 227 * 1024, 1, ("shared memory",)),
        (SM_120, 4, 64, 99 * 1024, 1, ("shared memory",)),
    ],
)
def test_blocks_of_a_multiprocessor(target, num_warps, registers, shared, blocks, limited_by):
    found = occupancy(target, num_warps=num_warps, registers=registers, shared=shared)
    assert (found.blocks, found.limited_by) == (blocks, limited_by)
    assert found.warps == blocks * num_warps
    assert found.fraction == found.warps / target.warps


def test_tensor_memory_limits_blocks_by_its_columns():
    found = occupancy(SM_100, num_warps=4, registers=64, shared=0, tensor_memory=160)
    assert (found.blocks, found.limited_by) == (2, ("tensor memory",))


def test_barriers_limit_blocks_of_kernels_that_use_many():
    found = occupancy(SM_90, num_warps=1, registers=32, shared=0, barriers=16)
    assert (found.blocks, found.limited_by) == (4, ("barriers",))


CALCULATOR = """
#include <stdio.h>
#include <cuda_occupancy.h>
int main(void) {
  int major, minor, warps, blocks, threads, registers, barriers, shared_sm, shared_block, shared;
  while (scanf("%d %d %d %d %d %d %d %d %d", &major, &minor, &warps, &shared_sm, &shared_block, &threads,
               &registers, &barriers, &shared) == 9) {
    cudaOccDeviceProp device = {0};
    cudaOccFuncAttributes function = {0};
    cudaOccDeviceState state = {0};
    cudaOccResult result;
    device.computeMajor = major, device.computeMinor = minor, device.warpSize = 32, device.numSms = 1;
    device.maxThreadsPerBlock = 1024, device.maxThreadsPerMultiprocessor = 32 * warps;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536;
    device.sharedMemPerBlock = 49152, device.sharedMemPerBlockOptin = shared_block;
    device.sharedMemPerMultiprocessor = shared_sm, device.reservedSharedMemPerBlock = 1024;
    function.maxThreadsPerBlock = 1024, function.numRegs = registers, function.numBlockBarriers = barriers;
    function.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN, function.maxDynamicSharedSizeBytes = shared;
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &function, &state, threads, shared))
      return 1;
    printf("%d\\n", result.activeBlocksPerMultiprocessor);
  }
  return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_blocks_are_those_of_nvidias_calculator(tmp_path):
    triton = pytest.importorskip("triton")
    (tmp_path / "calculator.c").write_text(CALCULATOR)
    headers = Path(triton.__file__).parent / "backends" / "nvidia" / "include"
    command = ["cc", "-w", "-I", headers, "calculator.c", "-o", "calculator"]
    subprocess.run(command, cwd=tmp_path, check=True)
    rng = random.Random(0)
    cases, lines = [], []
    for _ in range(600):
        target = rng.choice(list(NAMED_TARGETS.values()))
        num_warps, registers = rng.choice([1, 2, 4, 8, 12, 16, 32]), rng.choice([16, *range(24, 256)])
        barriers, shared = rng.randint(1, 16), rng.choice([0, rng.randint(0, target.shared_bytes_per_block)])
        needs = {"num_warps": num_warps, "registers": registers, "barriers": barriers, "shared": shared}
        cases.append((target, needs))
        memory = (target.warps, target.shared_bytes, target.shared_bytes_per_block)
        lines.append((*target.capability, *memory, 32 * num_warps, registers, barriers, shared))
    text = "\n".join(" ".join(map(str, line)) for line in lines)
    done = subprocess.run([tmp_path / "calculator"], input=text, capture_output=True, text=True, check=True)
    expected = [int(line) for line in done.stdout.split()]
    assert len(expected) == len(cases)
    for (target, needs), blocks in zip(cases, expected, strict=True):
        assert occupancy(target, **needs).blocks == blocks, (target.name, needs)


# ---- whole kernels -----------------------------------------------------------------------------------


def nvidia_tool(name: str, *flags: str, cubin: bytes, folder: Path) -> str:
    triton = pytest.importorskip("triton")
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run([tool, *flags, path], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", [SM_80, SM_90, SM_100], ids=lambda target: target.name)
def test_numbers_are_those_of_cuobjdump(target, tmp_path):
    pytest.importorskip("triton")
    kernel = compile_kernel(PRODUCT.text, "f_0", target, num_warps=4)
    found = report_of(kernel, target).as_json()
    usage = nvidia_tool("cuobjdump", "-res-usage", cubin=kernel.cubin, folder=tmp_path)
    assert int(re.search(r"Function f_0:\s+REG:(\d+)", usage)[1]) == found["registers"]
    assert int(re.search(r"STACK:(\d+)", usage)[1]) == found["stack_bytes"] == 0
    text = nvidia_tool("cuobjdump", "-sass", cubin=kernel.cubin, folder=tmp_path)
    listed = re.findall(r"^\s+/\*[0-9a-f]{4}\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)", text, re.MULTILINE)
    assert found["total"]["instructions"] == len(listed)
    matrix = {"mma": "HMMA", "wgmma": "HGMMA", "tcgen05": "UTCHMMA"}[target.matrix_instruction]
    kinds = found["total"]["kinds"]
    assert kinds["mma"] + kinds["wgmma"] + kinds["tcgen05.mma"] == listed.count(matrix) > 0
    assert kinds["block barriers"] == listed.count("BAR")
    assert kinds["memory barriers"] == listed.count("SYNCS")
    assert kinds["asynchronous copies"] == listed.count("LDGSTS")
    json.dumps(found)


def test_main_loop_is_the_one_that_multiplies():
    pytest.importorskip("triton")
    kernel = compile_kernel(PRODUCT.text, "f_0", SM_90, num_warps=4)
    report = report_of(kernel, SM_90)
    assert len(report.loops) == 1
    # A tile of 64 by 64 by 64 is four instructions of depth 16; all of them are in the loop.
    assert report.loops[0].kinds["wgmma"] == report.total.kinds["wgmma"] == 4
    assert report.loops[0].instructions < report.total.instructions
    assert report.reallocations == ()


def test_spills_are_counted_as_the_assembler_does():
    pytest.importorskip("triton")
    # A tile of sums for one warp: 128 registers for them alone, and as many for what is loaded ahead.
    text = PRODUCT.text.replace("64x64x", "128x128x").replace("128x128x!tt", "128x128x!tt")
    text = (
        text.replace("tensor<64x", "tensor<128x")
        .replace("x64x", "x128x")
        .replace("end = 64 :", "end = 128 :")
    )
    kernel = compile_kernel(text, "f_0", SM_80, num_warps=1, num_stages=1)
    kinds = report_of(kernel, SM_80).total.kinds
    assert kernel.spill_stores > 0
    assert kernel.spills == kernel.spill_stores + kernel.spill_loads
    widths = {"": 4, ".64": 8, ".128": 16}
    blocks = sass.parse_blocks(sass.disassemble(kernel.cubin), "f_0")
    every = [instruction.opcode for block in blocks for instruction in block.instructions]
    stored = [opcode for opcode in every if opcode.startswith("STL")]
    assert kinds["spill stores"] == len(stored)
    assert sum(widths[opcode.removeprefix("STL")] for opcode in stored) == kernel.spill_stores


def test_text_leaves_out_what_does_not_occur():
    pytest.importorskip("triton")
    text = report_of(compile_kernel(PRODUCT.text, "f_0", SM_90), SM_90).text()
    assert "wgmma" in text
    assert "tcgen05" not in text
    assert "tensor memory" not in text
    assert len({len(line) for line in text.splitlines() if re.match(r"  (wgmma|instructions) ", line)}) == 1
