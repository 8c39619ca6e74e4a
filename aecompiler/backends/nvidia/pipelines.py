"""The pipelines of the NVIDIA backend. Importing this module registers them and the passes in them."""

from __future__ import annotations

from typing import Annotated

import aecompiler.passes  # noqa: F401  (registers)
from aecompiler.backends.nvidia.hopper import (  # noqa: F401  (registers)
    assign_layouts,
    order_groups,
    overlap_products,
    specialize_warps,
)
from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.triton import pipelines, tt_mask_words, tt_skew_products  # noqa: F401  (registers)
from aecompiler.backends.triton.chunk_kernels import USUAL_SHARED_BYTES
from aecompiler.backends.triton.tt_approximate_tanh import Tanh
from aecompiler.passes.infra import register_pipeline
from aecompiler.passes.options import render

_RETRY_BLOCK_KV = 16


@register_pipeline("attn-hopper")
def hopper(
    *,
    consumers: Annotated[int, "groups of four warps that compute, each on 64 rows"] = 2,
    block_kv: Annotated[int, "keys of a tile"] = 128,
    stages: Annotated[int, "tiles of k and v that have room in shared memory"] = 2,
    library: Annotated[str, "the device's library of math functions: libdevice or ocml"] = "libdevice",
    section: Annotated[int, "of how many heads uneven tiles are started before those of the next"] = 8,
    programs: Annotated[int, "programs that compute all tiles of rows in turn; 0: one for each tile"] = 0,
    row_buffers: Annotated[int, "buffers for a tile's rows, 1 or 2, if programs > 0; 0: by their size"] = 0,
    shared_bytes: Annotated[int, "shared memory that a block may have"] = 232448,
    registers: Annotated[int, "registers of a multiprocessor"] = 65536,
    carry_rounded: Annotated[bool, "loops carry weights that are rounded to the type of v"] = True,
    waits: Annotated[
        str, "where the sum of the tile before is waited for: at-use, at-end or together"
    ] = "at-end",
    ping_pong: Annotated[bool, "groups take turns in beginning products"] = False,
    tanh: Annotated[Tanh, "the library's, or NVIDIA's instruction with errors of 2^-11"] = Tanh.LIBRARY,
    pack_heads: Annotated[bool, "the rows of a tile are of all query heads of a kv head"] = False,
    split_programs: Annotated[int, "programs that parts of the keys are for; 0: keys stay whole"] = 0,
    value_block: Annotated[int, "value features of a program of a recurrence; 0: all"] = 16,
    step_value_block: Annotated[int, "the same of one that computes one position; 0: by its elements"] = 0,
    step_elements: Annotated[int, "the elements of a state of such a program"] = 8192,
    chunk: Annotated[int, "positions of a chunk of a recurrence; 1: one after the other"] = 64,
    chunk_value_block: Annotated[int, "value features of a program of a chunked recurrence; 0: all"] = 64,
    shared_heads: Annotated[int, "heads that share a product which is computed before; 0: none"] = 0,
    chunk_stages: Annotated[int, "tiles of chunks on their way from memory at a time; 0: by their size"] = 0,
    chunk_shared_bytes: Annotated[
        int, "shared memory of a multiprocessor for blocks with chunks"
    ] = USUAL_SHARED_BYTES,
    guard_transposes: Annotated[
        bool, "no product has the transpose of another one's result on its left"
    ] = False,
) -> str:
    """Lower programs to kernels whose warps have roles, in Triton's `ttg` dialect; for wgmma and TMA.

    One warp copies tiles, groups of warps compute on them, and the products of neighbouring tiles overlap.
    """
    retry = 0 if block_kv % _RETRY_BLOCK_KV else _RETRY_BLOCK_KV
    rows = f"{'packed-rows' if pack_heads else 'block-q'}={ROWS * consumers}"
    few = f"split-programs={split_programs} " if split_programs else ""
    guard = " guard-transposes=true" if guard_transposes else ""
    return ",".join(
        (
            f"attn-tt{{{rows} block-kv={block_kv} retry-block-kv={retry} "
            f"split-features=true fuse-operands=false keep-loops=true {few}"
            f"value-block={value_block} step-value-block={step_value_block} step-elements={step_elements} "
            f"chunk={chunk} chunk-value-block={chunk_value_block} shared-heads={shared_heads} "
            f"chunk-stages={chunk_stages} "
            f"chunk-shared-bytes={chunk_shared_bytes} "
            f"library={library} section={section} pairs={render(programs > 0)} descriptors=true "
            f"tanh={tanh.value}{guard}}}",
            "tt-mask-words",
            f"tt-skew-products{{carry-rounded={render(carry_rounded)}}}",
            f"ttg-specialize-warps{{consumers={consumers} stages={stages} programs={programs} "
            f"row-buffers={row_buffers} shared-bytes={shared_bytes} registers={registers}}}",
            "ttg-assign-layouts",
            f"ttg-overlap-products{{waits={waits}}}",
            *(["ttg-order-groups"] if ping_pong else []),
        )
    )
