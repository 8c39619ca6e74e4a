"""The pipelines of the AMD backend. Importing this module registers them and the passes in them."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.amd.passes import expand_math, finish_kernels  # noqa: F401  (registers)
from aecompiler.passes.infra import register_pipeline


@register_pipeline("amd-lanes-to-llvm")
def lanes_to_llvm(
    *,
    chip: Annotated[str, "the processor, as LLVM names it"] = "gfx942",
    waves: Annotated[int, "waves of a workgroup"] = 4,
    waves_per_simd: Annotated[int, "waves of a SIMD that registers are chosen for; 0: LLVM chooses"] = 0,
) -> str:
    """Lower kernels that say what one lane does to LLVM's dialect.

    Takes `gpu.module`s at the lane level: functions of pointers and numbers, with scalars and vectors of one
    dimension. What it leaves is for `translate_module_to_llvmir` as it stands.
    """
    steps = (
        "amd-expand-math",
        "arith-expand",
        f"convert-amdgpu-to-rocdl{{chipset={chip}}}",
        "convert-vector-to-scf",
        "convert-scf-to-cf",
        "expand-strided-metadata",
        "lower-affine",
        "canonicalize",
        "cse",
        f"convert-gpu-to-rocdl{{chipset={chip} use-bare-ptr-memref-call-conv=true runtime=HIP}}",
        "convert-vector-to-llvm",
        "convert-arith-to-llvm",
        "convert-math-to-llvm",
        "convert-index-to-llvm",
        "convert-ub-to-llvm",
        "canonicalize",
        "cse",
        "reconcile-unrealized-casts",
        f"amd-finish-kernels{{waves={waves} waves-per-simd={waves_per_simd}}}",
    )
    return f"gpu.module({','.join(steps)})"
