"""The pipelines of the AMD backend. Importing this module registers them and the passes in them."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.amd.passes import expand_divisions, expand_math, finish_kernels  # noqa: F401  (registers)
from aecompiler.passes.infra import register_pipeline
from aecompiler.passes.options import render


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
        "amd-expand-divisions",
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


@register_pipeline("amd-tt-to-lanes")
def tt_to_lanes(
    *,
    chip: Annotated[str, "the processor, as LLVM names it"] = "gfx942",
    waves: Annotated[int, "waves of a workgroup"] = 4,
    matrix: Annotated[int, "rows of matrix instructions, where sizes allow; 0: those of a wave"] = 0,
    prefetch: Annotated[
        bool, "loops read the tiles of their next turn before they work on this one's"
    ] = True,
    sched_barriers: Annotated[
        bool,
        "LLVM leaves reads ahead, and comparisons, where they are",
    ] = True,
    priority: Annotated[bool, "waves go first while they compute products"] = True,
    xcds: Annotated[int, "dies of the chip, over which workgroups are dealt in turn"] = 1,
    near: Annotated[bool, "there are less than 2^31 bytes behind each address"] = False,
    direct: Annotated[bool, "loops load tiles straight into local memory, two copies of each"] = False,
) -> str:
    """Lower kernels in Triton's dialect to kernels that say what one lane does.

    Takes `tt.func`s of `convert-tiles-to-tt` with the library `ocml`; what the host does stays as it is.
    """
    steps = (
        "convert-tt-to-vector",
        "canonicalize",
        "cse",
        *([f"amd-order-grid{{xcds={xcds}}}"] if xcds > 1 else []),
        "amd-use-unsigned",
        "amd-merge-bounds",
        "canonicalize",
        "cse",
        "amd-relax-maxima",
        "amd-vote-nans",
        "amd-extract-elements",
        *([f"amd-prefetch-tiles{{branch={render(direct)}}}"] if prefetch else []),
        "canonicalize",
        "cse",
        f"amd-distribute-tiles{{chip={chip} waves={waves} matrix={matrix} near={render(near)} "
        f"direct={render(direct)}}}",
        "canonicalize",
        "cse",
        "loop-invariant-code-motion",
        "amd-place-barriers",
        *(["amd-space-comparisons", "amd-place-sched-barriers"] if sched_barriers else []),
        *(["amd-raise-priority"] if priority else []),
    )
    return ",".join(steps)
