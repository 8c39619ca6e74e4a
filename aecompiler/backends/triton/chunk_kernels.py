"""Kernels of chunked recurrences: the warps and stages that they are compiled with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aecompiler.backends.triton.kernel_abi import ITEM_BYTES
from aecompiler.backends.triton.kernel_text import NUM_STAGES, NUM_WARPS
from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.chunk_program import CHUNKS

if TYPE_CHECKING:
    from aecompiler.backends.triton.kernel import KernelOptions

BLOCKS = 2
"""The blocks of a multiprocessor between which a chunk's chain of products is waited for: one H100 was faster
with two blocks and fewer stages than with one, and had no registers for three."""

USUAL_SHARED_BYTES = 231424
"""The shared memory of a multiprocessor of sm_90, without what two blocks have for themselves."""

MOST_STAGES = 3
_WARPS = 4


def choose_for_chunks(loop: ir.Operation, function: ir.Operation, options: KernelOptions) -> None:
    """Say with how many warps and stages the kernel of a grid of a chunked recurrence is compiled.

    Programs without matrices, and those that mostly copy tiles, have one warp: more of them fit.
    """
    is_small = _makes_vectors(loop) or _is_fallback(loop)
    chosen = {NUM_WARPS: 1 if is_small else _WARPS}
    for each in rw.walk_list(loop, "scf.for"):
        if CHUNKS in each.attributes:
            chosen[NUM_STAGES] = options.chunk_stages or _stages(each, options.chunk_shared_bytes)
    i32 = ir.IntegerType.get_signless(32)
    for name, number in chosen.items():
        function.attributes[name] = ir.IntegerAttr.get(i32, number)


def _stages(chunks: ir.Operation, shared_bytes: int) -> int:
    """As many as leave room for as many blocks as there are to be; 1 if there are none.

    Beside the matrices that a chunk reads there are, in shared memory, the state as a factor of products, and
    something for what is converted; vectors are small beside that.
    """
    read = 0
    for each in chunks.regions[0].blocks[0].operations:
        op = each.operation
        is_whole = op.name == "tensor.extract_slice" and rw.DYNAMIC not in op.results[0].type.shape
        if (op.name == "tensor.pad" or is_whole) and op.results[0].type.rank > 1:
            read += _bytes(op.results[0].type)
    carried = [argument.type for argument in chunks.regions[0].blocks[0].arguments]
    states = [type_ for type_ in carried if isinstance(type_, ir.RankedTensorType)]
    kept = sum(_bytes(type_) // 2 for type_ in states if rw.DYNAMIC not in type_.shape)
    room = shared_bytes // BLOCKS - kept
    return max(1, min(MOST_STAGES, room // max(read, 1)))


def _bytes(type_: ir.RankedTensorType) -> int:
    return math.prod(type_.shape) * ITEM_BYTES.get(str(type_.element_type), 4)


def _makes_vectors(loop: ir.Operation) -> bool:
    """Whether a tile program computes tiles of one dimension only."""
    generics = rw.walk_list(loop, "linalg.generic")
    return all(len(result.type.shape) < 2 for each in generics for result in each.results)


def _is_fallback(loop: ir.Operation) -> bool:
    """Whether most programs only copy tiles, and compute them where these are not right."""
    return any(CHUNKS in each.attributes for each in rw.walk_list(loop, "scf.if"))
