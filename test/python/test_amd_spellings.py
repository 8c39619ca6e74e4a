"""LLVM IR as older versions of LLVM read it: one test for each difference."""

from __future__ import annotations

import re
import struct

import pytest

from aecompiler.backends.amd.codegen.generation import generate_from_text
from aecompiler.backends.amd.codegen.spellings import respell
from aecompiler.errors import BackendError

CONSTANTS = {
    "float 1.000000e+00": "float 0x3FF0000000000000",
    "float 1.000000e-01": "float 0x3FB99999A0000000",
    "float -0.000000e+00": "float 0x8000000000000000",
    "float 1.000000e+30": "float 0x46293E5940000000",
    "float 1.401300e-45": "float 0x36A0000000000000",
    "float f0x3E38AA3B": "float 0x3FC7154760000000",
    "float +inf": "float 0x7FF0000000000000",
    "float -inf": "float 0xFFF0000000000000",
    "float +qnan": "float 0x7FF8000000000000",
    "float -qnan": "float 0xFFF8000000000000",
    "float +nan(0x123)": "float 0x7FF8002460000000",
    "float +snan(0x1)": "float 0x7FF0000020000000",
    "double 1.000000e-01": "double 0x3FB999999999999A",
    "double f0x419D6F3454000000": "double 0x419D6F3454000000",
    "double -qnan": "double 0xFFF8000000000000",
    "half 1.000000e+00": "half 0xH3C00",
    "half 9.997550e-02": "half 0xH2E66",
    "half 5.960460e-08": "half 0xH0001",
    "half -qnan": "half 0xHFE00",
    "half f0x7BFF": "half 0xH7BFF",
    "bfloat 1.000980e-01": "bfloat 0xR3DCD",
    "bfloat 1.000260e+30": "bfloat 0xR714A",
    "bfloat -inf": "bfloat 0xRFF80",
}


@pytest.mark.parametrize("before", CONSTANTS)
def test_constant(before):
    assert respell(f"  ret {before}") == f"  ret {CONSTANTS[before]}"


def test_constants_of_vectors_have_the_type_before_them():
    before = (
        "  %3 = fadd contract afn <2 x float> splat (float 1.000000e-01), <float 2.000000e+00, float -inf>"
    )
    after = (
        "  %3 = fadd contract afn <2 x float> splat (float 0x3FB99999A0000000), "
        "<float 0x4000000000000000, float 0xFFF0000000000000>"
    )
    assert respell(before) == after
    assert respell("  %4 = fmul float %3, 5.000000e-01") == "  %4 = fmul float %3, 0x3FE0000000000000"
    assert (
        respell("@a = constant [2 x half] [half 1.000000e+00, half 2.000000e+00]")
        == "@a = constant [2 x half] [half 0xH3C00, half 0xH4000]"
    )


@pytest.mark.parametrize(
    "line",
    [
        "  %5 = add nuw nsw i32 %4, 15",
        "  %6 = getelementptr inbounds nuw float, ptr addrspace(1) %0, i64 %5",
        "  %7 = zext nneg i32 %5 to i64",
        "  %8 = icmp samesign ult i32 %5, 100",
        "  %9 = or disjoint i64 %7, 16",
        "  %10 = call range(i32 0, 256) i32 @llvm.amdgcn.workitem.id.x()",
        '  call void asm sideeffect "v_mov_b32 1.000000e+00, double 0.5", ""()',
        "  %float.1 = fadd float %half, %x1.5",
        '  fence syncscope("workgroup") release, !mmra !2',
        '!3 = !{!"float 1.000000e+00"}',
        "declare float @__ocml_tanh_f32(float)",
    ],
)
def test_line_that_all_versions_read(line):
    assert respell(line) == line


def test_comments_go():
    before = "  %8 = call i1 @llvm.is.fpclass.f32(float %7, /* (nan) */ i32 3) ; preds = %0, float 1.0"
    assert respell(before) == "  %8 = call i1 @llvm.is.fpclass.f32(float %7, i32 3)"


def test_attributes_of_intrinsics_go():
    before = "declare noundef range(i32 0, 1024) i32 @llvm.amdgcn.workitem.id.x() #1"
    assert respell(before) == before.removesuffix(" #1")
    attributes = "attributes #1 = { nocallback nocreateundeforpoison nofree memory(none) }"
    assert respell(attributes) == "attributes #1 = { nocallback nofree memory(none) }"


def test_uniform_sizes_of_workgroups_have_a_value():
    before = 'attributes #0 = { "amdgpu-flat-work-group-size"="256,256" "uniform-work-group-size" }'
    after = 'attributes #0 = { "amdgpu-flat-work-group-size"="256,256" "uniform-work-group-size"="true" }'
    assert respell(before) == after
    assert respell(after) == after


def test_layout_and_triple_go_but_lines_stay():
    text = (
        '; ModuleID = "m"\ntarget datalayout = "e-p:64:64"\ntarget triple = "amdgcn-amd-amdhsa"\n\n@a = x\n'
    )
    assert respell(text) == "\n\n\n\n@a = x\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  ret 1.0", "constant '1.0' stands behind no floating-point type"),
        ("  ret half f0x3E38AA3B", "'f0x3E38AA3B' is no constant of type half"),
        ("  ret half 1.000000e+06", "'1.000000e+06' is no constant of type half"),
        ("  ret float +snan(0x0)", "'+snan(0x0)' is no constant of type float"),
        ("  ret bfloat +nan(0x1FF)", "'+nan(0x1FF)' is no constant of type bfloat"),
    ],
)
def test_constant_that_is_none_is_refused_with_its_line(line, message):
    with pytest.raises(BackendError, match=re.escape(f"LLVM IR, line 2: {message}: ret ")):
        respell(f"define void @f() {{\n{line}\n}}\n")


# ---- what Triton's LLVM makes of it ------------------------------------------------------------------


def stored(type_: str, constant: str) -> int:
    """The bits of a constant that a kernel stores."""
    pytest.importorskip("triton")
    text = f"""define amdgpu_kernel void @f(ptr addrspace(1) %p) {{
  store {type_} {constant}, ptr addrspace(1) %p
  ret void
}}
"""
    assembly = generate_from_text(respell(text), "gfx942", isolated=False).codes["f"].assembly
    (value,) = re.findall(
        r"v_mov_b32_e32 v\d+, ((?!s\d)[^v]\S*)$", assembly.replace("v_mov_b32_e32 v0, 0\n", ""), re.M
    )
    return int(value, 0) & (0xFFFFFFFF if type_ == "float" else 0xFFFF)


@pytest.mark.parametrize("value", [0.1, 1e30, 1.4e-45, -3.7, float("-inf")])
def test_float_reaches_the_code_exactly(value):
    constant = "-inf" if value == float("-inf") else f"{value:e}"
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    assert stored("float", constant) == bits


@pytest.mark.parametrize(
    ("type_", "constant", "bits"),
    [
        ("half", "9.997550e-02", 0x2E66),
        ("half", "+nan(0x12)", 0x7E12),
        ("bfloat", "1.000980e-01", 0x3DCD),
        ("bfloat", "+qnan", 0x7FC0),
        ("float", "+nan(0x123)", 0x7FC00123),
        ("float", "f0x3E38AA3B", 0x3E38AA3B),
    ],
)
def test_constant_reaches_the_code(type_, constant, bits):
    assert stored(type_, constant) == bits


@pytest.mark.parametrize("isolated", [True, False])
def test_text_that_is_no_llvm_ir_is_refused_with_its_line(isolated):
    pytest.importorskip("triton")
    text = "\n\ndefine amdgpu_kernel void @f(ptr addrspace(1) %p) {\n  %x = bogus i32 1\n  ret void\n}\n"
    with pytest.raises(BackendError) as caught:
        generate_from_text(text, "gfx942", isolated=isolated)
    expected = "kernel 'f' for gfx942: LLVM IR, line 4: expected instruction opcode: %x = bogus i32 1"
    assert str(caught.value) == expected


def test_kernel_without_a_plain_name_is_refused():
    text = 'define amdgpu_kernel void @"a b"() {\n  ret void\n}\n'
    with pytest.raises(BackendError, match=r"expects a gpu\.module with a kernel"):
        generate_from_text(text, "gfx942", isolated=False)
