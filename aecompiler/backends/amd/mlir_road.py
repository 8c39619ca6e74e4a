"""The road "mlir": kernels in Triton's dialect through upstream MLIR to code of our own.

Each level can be printed: `convert-tt-to-vector` makes whole tiles of `vector`, `amd-tt-to-lanes` what one
lane does of them, which `codegen` makes code of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aecompiler.backends.amd.artifact import KernelCode, code_of
from aecompiler.backends.amd.codegen.compiler import compile_module, llvm_text, lower_to_llvm
from aecompiler.backends.amd.distribute.reaches import reaches_of
from aecompiler.backends.amd.distribute.writer import REGISTERS, SHARED_BYTES
from aecompiler.backends.amd.resources import Prediction, Resources
from aecompiler.backends.amd.target import AmdTarget
from aecompiler.backends.triton.kernel_ir import FUNCTION, SIZES
from aecompiler.bindings import ir
from aecompiler.errors import ResourceError
from aecompiler.passes import rewriting as rw
from aecompiler.passes.options import render
from aecompiler.passes.pipeline import run_pipeline

TO_VECTORS = "builtin.module(convert-tt-to-vector)"
"""The pipeline from kernels in Triton's dialect to vectors that are whole tiles."""


def compile_kernels(
    module: ir.Module,
    target: AmdTarget,
    facts: Mapping[str, Any],
    *,
    is_near: bool = False,
    timeout: float = 0.0,
) -> dict[str, KernelCode]:
    """The code of the kernels (`tt.func`) of a module, which is changed.

    `facts` are those of the manifest, which all of the kernels have: `waves`, `options`, and `sizes`, the
    numbers of the parameters that are sizes of tensors. LLVM may take `timeout` seconds (0: no limit).
    Kernels take, behind their parameters, the bytes behind each pointer; they are less than 2^31 if
    `is_near`.
    """
    waves = facts["waves"]
    _check_products(module, target, waves)
    _promise_sizes(module, facts)
    run_pipeline(module, lanes_pipeline(target, facts, is_near=is_near))
    predicted = {name: _predicted(each) for name, each in _kernels(module)}
    for name, needs in predicted.items():
        _check_prediction(name, needs, target, waves, _waves_per_simd(facts))
    reaches = {name: reaches_of(each) for name, each in _kernels(module)}
    made = compile_module(
        module,
        target.chip,
        waves=waves,
        waves_per_simd=_waves_per_simd(facts),
        fuse_multiply_add=True,
        timeout=timeout,
    )
    for name, kernel in made.items():
        _check_code(name, kernel.resources, target)
    return {
        name: code_of(
            name,
            kernel.assembly,
            kernel.hsaco,
            threads=target.wave_size * waves,
            spans=True,
            reaches=reaches[name],
            predicted=predicted[name],
        )
        for name, kernel in made.items()
    }


def text_of(module: ir.Module, target: AmdTarget, facts: Mapping[str, Any], form: str) -> str:
    """The kernels (`tt.func`) of a module, which is changed, at a level of this road.

    `form` is "vector", "gpu", "rocdl" or "llvm".
    """
    waves = facts["waves"]
    _check_products(module, target, waves)
    pipeline = TO_VECTORS if form == "vector" else lanes_pipeline(target, facts, is_near=True)
    _promise_sizes(module, facts)
    run_pipeline(module, pipeline)
    if form == "llvm":
        return llvm_text(module, target.chip, waves=waves, waves_per_simd=_waves_per_simd(facts))
    if form == "rocdl":
        module = lower_to_llvm(module, target.chip, waves=waves, waves_per_simd=_waves_per_simd(facts))
    return f"{module}\n"


def lanes_pipeline(target: AmdTarget, facts: Mapping[str, Any], *, is_near: bool) -> str:
    """Pipeline text from kernels in Triton's dialect to what one lane does; `facts` are of the manifest."""
    options = facts["options"]
    chosen = {
        "chip": target.chip,
        "waves": facts["waves"],
        "matrix": options.get("matrix_instr_nonkdim") or 0,
        "xcds": target.xcds,
        "prefetch": options.get("num_stages", 2) > 1,
        "near": is_near,
        "direct": target.loads_tiles_directly and facts.get("loads") != "registers",
    }
    text = " ".join(f"{name}={render(value)}" for name, value in chosen.items())
    return f"builtin.module(amd-tt-to-lanes{{{text}}})"


def _promise_sizes(module: ir.Module, facts: Mapping[str, Any]) -> None:
    """Say again which parameters of kernels are sizes: the text that Triton reads does not."""
    with module.context:
        for function in rw.walk_list(module.operation, FUNCTION):
            if SIZES not in function.attributes:
                function.attributes[SIZES] = ir.DenseI64ArrayAttr.get(facts.get("sizes", []))


def _waves_per_simd(facts: Mapping[str, Any]) -> int:
    return facts["options"].get("waves_per_eu", 0)


def _check_products(module: ir.Module, target: AmdTarget, waves: int) -> None:
    """Refuse kernels (`tt.func`) with a product that registers don't hold.

    Kernels are written register by register: one that is far too large takes hours.
    """
    for function in rw.walk_list(module.operation, "tt.func"):
        for product in rw.walk_list(function, "tt.dot"):
            type_ = ir.RankedTensorType(product.results[0].type)
            bits = math.prod(type_.shape) * type_.element_type.width
            needs = Prediction(registers=-(-bits // (32 * target.wave_size * waves)), lds_bytes=0)
            _check_prediction(rw.symbol_name(function), needs, target, waves, 0)


def _kernels(module: ir.Module) -> list[tuple[str, ir.Operation]]:
    return [(rw.symbol_name(each), each) for each in rw.walk_list(module.operation, "gpu.func")]


def _predicted(function: ir.Operation) -> Prediction:
    """What a kernel of lanes says that it needs."""
    registers, lds_bytes = (
        ir.IntegerAttr(function.attributes[each]).value for each in (REGISTERS, SHARED_BYTES)
    )
    return Prediction(registers=registers, lds_bytes=lds_bytes)


def _check_prediction(name: str, needs: Prediction, target: AmdTarget, waves: int, resident: int) -> None:
    """Refuse a kernel that needs more than a workgroup may have, before there is code.

    `resident`: how many waves of a SIMD registers are to leave room for, 0 for those of one workgroup.
    """
    of_simd = max(resident, -(-waves // target.simds))
    registers = min(target.registers_per_wave, target.registers // of_simd)
    waves_text = f"{waves} waves" + (f", with {resident} on each SIMD" if resident else "")
    limits = (
        (needs.lds_bytes, target.lds_bytes, "bytes of LDS in a workgroup"),
        (needs.registers, registers, f"vector registers of a lane in {waves_text}"),
    )
    for needed, most, what in limits:
        if needed > most:
            raise _refused(name, target, f"expects at most {most} {what}, got {needed}")


def _check_code(name: str, needs: Resources, target: AmdTarget) -> None:
    """Refuse code that keeps vector registers in memory, as that of smaller tiles does not.

    LLVM may also reserve scratch memory that no instruction accesses.
    """
    if needs.scratch_bytes and needs.vgpr_spills:
        spilled = f"{needs.scratch_bytes} bytes for {needs.vgpr_spills} vector registers"
        raise _refused(name, target, f"expects code without scratch memory, got {spilled}")


def _refused(name: str, target: AmdTarget, message: str) -> ResourceError:
    return ResourceError(f"kernel '{name}' for {target.name}: resources: {message}")
