"""Compiling kernels at the lane level for AMD's chips: what comes out, and every way in which it fails."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest
from amd_lanes import LDS, attention, elementwise, module

from aecompiler.backends.amd.codegen.compiler import CompiledKernel, compile_module
from aecompiler.backends.amd.codegen.generation import generate_from_text
from aecompiler.backends.amd.simulator import Program, simulate
from aecompiler.backends.amd.target import GFX942, GFX950, NAMED_TARGETS
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.errors import BackendError, CompileError, ResourceError

pytest.importorskip("triton")

COPY = elementwise("%r = arith.addf %x, %x : f32")
TARGETS = pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.chip)


def compiled(text: str, chip: str = "gfx942", *, waves: int = 4, **options) -> dict[str, CompiledKernel]:
    with make_context():
        return compile_module(ir.Module.parse(text), chip, waves=waves, **options)


@TARGETS
@pytest.mark.parametrize(("dtype", "features"), [("f16", 64), ("bf16", 128)])
def test_attention_has_no_scratch(target, dtype, features):
    (kernel,) = compiled(module(attention(target, dtype, features)), target.chip).values()
    found = kernel.resources
    assert kernel.hsaco.startswith(b"\x7fELF")
    assert (found.scratch_bytes, found.vgpr_spills, found.sgpr_spills) == (0, 0, 0)
    assert found.lds_bytes == features * 36 * 2
    assert found.threads == 256
    assert found.kernarg_bytes == 40
    assert 0 < found.registers <= target.registers // 2
    shape = max((each for each in target.instructions_for(dtype) if each.m == 16), key=lambda each: each.k)
    products = 2 * 16 * 32 * features * 2 // shape.flops
    assert kernel.assembly.count(shape.name) >= products


@TARGETS
def test_attention_is_right_in_the_simulator(target):
    (kernel,) = compiled(module(attention(target, "bf16", 64)), target.chip).values()
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((rows, 64)).astype(ml_dtypes.bfloat16) for rows in (64, 96, 96))
    o = np.zeros((64, 64), np.float32)
    arguments = [*(array.view(np.uint16) for array in (q, k, v)), o, 96]
    simulate(Program.parse(kernel.assembly, "attention", target.chip), arguments, 1, 256)
    scores = q.astype(np.float64) @ k.astype(np.float64).T
    weights = np.exp2(scores - scores.max(1, keepdims=True))
    wanted = weights @ v.astype(np.float64) / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(o, wanted, atol=5e-3)  # weights are rounded to bf16


@TARGETS
def test_denormal_numbers_are_kept(target):
    (kernel,) = compiled(module(COPY), target.chip).values()
    assert ".amdhsa_float_denorm_mode_32 3" in kernel.assembly
    assert ".amdhsa_float_denorm_mode_16_64 3" in kernel.assembly


def test_products_and_sums_are_fused_only_on_request():
    text = module(elementwise("%y = arith.mulf %x, %x : f32\n    %r = arith.addf %y, %x : f32"))
    contracted = text.replace("%x, %x : f32", "%x, %x fastmath<contract> : f32")
    contracted = contracted.replace("%y, %x : f32", "%y, %x fastmath<contract> : f32")
    for given, options, fused in (
        (text, {}, False),
        (text, {"fuse_multiply_add": True}, True),
        (contracted, {}, True),
    ):
        (kernel,) = compiled(given, **options).values()
        assert ("v_fma" in kernel.assembly) == fused, options


def test_several_kernels_are_apart():
    text = module(COPY, elementwise("%r = math.exp2 %x : f32", name="g"))
    found = compiled(text)
    assert list(found) == ["f", "g"]
    assert "v_exp_f32" in found["g"].assembly
    assert "v_exp_f32" not in found["f"].assembly
    assert found["f"].hsaco != found["g"].hsaco


def test_module_stays_and_can_be_the_operation():
    with make_context():
        given = ir.Module.parse(module(COPY))
        before = str(given)
        assert list(compile_module(given.body.operations[0], "gfx942", waves=1)) == ["f"]
        assert str(given) == before


def test_waves_of_a_simd_limit_registers():
    text = module(attention(GFX942, "f16", 128))
    one, many = (compiled(text, waves_per_simd=waves)["attention"].resources for waves in (1, 6))
    assert many.allocated_registers <= GFX942.registers // 6 < one.allocated_registers
    assert many.scratch_bytes > 0 == one.scratch_bytes


def test_in_this_process():
    assert compiled(module(COPY), isolated=False)["f"].assembly == compiled(module(COPY))["f"].assembly


@TARGETS
def test_rounding_to_bf16_is_an_instruction_where_there_is_one(target):
    (kernel,) = compiled(
        module(elementwise("%r = arith.truncf %x : f32 to bf16", to="bf16")), target.chip
    ).values()
    assert ("v_cvt_pk_bf16_f32" in kernel.assembly) == target.has_bf16_conversions


@TARGETS
def test_math_functions_need_no_calls(target):
    unary = (
        *("absf", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "erf"),
        *("erfc", "exp", "exp2", "expm1", "floor", "log", "log10", "log1p", "log2", "round", "roundeven"),
        *("rsqrt", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
    )
    binary = ("arith.remf", "math.atan2", "math.copysign", "math.powf", "arith.maximumf", "arith.minnumf")
    body = "%y0 = arith.addf %x, %x : TYPE\n"
    for number, name in enumerate(unary):
        body += f"%y{number + 1} = math.{name} %y{number} : TYPE\n"
    last = f"%y{len(unary)}"
    for number, name in enumerate(binary):
        body += f"%z{number} = {name} {last}, %x : TYPE\n"
        last = f"%z{number}"
    body += f"%n = arith.constant 3 : i32\n%w = math.fpowi {last}, %n : TYPE, i32\n"
    body += "%i = math.isnan %w : TYPE\n%s = arith.select %i, %x, %w : TYPE\n%r = math.fma %s, %x, %x : TYPE"
    types = ("f16", "bf16", "f32", "f64")
    kernels = [elementwise(body.replace("TYPE", each), dtype=each, name=each) for each in types]
    for kernel in compiled(module(*kernels), target.chip).values():
        assert "s_swappc" not in kernel.assembly
        assert kernel.resources.scratch_bytes == 0


# ---- refusals --------------------------------------------------------------------------------------


def refusal(text: str, chip: str = "gfx942", expected=BackendError, **options) -> str:
    with pytest.raises(expected) as caught:
        compiled(text, chip, **options)
    return str(caught.value)


def test_unknown_chip():
    assert "unknown target 'amd:gfx1100'" in refusal(module(COPY), "gfx1100")


def test_module_without_kernel():
    assert "expects a gpu.module with a kernel" in refusal(module())
    assert "expects one gpu.module, got 0" in refusal("module {}")


def test_operation_without_lowering():
    body = "%y = tensor.empty() : tensor<2xf32>\n %z = arith.constant 0 : index\n"
    text = module(elementwise(f"{body} %r = tensor.extract %y[%z] : tensor<2xf32>"))
    message = refusal(text, expected=CompileError)
    assert re.search(r":\d+: error: 'tensor\.\w+' op unsupported: it has no lowering to LLVM", message)
    assert "aec-opt --pass-pipeline=" in message


def test_matrix_instruction_that_the_chip_lacks():
    text = module(attention(GFX950))
    message = refusal(text, "gfx942", CompileError)
    assert "no intrinsic matching MFMA size on given chipset" in message


def test_intrinsic_that_the_chip_lacks_does_not_end_this_process():
    body = """%b = arith.bitcast %x : f32 to i32
    %false = arith.constant false
    %y = llvm.call_intrinsic "llvm.amdgcn.permlane32.swap"(%b, %b, %false, %false)
        : (i32, i32, i1, i1) -> !llvm.struct<(i32, i32)>
    %z = llvm.extractvalue %y[0] : !llvm.struct<(i32, i32)>
    %r = arith.bitcast %z : i32 to f32"""
    compiled(module(elementwise(body)), "gfx950")
    message = refusal(module(elementwise(body)))
    assert message.startswith("kernel 'f' for gfx942: ")
    assert "permlane32" in message


def test_unknown_intrinsic():
    body = '%r = llvm.call_intrinsic "llvm.amdgcn.bogus"(%x) : (f32) -> f32'
    assert 'could not find LLVM intrinsic: "llvm.amdgcn.bogus"' in refusal(module(elementwise(body)))


def test_error_after_which_llvm_goes_on(capfd):
    """As it does in Triton 3.9; earlier it ends the process."""
    text = """define amdgpu_kernel void @f(ptr addrspace(1) %p) {
  %x = load float, ptr addrspace(1) %p
  %y = fpext float %x to fp128
  %z = call fp128 @llvm.log.f128(fp128 %y)
  %r = fptrunc fp128 %z to float
  store float %r, ptr addrspace(1) %p
  ret void
}
declare fp128 @llvm.log.f128(fp128)
"""
    with pytest.raises(BackendError, match=r"^kernel 'f' for gfx942: .*(libcall|library call)"):
        generate_from_text(text, "gfx942")
    assert capfd.readouterr().err == ""


def test_math_function_of_a_type_without_one():
    body = "%y = arith.extf %x : f32 to f128\n %z = math.tanh %y : f128\n %r = arith.truncf %z : f128 to f32"
    message = refusal(module(elementwise(body)), expected=CompileError)
    assert "'math.tanh' op unsupported: f128; math functions are of f16, bf16, f32 and f64" in message


def test_too_much_lds():
    large = f"workgroup(%lds: memref<40000xf32, {LDS}>) kernel"
    body = f"""%c = arith.remui %t, %t : index
    memref.store %x, %lds[%t] : memref<40000xf32, {LDS}>
    gpu.barrier
    %r = memref.load %lds[%c] : memref<40000xf32, {LDS}>"""
    text = module(elementwise(body)).replace("kernel {", f"{large} {{")
    message = "kernel 'f' for gfx942: expects at most 65536 bytes of LDS in a workgroup, got 160000"
    assert refusal(text, expected=ResourceError) == message
    assert compiled(text, "gfx950")["f"].resources.lds_bytes == 160000


def test_code_generation_that_takes_too_long():
    message = refusal(module(COPY), timeout=0.01)
    assert "did not finish within 0.01 s" in message
