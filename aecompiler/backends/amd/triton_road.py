"""The road "triton": kernels in Triton's dialect to code by Triton's own AMD backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aecompiler.backends.amd.artifact import KernelCode, code_of
from aecompiler.backends.amd.target import AmdTarget
from aecompiler.backends.triton.stages import Compilation, Machine, Stage, compilation
from aecompiler.diagnostics import Diagnostic

OPTIONS = ("num_stages", "matrix_instr_nonkdim", "waves_per_eu", "kpack")
"""What Triton's backend is told of a kernel beside its waves; 0 for its default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledKernel:
    """A kernel for one chip; `stages` are the texts "ttir", "ttgir", "llir" and "amdgcn"."""

    code: KernelCode
    stages: dict[str, str]


def machine_of(target: AmdTarget) -> Machine:
    """A chip as Triton knows it."""
    return Machine(
        target=target.name,
        backend="hip",
        arch=target.chip,
        lanes=target.wave_size,
        module="triton.backends.amd.compiler",
        assembly="amdgcn",
        registers=target.registers_per_wave,
        block_registers=target.simds * target.registers * target.wave_size,
        options={"arch": target.chip},
    )


def compile_kernel(
    text: str,
    name: str,
    target: AmdTarget,
    *,
    waves: int,
    options: Mapping[str, Any],
    stage: Stage = "ttir",
    isolated: bool = False,
    timeout: float = 0.0,
) -> CompiledKernel:
    """Compile the kernel `name`, the only function of the module `text`, for `waves` of a workgroup.

    `options` are of `OPTIONS`. `isolated` and `timeout` are those of `backends.triton.compiler`. Raises
    `ResourceError` for a kernel that needs more than a chip has, `CompileError` for one that Triton refuses,
    and `BackendError` where Triton is missing.
    """
    if isolated:
        from aecompiler.backends.triton.isolation import compile_isolated

        given = {"waves": waves, "options": dict(options), "stage": stage}
        return compile_isolated(compile_kernel, text, name, target, timeout=timeout, **given)
    with compilation(text, name, machine_of(target), stage) as work:
        return _compile(work, target, {"num_warps": waves, **{n: v for n, v in options.items() if v}})


def _compile(work: Compilation, target: AmdTarget, options: Mapping[str, Any]) -> CompiledKernel:
    work.lower(options)
    work.check_most("bytes of local memory", work.metadata["shared"], target.lds_bytes)
    work.check_scratch()
    assembly = work.stages["amdgcn"]
    hsaco = work.step("the assembler", lambda: work.passes["hsaco"](assembly, work.metadata))
    if not hsaco:  # so it answers to an instruction that it does not know
        work.refuse("the assembler", Diagnostic("error", "it made no code"))
    threads = target.wave_size * (work.metadata.get("num_warps") or options["num_warps"])
    code = code_of(work.name, assembly, hsaco, threads=threads, shared=work.metadata["shared"])
    return CompiledKernel(code=code, stages=work.stages)
