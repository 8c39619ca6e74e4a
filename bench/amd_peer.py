"""Attention in Triton's language, as a user writes it, for Triton's AMD backend: the peer of `amd.py`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def attention(
    q,
    k,
    v,
    o,
    heads,
    kv_heads,
    queries,
    keys,
    scale,
    block_q: tl.constexpr,
    block_kv: tl.constexpr,
    d: tl.constexpr,
    causal: tl.constexpr,
    checked: tl.constexpr,
):
    """One block of queries of o = softmax(scale q kᵀ) v with an online softmax; all tensors are contiguous.

    Whole tiles without a mask come first, then those that need one. Without `checked` lengths are multiples
    of the tiles, and no access is masked.
    """
    start = tl.program_id(0) * block_q
    head = tl.program_id(1)
    kv_head = head // heads * kv_heads + head % heads // (heads // kv_heads)
    rows = start + tl.arange(0, block_q)
    features = tl.arange(0, d)
    q_tile = (head * queries + rows[:, None]) * d + features[None, :]
    is_row = rows[:, None] < queries
    query = tl.load(q + q_tile, mask=is_row, other=0.0) if checked else tl.load(q + q_tile)
    largest = tl.full([block_q], float("-inf"), tl.float32)
    total = tl.zeros([block_q], tl.float32)
    result = tl.zeros([block_q, d], tl.float32)
    k += kv_head * keys * d
    v += kv_head * keys * d
    scale *= 1.4426950408889634
    whole, end = keys, keys
    if causal:
        whole = start // block_kv * block_kv
        end = tl.minimum(start + block_q, keys) if checked else start + block_q
    elif checked:
        whole = keys // block_kv * block_kv
    for first in tl.range(0, whole, block_kv):
        tile = (first + tl.arange(0, block_kv))[:, None] * d + features[None, :]
        key = tl.load(k + tile)
        value = tl.load(v + tile)
        scores = tl.dot(query, key.T) * scale
        now = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - now[:, None])
        factor = tl.exp2(largest - now)
        total = total * factor + tl.sum(weights, 1)
        result = tl.dot(weights.to(value.dtype), value, result * factor[:, None])
        largest = now
    if causal or checked:
        for first in tl.range(whole, end, block_kv):
            at = first + tl.arange(0, block_kv)
            tile = at[:, None] * d + features[None, :]
            is_key = at[:, None] < keys
            key = tl.load(k + tile, mask=is_key, other=0.0) if checked else tl.load(k + tile)
            value = tl.load(v + tile, mask=is_key, other=0.0) if checked else tl.load(v + tile)
            allowed = at[None, :] < keys
            if causal:
                allowed = allowed & (at[None, :] <= rows[:, None])
            scores = tl.where(allowed, tl.dot(query, key.T) * scale, float("-inf"))
            now = tl.maximum(largest, tl.max(scores, 1))
            weights = tl.exp2(scores - now[:, None])
            factor = tl.exp2(largest - now)
            total = total * factor + tl.sum(weights, 1)
            result = tl.dot(weights.to(value.dtype), value, result * factor[:, None])
            largest = now
    out = (result / total[:, None]).to(o.dtype.element_ty)
    if checked:
        tl.store(o + q_tile, out, mask=is_row)
    else:
        tl.store(o + q_tile, out)


@dataclass(frozen=True)
class Options:
    """How the kernel is compiled; by Triton's names, but `block_q` and `block_kv`."""

    block_q: int
    block_kv: int
    num_warps: int = 4
    num_stages: int = 1
    matrix_instr_nonkdim: int = 16
    kpack: int = 2
    waves_per_eu: int = 0


SEARCHED: tuple[dict[str, Sequence[int]], ...] = (
    {"num_warps": (4, 8), "num_stages": (1, 2, 3)},
    {"waves_per_eu": (0, 1, 2)},
)
"""Options that are tried, those of a line together, around the best so far."""


def neighbours(
    best: Options, chip: str, *, tiles: Sequence[tuple[int, int]] = ()
) -> Generator[list[Options], Options, None]:
    """Lists of options to try; the best so far are sent back after each, and the next one is around them."""

    def changed(**lists: Sequence[int]) -> list[Options]:
        found = [best]
        for name, values in lists.items():
            found = [replace(each, **{name: value}) for each in found for value in values]
        return found

    kpacks = (1,) if chip == "gfx950" else (1, 2)  # there Triton takes 1 for 2
    for lists in ({"matrix_instr_nonkdim": (16, 32), "kpack": kpacks}, *SEARCHED):
        best = yield changed(**lists)
    if tiles:
        best = yield [replace(best, block_q=q, block_kv=kv) for q, kv in tiles]
        yield changed(num_warps=(4, 8), num_stages=(1, 2))


@functools.cache
def compiled(chip: str, dtype: str, out: str, d: int, causal: bool, checked: bool, options: Options) -> Any:
    """The kernel as Triton returns it, for pointers that are multiples of 16 bytes."""
    names = {"f16": "fp16", "bf16": "bf16", "f32": "fp32"}
    tensor, constants = f"*{names[dtype]}", {"d": d, "causal": causal, "checked": checked}
    constants.update(block_q=options.block_q, block_kv=options.block_kv)
    signature = dict.fromkeys("qkv", tensor) | {"o": f"*{names[out]}"}
    signature |= dict.fromkeys(("heads", "kv_heads", "queries", "keys"), "i32") | {"scale": "fp32"}
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        attention,
        signature=signature,
        constexprs=constants,
        attrs={(n,): [["tt.divisibility", 16]] for n in range(4)},
    )
    chosen = {
        name: getattr(options, name)
        for name in ("num_warps", "num_stages", "matrix_instr_nonkdim", "kpack", "waves_per_eu")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return triton.compile(source, target=GPUTarget("hip", chip, 64), options=chosen)
