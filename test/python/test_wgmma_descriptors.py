"""Descriptors of wgmma's operands: what PTX computes them from, and what machine code does."""

from __future__ import annotations

import re

import pytest
from example_files import load

from aecompiler.backends.triton.sass import parse_blocks
from aecompiler.backends.triton.wgmma_addresses import untold_descriptors
from aecompiler.backends.triton.wgmma_descriptors import separate_bases, shared_bases

WIDE, NARROW = 0x40000040, 0xC0000010
"""Layouts with a swizzle of 128 bytes and of 32."""

MASK = (1 << 64) - 1


def _signed(layout: int, low: int = 0) -> int:
    value = layout << 32 | low
    return value - (1 << 64) if value >> 63 else value


def _ptx(second: int, base: str = "cvt.u64.u32 \t%rd1, %r7;") -> str:
    return f"""
\tand.b32 \t%r7, %r6, 16383;
\t{base}
\tor.b64 \t%rd2, %rd1, {_signed(WIDE)};
\tadd.s64 \t%rd3, %rd1, {_signed(WIDE, 2)};
\tor.b64 \t%rd4, %rd1, {_signed(second)};
\tadd.s64 \t%rd5, %rd1, {_signed(second, 32)};
\tadd.s64 \t%rd6, %rd1, 64;
\twgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {{%r1,%r2}}, %rd2, %rd4, 0, 1, 1, 0, 1;
\twgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {{%r1,%r2}}, %rd3, %rd5, %p1, 1, 1, 0, 1;
"""


def _evaluate(ptx: str, address: int) -> dict[str, int]:
    """The 64-bit registers after the instructions of such a text."""
    values = {"%r7": address}
    for line in ptx.replace("{ .reg", ".reg").replace("; }", ";").replace("; ", ";\n").splitlines():
        found = re.match(r"\s*([a-z_]+)\.\S+\s+(%\w+), (.*);", line)
        if not found or found[1] not in ("cvt", "or", "add", "mov"):
            continue
        operation, result, rest = found.groups()
        read = [values[each] if each.startswith("%") else int(each) for each in re.findall(r"[%\w-]+", rest)]
        if operation == "mov" and rest.startswith("{"):
            values[result] = read[1] << 32 | read[0]
        elif operation in ("mov", "cvt"):
            values[result] = read[0] & MASK
        else:
            values[result] = (read[0] + read[1] if operation == "add" else read[0] | read[1]) & MASK
    return {name: value for name, value in values.items() if name.startswith("%rd")}


def test_layouts_of_one_address_get_registers_of_their_own():
    ptx = _ptx(NARROW)
    assert shared_bases(ptx) == {"%rd1": (WIDE, NARROW)}
    separated = separate_bases(ptx)
    assert shared_bases(separated) == {}
    assert separated != ptx


@pytest.mark.parametrize("address", [0, 0x40, 0x3FFF])
def test_separated_descriptors_have_the_same_values(address):
    ptx = _ptx(NARROW)
    before, after = _evaluate(ptx, address), _evaluate(separate_bases(ptx), address)
    assert len(before) == 6
    assert after == before


def test_descriptors_of_one_layout_are_left_as_they_are():
    ptx = _ptx(WIDE)
    assert shared_bases(ptx) == {}
    assert separate_bases(ptx) == ptx


def test_addresses_of_anything_but_products_are_no_descriptors():
    ptx = _ptx(NARROW).replace("%rd4, 0", "%rd3, 0").replace("%rd5, %p1", "%rd3, %p1")
    assert shared_bases(ptx) == {}


def test_addresses_that_are_made_in_another_way_are_told_and_left():
    ptx = _ptx(NARROW, base="and.b64 \t%rd1, %rd9, 16383;")
    assert shared_bases(ptx) == {"%rd1": (WIDE, NARROW)}
    assert separate_bases(ptx) == ptx


def _sass(*instructions: str) -> list[str]:
    lines = ['.section .text.kernel,"ax",@progbits', "kernel:"]
    for place, each in enumerate(instructions):
        lines.append(each if each.endswith(":") else f"        /*{place * 16:04x}*/    {each} ;")
    return untold_descriptors(parse_blocks("\n".join(lines), "kernel"))


ADDRESS = ("S2UR UR5, SR_CgaCtaId", "MOV R3, 0x400", "R2UR UR4, R3", "ULEA UR4, UR5, UR4, 0x18")
BASE = ("IMAD.U32 R6, RZ, RZ, UR4", "SHF.R.U32.HI R6, RZ, 0x4, R6", "SGXT.U32 R6, R6, 0xe")
LAID_OUT = ("IADD3 R7, P3, R6, 0x20, RZ", "IADD3.X R8, RZ, -0x3ffffff0, RZ, P3, !PT")
OPERANDS = ("UMOV UR9, 0x40000040", "R2UR UR8, R6", "R2UR UR10, R7", "R2UR UR11, R8")
PRODUCT = "HGMMA.64x16x16.F32.BF16 R24, gdesc[UR8].tnspB, RZ, !UPT"
LOADED = "LDG.E R6, desc[UR22][R32.64]"


def test_descriptors_of_computed_addresses_are_told():
    assert _sass(LOADED, *ADDRESS, *BASE, *LAID_OUT, *OPERANDS, PRODUCT, "EXIT") == []


def test_descriptors_of_what_was_loaded_are_found():
    early = _sass(*ADDRESS, LOADED, *LAID_OUT, *BASE, *OPERANDS, PRODUCT, "EXIT")
    assert early == [PRODUCT]


def test_descriptors_of_the_number_of_the_block_are_found():
    high = ("S2R R0, SR_CTAID.X", "IADD3 R7, P3, R6, 0x20, RZ", "IADD3.X R8, R0, -0x3ffffff0, RZ, P3, !PT")
    assert _sass(*ADDRESS, *BASE, *high, *OPERANDS, PRODUCT, "EXIT") == [PRODUCT]


@pytest.mark.parametrize("count", ["S2R R0, SR_CTAID.X", "LDG.E R0, desc[UR4][R3.64]"])
def test_positions_in_rings_may_follow_from_how_many_tiles_there_are(count):
    ring = (*ADDRESS, *BASE, count, "IMAD R6, R0, 0x400, R6", *LAID_OUT, *OPERANDS, PRODUCT)
    assert _sass(*ring, "EXIT") == [PRODUCT]
    assert _sass("USETMAXREG.DEALLOC.CTAPOOL 0x78", *ring, "EXIT") == []


def test_descriptors_of_registers_that_nothing_wrote_are_found():
    assert _sass(*ADDRESS, *BASE, *OPERANDS, PRODUCT, "EXIT") == [PRODUCT]


def test_the_unused_descriptor_of_a_factor_in_registers_is_not_asked_for():
    product = "HGMMA.64x16x16.F32.BF16 R24, R32, gdesc[UR8].tnspB, R24"
    assert _sass(*ADDRESS, *BASE, *LAID_OUT, *OPERANDS[2:], product, "EXIT") == []


def test_a_turn_of_a_loop_that_overwrites_an_address_is_found():
    loop = (".L_x_0:", PRODUCT, "R2UR UR10, R24", "@P1 BRA `(.L_x_0)", "EXIT")
    assert _sass(*ADDRESS, *BASE, *LAID_OUT, *OPERANDS, *loop) == [PRODUCT]
    kept = (".L_x_0:", PRODUCT, "R2UR UR12, R24", "@P1 BRA `(.L_x_0)", "EXIT")
    assert _sass(*ADDRESS, *BASE, *LAID_OUT, *OPERANDS, *kept) == []


def test_a_value_that_only_some_threads_write_does_not_hide_another():
    assert _sass(*ADDRESS, *BASE, "@P1 IMAD.MOV.U32 R7, RZ, RZ, R6", "MOV R8, 0x1", *OPERANDS, PRODUCT) == [
        PRODUCT
    ]


@pytest.mark.parametrize(
    ("name", "block"),
    [("mamba2", 16), ("mamba2", 32), ("retnet", 16), ("delta_rule", 16), ("gated_delta_rule", 32)],
)
def test_chunks_without_copies_ahead_take_operands_from_where_they_are(name, block):
    pytest.importorskip("triton")
    import aecompiler as aec
    from aecompiler.backends.triton.sass import disassemble

    program = load(name).build(features=128, value_features=128, dtype="bf16")
    kernel = aec.compile(program, target="nvidia:sm_90", chunk_value_block=block, chunk_stages=1)
    artifact = kernel.artifact
    *_, last = artifact.manifest["kernels"]
    code = artifact.code(last, "aligned")
    assert "%laid_out1_" in code.ptx, "two operands have no place in common, so that nothing is tested"
    assert shared_bases(code.ptx) == {}
    assert untold_descriptors(parse_blocks(disassemble(code.binary), last)) == []
