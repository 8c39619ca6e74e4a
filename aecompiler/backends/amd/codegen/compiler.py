"""From kernels at the lane level to code: MLIR's passes, LLVM IR as text, and the LLVM inside Triton."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import aecompiler.backends.amd.pipelines  # noqa: F401  (registers)
from aecompiler.backends.amd.codegen.generation import generate
from aecompiler.backends.amd.resources import Resources, resources_of
from aecompiler.backends.amd.target import target_of
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.passes.pipeline import run_pipeline

_GPU_MODULE = "gpu.module"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledKernel:
    """A kernel for one chip.

    `llvm_text`: LLVM IR as Triton's LLVM got it, with all kernels of the module; `optimized`: after O3, this
    kernel alone; `assembly`, `hsaco`: its code as text and as a code object.
    `resources`: what the assembly says that it needs.
    """

    name: str
    chip: str
    waves: int
    llvm_text: str
    optimized: str
    assembly: str
    hsaco: bytes
    resources: Resources


def compile_module(
    module: Any,
    chip: str,
    *,
    waves: int,
    waves_per_simd: int = 0,
    fuse_multiply_add: bool = False,
    isolated: bool = True,
    timeout: float = 0.0,
) -> dict[str, CompiledKernel]:
    """Code for the kernels of `module`, by their names.

    `module` holds a `gpu.module` at the lane level, or is one; it stays as it is. `waves` of 64 threads are a
    workgroup. Registers are chosen for `waves_per_simd` waves on each SIMD (0: LLVM chooses).
    `fuse_multiply_add` lets LLVM round a product and a sum once; else it does so only where the IR has
    `contract`. `isolated` calls LLVM in a process of its own, so that it can't end this one, for `timeout`
    seconds at most (0: no limit).

    Raises `CompileError` where a pass refuses the module, `ResourceError` for more LDS than a workgroup has,
    and `BackendError` for an unknown chip, LLVM IR that Triton's LLVM does not read, or what it has no code
    for; all name the kernel or the operation.
    """
    lowered = lower_to_llvm(module, chip, waves=waves, waves_per_simd=waves_per_simd)
    generated = generate(
        bytecode_of(lowered),
        chip,
        fuse_multiply_add=fuse_multiply_add,
        isolated=isolated,
        timeout=timeout,
    )
    kernels = {}
    for name, code in generated.codes.items():
        kernels[name] = CompiledKernel(
            name=name,
            chip=chip,
            waves=waves,
            llvm_text=generated.llvm_text,
            optimized=code.optimized,
            assembly=code.assembly,
            hsaco=code.hsaco,
            resources=resources_of(code.assembly, name),
        )
    return kernels


def lower_to_llvm(module: Any, chip: str, *, waves: int, waves_per_simd: int = 0) -> ir.Module:
    """A module with copies of the `gpu.module`s in `module`, or of itself, lowered to LLVM's dialect.

    Raises `CompileError` where a pass refuses an operation, and `BackendError` for an unknown chip.
    """
    target_of(chip)
    root = module.operation
    with root.context, root.location:
        lowered = ir.Module.create()
        with ir.InsertionPoint(lowered.body):
            for each in _gpu_modules(root):
                each.clone()
        options = f"chip={chip} waves={waves} waves-per-simd={waves_per_simd}"
        run_pipeline(lowered, f"builtin.module(amd-lanes-to-llvm{{{options}}})")
    return lowered


def llvm_text(module: Any, chip: str, *, waves: int, waves_per_simd: int = 0) -> str:
    """LLVM IR of the kernels in `module`, as Triton's LLVM reads it, before it is optimized."""
    lowered = lower_to_llvm(module, chip, waves=waves, waves_per_simd=waves_per_simd)
    return generate(bytecode_of(lowered), chip, only_text=True).llvm_text


def _gpu_modules(root: ir.Operation) -> Iterator[ir.Operation]:
    if root.name == _GPU_MODULE:
        yield root
        return
    for region in root.regions:
        for block in region.blocks:
            for child in block.operations:
                if child.operation.name == _GPU_MODULE:
                    yield child.operation
