"""The pipelines of the CPU backend. Importing this module registers them and the backend's passes."""

from __future__ import annotations

from typing import Annotated

from aecompiler.backends.cpu.passes import (  # noqa: F401  (registers)
    expand_copies,
    expand_math,
    expand_vector_math,
    guard_operations,
    outline_parallel,
    prepare_functions,
    vectorize_tiles,
    verify_lowering,
)
from aecompiler.passes import convert_attn_to_linalg  # noqa: F401  (registers)
from aecompiler.passes.infra import register_pipeline

_BUFFERIZE = (
    "cpu-prepare-functions",
    # arith and math on tensors become loops, and chains of them one loop
    "convert-elementwise-to-linalg",
    "canonicalize",
    "cse",
    # results are computed where the caller wants them
    "eliminate-empty-tensors",
    "one-shot-bufferize{allow-return-allocs-from-loops=true bufferize-function-boundaries=true}",
    "buffer-deallocation-pipeline",
    "convert-bufferization-to-memref",
    "cpu-expand-copies",
)

_TO_LLVM = (
    "func.func(convert-linalg-to-loops)",
    "canonicalize",
    "cse",
    "func.func(loop-invariant-code-motion)",
    "cpu-outline-parallel",
    "func.func(scf-forall-to-for)",
    "convert-scf-to-cf",
    "expand-strided-metadata",
    "lower-affine",
    "cpu-expand-math",
    "convert-math-to-funcs",
    "math-expand-ops{ops=clampf}",
    "math-extend-to-supported-types",
    # bf16 arithmetic happens in f32, and casts are expanded: LLVM would call a function of compiler-rt
    "arith-emulate-unsupported-floats{source-types=bf16 target-type=f32}",
    "arith-expand{include-bf16=true}",
    "convert-math-to-llvm",
    "convert-math-to-libm",
    "finalize-memref-to-llvm",
    "convert-func-to-llvm",
    "convert-arith-to-llvm",
    "convert-ub-to-llvm",
    "convert-cf-to-llvm",
    "reconcile-unrealized-casts",
    "cpu-verify-lowering",
)


@register_pipeline("attn-cpu-reference")
def cpu_reference(*, block_q: Annotated[int, "query rows of attn.attention computed together"] = 32) -> str:
    """Lower programs in the direct form to LLVM, for execution in this process.

    Results are passed through memory: each result tensor becomes an argument after the others.
    """
    return ",".join(
        ("cpu-guard-operations", f"convert-attn-to-linalg{{block-q={block_q}}}", *_BUFFERIZE, *_TO_LLVM)
    )
