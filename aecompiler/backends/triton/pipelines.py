"""The pipeline to Triton's dialect. Importing this module registers it and the passes in it."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.triton import (  # noqa: F401  (registers)
    convert_tiles_to_tt,
    tt_approximate_reciprocals,
    tt_approximate_tanh,
    tt_fold_exponents,
    tt_guard_transposes,
    tt_keep_loops,
    tt_move_addends,
    tt_narrow_bits,
    tt_scale_weights,
)
from aecompiler.backends.triton.chunk_kernels import USUAL_SHARED_BYTES
from aecompiler.backends.triton.tt_approximate_tanh import Tanh
from aecompiler.passes.infra import register_pipeline
from aecompiler.passes.options import render

_TANH = {
    Tanh.LIBRARY: [],
    Tanh.APPROXIMATE: ["tt-approximate-tanh"],
    Tanh.NARROW: ["tt-approximate-tanh{narrow=true}"],
}


_MOST_PASSES = 64
"""Of a normaliser that separates nowhere each reduction takes a pass, and there is no other form of it."""


@register_pipeline("attn-tt")
def tt(
    *,
    block_q: Annotated[int, "query rows of a tile"] = 64,
    block_kv: Annotated[int, "keys of a tile"] = 64,
    retry_block_kv: Annotated[int, "keys of a tile in a second pass for values that are not finite"] = 0,
    split_features: Annotated[bool, "features of q, k and v are in pieces, powers of two"] = False,
    fuse_operands: Annotated[
        bool, "compute q, k and v in attention's tiles from what they are made of"
    ] = True,
    packed_rows: Annotated[
        int, "rows of a tile, of all query heads of a kv head, one of each at least; 0: block-q of one"
    ] = 0,
    split_programs: Annotated[int, "programs that parts of the keys are for; 0: keys stay whole"] = 0,
    tile_lists: Annotated[bool, "tiles are tested before the loops over them, which lists are for"] = True,
    score_ranges: Annotated[int, "the most ranges of tiles without a mask, with a loop for each"] = 3,
    value_block: Annotated[int, "value features of a program of a recurrence; 0: all"] = 16,
    step_value_block: Annotated[int, "the same of one that computes one position; 0: by its elements"] = 0,
    step_elements: Annotated[int, "the elements of a state of such a program"] = 8192,
    chunk: Annotated[int, "positions of a chunk of a recurrence; 1: one after the other"] = 64,
    diagonal_chunk: Annotated[int, "the same where each key feature has its own decay"] = 32,
    chunk_value_block: Annotated[int, "value features of a program of a chunked recurrence; 0: all"] = 64,
    shared_heads: Annotated[int, "heads that share a product which is computed before; 0: none"] = 0,
    chunk_stages: Annotated[int, "tiles of chunks on their way from memory at a time; 0: by their size"] = 0,
    chunk_shared_bytes: Annotated[
        int, "shared memory of a multiprocessor for blocks with chunks"
    ] = USUAL_SHARED_BYTES,
    keep_loops: Annotated[bool, "loops over tiles of keys stay loops where they turn once"] = False,
    precision: Annotated[str, "how products of f32 are computed: ieee, tf32x3 or tf32"] = "tf32x3",
    library: Annotated[str, "the device's library of math functions: libdevice or ocml"] = "libdevice",
    section: Annotated[int, "of how many heads uneven tiles are started before those of the next"] = 8,
    pairs: Annotated[bool, "uneven tiles of a head come in the order first, last, second, ..."] = False,
    descriptors: Annotated[bool, "copy tiles through descriptors of tensors where that can be done"] = False,
    fold_exponents: Annotated[bool, "compute exponentials to base 2, with factors folded in"] = True,
    scale_weights: Annotated[
        bool, "multiply weights so that f16 has no denormal ones, for products that take these for 0"
    ] = False,
    approximate_reciprocals: Annotated[bool, "compute 1 / d by NVIDIA's instruction where it can"] = True,
    tanh: Annotated[Tanh, "the library's, or NVIDIA's instruction with errors of 2^-11"] = Tanh.LIBRARY,
    guard_transposes: Annotated[
        bool, "no product has the transpose of another one's result on its left"
    ] = False,
) -> str:
    """Lower programs through their streaming and tile forms to kernels in Triton's `tt` dialect.

    The context must allow unregistered dialects. What is left of a function is what the host does.
    """
    retry = f" retry-block-kv={retry_block_kv}" if retry_block_kv else ""
    retry += " split-features=true" if split_features else ""
    few = f" packed-rows={packed_rows}" if packed_rows else ""
    few += f" split-programs={split_programs}" if split_programs else ""
    return ",".join(
        (
            "attn-guard-operations",
            f"attn-derive-online{{max-passes={_MOST_PASSES}}}",
            f"attn-tile{{block-q={block_q} block-kv={block_kv} rows-last=false "
            f"masked-values=check-result score-ranges={score_ranges} "
            f"tile-lists={render(tile_lists)}{retry}{few}}}",
            *(_chunks(chunk, diagonal_chunk, chunk_value_block, shared_heads) if chunk > 1 else []),
            f"attn-tile-steps{{value-block={value_block} step-value-block={step_value_block} "
            f"step-elements={step_elements}}}",
            "attn-fuse-elementwise" if fuse_operands else "attn-fuse-elementwise{operands=o}",
            "attn-tile-tensors",
            "convert-elementwise-to-linalg",
            *(["sccp", "tt-keep-loops"] if keep_loops else []),
            "canonicalize",
            "cse",
            f"convert-tiles-to-tt{{precision={precision} library={library} section={section} "
            f"pairs={render(pairs)} descriptors={render(descriptors)} "
            f"chunk-stages={chunk_stages} chunk-shared-bytes={chunk_shared_bytes}}}",
            "tt-narrow-bits",
            "tt-move-addends",
            *(["tt-fold-exponents"] if fold_exponents else []),
            *(["tt-scale-weights"] if scale_weights else []),
            *(["tt-approximate-reciprocals"] if approximate_reciprocals else []),
            *_TANH[tanh],
            *(["tt-guard-transposes"] if guard_transposes else []),
        )
    )


def _chunks(chunk: int, diagonal_chunk: int, value_block: int, shared_heads: int) -> list[str]:
    """Recurrences in chunks, where they have such a form, with what knows nothing of the state before."""
    return [
        f"attn-derive-chunked{{chunk={chunk} diagonal-chunk={min(chunk, diagonal_chunk)} keep-refused=true}}",
        f"attn-tile-chunked{{value-block={value_block} decay-sums=auto}}",
        f"attn-hoist-chunks{{shared-heads={shared_heads}}}",
    ]
