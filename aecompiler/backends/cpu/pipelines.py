"""The pipelines of the CPU backend. Importing this module registers them and the backend's passes."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.cpu.passes import (  # noqa: F401  (registers)
    choose_tiles,
    expand_copies,
    expand_math,
    expand_vector_math,
    outline_parallel,
    prepare_functions,
    sink_results,
    vectorize_tiles,
    verify_lowering,
)
from aecompiler.passes.infra import register_pipeline
from aecompiler.passes.options import render

_BUFFERIZE = (
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
    "convert-vector-to-scf",
    "convert-scf-to-cf",
    "expand-strided-metadata",
    "lower-affine",
    "cpu-expand-vector-math{{scale-instruction={avx512}}}",
    "cpu-expand-math",
    "convert-math-to-funcs",
    "math-expand-ops{{ops=clampf}}",
    "math-extend-to-supported-types",
    # bf16 arithmetic happens in f32, and casts are expanded: LLVM would call a function of compiler-rt
    "arith-emulate-unsupported-floats{{source-types=bf16 target-type=f32}}",
    "arith-expand{{include-bf16=true}}",
    "convert-math-to-llvm",
    "convert-math-to-libm",
    "convert-vector-to-llvm{{enable-x86={x86} vector-transpose-lowering={transposes}}}",
    "convert-vector-to-llvm{{enable-x86={x86}}}",
    # the functions are in the runtime that cpu-outline-parallel adds: an allocation that fails ends the call
    "finalize-memref-to-llvm{{use-generic-functions=true}}",
    "convert-func-to-llvm",
    "convert-arith-to-llvm",
    "convert-index-to-llvm",
    "convert-ub-to-llvm",
    "convert-cf-to-llvm",
    "canonicalize",
    "cse",
    "reconcile-unrealized-casts",
    "cpu-verify-lowering",
)


def lower_tensors(*between: str, vector_bits: int = 128, x86: bool = False) -> str:
    """From tensors, linalg and scf to LLVM, for a vector unit; `between` are steps on prepared functions."""
    choices = {
        "avx512": render(x86 and vector_bits == 512),
        "x86": render(x86),
        "transposes": "shuffle16x16" if vector_bits == 512 else "shuffle1d",
    }
    prepare = ("cpu-prepare-functions", "func.func(cpu-sink-results)")
    return ",".join((*prepare, *between, *_BUFFERIZE, ",".join(_TO_LLVM).format(**choices)))


@register_pipeline("attn-cpu-reference")
def cpu_reference(*, block_q: Annotated[int, "query rows of attn.attention computed together"] = 32) -> str:
    """Lower programs in the direct form to LLVM, for execution in this process.

    Results are passed through memory: each result tensor becomes an argument after the others.
    """
    return ",".join(
        (
            "attn-guard-operations",
            f"convert-attn-to-linalg{{block-q={block_q}}}",
            lower_tensors(),
        )
    )


@register_pipeline("attn-cpu")
def cpu(
    *,
    block_q: Annotated[int, "query rows of a tile, 0 to choose them by cost"] = 0,
    block_kv: Annotated[int, "keys of a tile, 0 to choose them by cost"] = 0,
    decode_rows: Annotated[int, "rows of a tile in calls with few queries, 0 for block-q"] = 16,
    decode_block_kv: Annotated[int, "keys of a tile in such calls"] = 64,
    chunk: Annotated[int, "positions of a chunk of a recurrence; 1: one after the other"] = 16,
    score_ranges: Annotated[int, "the most ranges of tiles without a mask, with a loop for each"] = 3,
    tile_q: Annotated[int, "vectors of query rows in a register tile"] = 4,
    tile_kv: Annotated[int, "keys in a register tile of the first product"] = 4,
    tile_d: Annotated[int, "features in a register tile of the second product"] = 4,
    vector_bits: Annotated[int, "the width of a vector register"] = 512,
    pair_products: Annotated[bool, "multiply bf16 by the instruction for pairs (avx512_bf16)"] = False,
    l1_bytes: Annotated[int, "the size of the first cache"] = 32 << 10,
    l2_bytes: Annotated[int, "the size of the second cache"] = 1 << 20,
    prefetch: Annotated[bool, "ask the caches for the rows that follow a tile of q, k or v"] = True,
    x86: Annotated[bool, "the processor is an x86-64"] = True,
) -> str:
    """Lower programs to LLVM through their streaming and tile forms, for execution in this process.

    What has no streaming form takes the direct one, and recurrences without a chunked form go position by
    position.
    """
    blocks = f"block-q={block_q} block-kv={block_kv} l1-bytes={l1_bytes} l2-bytes={l2_bytes}"
    registers = f"vector-bits={vector_bits} tile-q={tile_q} tile-kv={tile_kv} tile-d={tile_d}"
    if pair_products:
        registers += " pair-products=true"
    return ",".join(
        (
            "attn-guard-operations",
            "attn-derive-online{keep-refused=true}",
            *([f"attn-derive-chunked{{chunk={chunk} keep-refused=true}}"] if chunk > 1 else []),
            f"func.func(cpu-choose-tiles{{{blocks} {registers}}})",
            f"attn-tile{{decode-rows={decode_rows} decode-block-kv={decode_block_kv} "
            f"score-ranges={score_ranges}}}",
            f"attn-tile-chunked{{solve-rows=16 value-lanes={vector_bits // 32}}}",
            "attn-tile-steps",
            "attn-fuse-elementwise",
            "convert-attn-to-linalg",
            "canonicalize",
            "cse",
            lower_tensors(
                f"cpu-vectorize-tiles{{{registers} prefetch={render(prefetch)}}}",
                vector_bits=vector_bits,
                x86=x86,
            ),
        )
    )
