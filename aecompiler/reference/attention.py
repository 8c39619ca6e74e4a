"""`attn.attention` by its definition: whole rows of scores, then the normaliser, then the sum over v."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aecompiler.reference.machine import Frame, Instruction, implements

Array = np.ndarray

BLOCK_ELEMENTS = 1 << 20
"""Scores evaluated at a time: rows are independent, so blocks of whole rows bound the memory."""

_REDUCTIONS = {
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
    "sum": (np.add, 0.0),
    "prod": (np.multiply, 1.0),
}


class RowFrame(Frame):
    """A frame of a region that reduces: knows which elements of the rows are there."""

    active: Array


@implements("attn.attention")
def _attention(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    q, k, v = args
    check_sizes(op, q.shape, k.shape, v.shape)
    batch, heads, rows, _ = q.shape
    o = np.zeros((batch, heads, rows, v.shape[3]))
    extras = [np.zeros((batch, heads, rows)) for _ in op.results[1:]]
    for block in row_blocks(batch, heads, rows, k.shape[2]):
        weights, active, uniform = _weights(op, q, k, block, frame)
        b, h, i = block
        kv_heads = kv_heads_of(np.arange(h.start, h.stop), heads, k.shape[1])
        o[b, h, i] = weighted_sum(weights, active, v[b][:, kv_heads])
        for extra, value in zip(extras, uniform, strict=True):
            extra[b, h, i] = value
    return [o, *extras]


@implements("attn.row_reduce")
def _row_reduce(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    assert isinstance(frame, RowFrame)
    ufunc, identity = _REDUCTIONS[op.attributes["kind"].value]
    row = np.where(frame.active, args[0], identity)
    return [ufunc.reduce(row, axis=-1, keepdims=True, initial=identity)]


def check_sizes(op: Instruction, q: Sequence[int], k: Sequence[int], v: Sequence[int]) -> None:
    """What the verifier can't see of dynamic sizes."""
    for what, sizes in {
        "feature sizes of q and k": (q[3], k[3]),
        "batch sizes of q, k and v": (q[0], k[0], v[0]),
        "head counts of k and v": (k[1], v[1]),
        "sequence lengths of k and v": (k[2], v[2]),
    }.items():
        if len(set(sizes)) != 1:
            got = " and ".join(map(str, sizes))
            raise ValueError(f"'attn.attention' op expects equal {what}, got {got}")
    if q[1] and (not k[1] or q[1] % k[1]):
        raise ValueError(
            "'attn.attention' op expects q's head count to be a multiple of the kv head count, "
            f"got {q[1]} and {k[1]}"
        )


def kv_heads_of(heads: Array, q_heads: int, kv_heads: int) -> Array:
    """The kv head of each query head."""
    return heads // (q_heads // kv_heads)


def row_blocks(batch: int, heads: int, rows: int, columns: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices of batch, heads and rows that cover all rows, each of about `BLOCK_ELEMENTS` scores at most."""
    at_once = max(1, BLOCK_ELEMENTS // max(columns, 1))
    row_step = min(max(rows, 1), at_once)
    head_step = min(max(heads, 1), max(1, at_once // row_step))
    batch_step = max(1, at_once // (row_step * head_step))
    for b in range(0, batch, batch_step):
        for h in range(0, heads, head_step):
            for i in range(0, rows, row_step):
                yield (
                    slice(b, min(b + batch_step, batch)),
                    slice(h, min(h + head_step, heads)),
                    slice(i, min(i + row_step, rows)),
                )


def row_scores(
    op: Instruction, q: Array, k: Array, block: tuple[slice, slice, slice], outer: Frame
) -> tuple[Array, Array, list[Array]]:
    """Scores and unmasked elements [b, h, i, j] of a block of rows, and the indices b, h, i, j."""
    b, h, i = block
    heads = np.arange(h.start, h.stop)
    rows = q[b, h, i]
    columns = k[b][:, kv_heads_of(heads, q.shape[1], k.shape[1])]
    scores = rows @ columns.swapaxes(-1, -2)
    lanes = scores.shape
    indices = [
        np.arange(start, start + size, dtype=np.int64).reshape([-1 if a == axis else 1 for a in range(4)])
        for axis, (start, size) in enumerate(zip((b.start, h.start, i.start, 0), lanes, strict=True))
    ]
    score_block, mask_block = (region[0] for region in op.regions[:2])

    mask = Frame(lanes, outer)
    (kept,) = mask.run(mask_block, indices)
    count_misses(mask, kept, outer)

    score = Frame(lanes, outer)
    (s,) = score.run(score_block, [scores, *indices])
    count_misses(score, kept, outer)
    return s, np.broadcast_to(kept & (s != -np.inf), lanes), indices


def _weights(
    op: Instruction, q: Array, k: Array, block: tuple[slice, slice, slice], outer: Frame
) -> tuple[Array, Array, list[Array]]:
    """Weights and unmasked elements [b, h, i, j] of a block of rows, and its extras [b, h, i]."""
    s, active, indices = row_scores(op, q, k, block, outer)
    normalize = RowFrame(active.shape, outer)
    normalize.active = active
    weight, *extras = normalize.run(op.regions[2][0], [s, *indices])
    count_misses(normalize, active, outer)

    empty = ~active.any(axis=-1, keepdims=True)
    weights = np.where(active, weight, 0.0)
    uniform = []
    for extra in extras:
        if extra.shape[-1] != 1:
            raise op.unsupported("an extra that varies along the row")
        value = np.where(empty & np.isnan(extra), 0.0, extra)
        uniform.append(value[..., 0])
    return weights, active, uniform


def count_misses(inner: Frame, active: Array, outer: Frame) -> None:
    """Hand on the reads out of bounds at unmasked elements."""
    for miss in inner.misses:
        seen = np.broadcast_to(miss & active, inner.lanes)
        if seen.any():
            outer.misses.append(seen)


def weighted_sum(weights: Array, active: Array, v: Array) -> Array:
    """`sum_j weights[..., j] * v[..., j, :]` over the active j: what v holds at others does not matter."""
    finite = np.isfinite(v).all(axis=(0, 1, 3))
    total = weights[..., finite] @ v[..., finite, :]
    for j in np.flatnonzero(~finite):
        term = weights[..., j, None] * v[..., None, j, :]
        total = total + np.where(active[..., j, None], term, 0.0)
    return total
