"""The streaming forms `attn.online_attention` and `attn.online_reduce`, tile by tile.

The keys are one tile, unless `splitting` says otherwise: a form must give the same whatever the tiles are,
and tests cut and merge them in any way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aecompiler.reference.attention import (
    RowFrame,
    check_sizes,
    count_misses,
    kv_heads_of,
    row_blocks,
    row_scores,
    weighted_sum,
)
from aecompiler.reference.machine import Frame, Instruction, implements

Array = np.ndarray

Split = Sequence[Sequence[int]] | tuple["Split", "Split"]
"""A list of tiles, each a list of keys, that are visited in order; or a pair of splits that are merged."""

_PLANS: list[Callable[[int], Split]] = [lambda keys: [range(keys)]]


@contextlib.contextmanager
def splitting(plan: Callable[[int], Split]) -> Iterator[None]:
    """Evaluate streaming forms with the keys cut as `plan(number of keys)` says."""
    _PLANS.append(plan)
    try:
        yield
    finally:
        _PLANS.pop()


@dataclass(frozen=True)
class _Partial:
    """What is known of the rows after some keys; the state has a last axis of size 1."""

    state: list[Array]
    accumulators: list[Array]


@implements("attn.online_attention", "attn.online_reduce")
def _online(op: Instruction, args: list[Array], frame: Frame) -> Sequence[Array]:
    q, k = args[:2]
    v = args[2] if op.name == "attn.online_attention" else None
    check_sizes(op, q.shape, k.shape, k.shape if v is None else v.shape)
    batch, heads, rows, _ = q.shape
    results = [np.zeros((batch, heads, rows)) for _ in op.results]
    if v is not None:
        results[0] = np.zeros((batch, heads, rows, v.shape[3]))
    for block in row_blocks(batch, heads, rows, k.shape[2]):
        form = _Rows(op, q, k, v, block, frame)
        for result, value in zip(results, form.finalize(form.visit(_PLANS[-1](k.shape[2]))), strict=True):
            result[block] = value
    return results


class _Rows:
    """A block of rows under evaluation."""

    def __init__(
        self,
        op: Instruction,
        q: Array,
        k: Array,
        v: Array | None,
        block: tuple[slice, slice, slice],
        outer: Frame,
    ):
        self.op, self.outer = op, outer
        self.scores, self.active, self.indices = row_scores(op, q, k, block, outer)
        self.scores = np.broadcast_to(self.scores, self.active.shape)
        self.rows = (*self.active.shape[:3], 1)
        self.v = None
        self.count = 0
        if v is not None:
            b, h, _ = block
            self.v = v[b][:, kv_heads_of(np.arange(h.start, h.stop), q.shape[1], v.shape[1])]
            self.count = int(op.attributes["accumulators"].value)

    def visit(self, split: Split) -> _Partial:
        """What is known after the keys of `split`."""
        if isinstance(split, tuple):
            return self._merge(*(self.visit(part) for part in split))
        init = Frame(self.rows, self.outer).run(self.op.regions[2][0], [])
        zeros = () if self.v is None else (*self.rows[:3], self.v.shape[3])
        partial = _Partial(init, [np.zeros(zeros) for _ in range(self.count)])
        for tile in split:
            partial = self._update(partial, np.asarray(tile, np.int64))
        return partial

    def _update(self, before: _Partial, tile: Array) -> _Partial:
        scores, active = self.scores[..., tile], self.active[..., tile]
        frame = RowFrame(scores.shape, self.outer)
        frame.active = active
        *indices, j = self.indices
        results = frame.run(self.op.regions[3][0], [*before.state, scores, *indices, j[..., tile]])
        count_misses(frame, active, self.outer)
        state, rescales, weights = self._parted(results)
        accumulators = []
        for kept, rescale, weight in zip(before.accumulators, rescales, weights, strict=True):
            assert self.v is not None
            masked = np.where(active, weight, 0.0)
            accumulators.append(rescale * kept + weighted_sum(masked, active, self.v[..., tile, :]))
        return _Partial(state, accumulators)

    def _merge(self, left: _Partial, right: _Partial) -> _Partial:
        results = self._per_row(4, [*left.state, *right.state])
        state, from_left, from_right = self._parted(results)
        pairs = zip(from_left, left.accumulators, from_right, right.accumulators, strict=True)
        return _Partial(state, [a * x + b * y for a, x, b, y in pairs])

    def finalize(self, partial: _Partial) -> list[Array]:
        """The results of the rows."""
        results = self._per_row(5, partial.state)
        coefficients, extras = results[: self.count], results[self.count :]
        uniform = [np.broadcast_to(extra, self.rows)[..., 0] for extra in extras]
        if self.v is None:
            return uniform
        products = [c * acc for c, acc in zip(coefficients, partial.accumulators, strict=True)]
        return [sum(products), *uniform]  # type: ignore[list-item]

    def _per_row(self, region: int, state: list[Array]) -> list[Array]:
        frame = Frame(self.rows, self.outer)
        results = frame.run(self.op.regions[region][0], [*state, *self.indices[:3]])
        count_misses(frame, np.ones(self.rows, np.bool_), self.outer)
        return results

    def _parted(self, results: list[Array]) -> tuple[list[Array], list[Array], list[Array]]:
        """A state, and what comes with it for each accumulator."""
        end = len(results) - 2 * self.count
        return results[:end], results[end : end + self.count], results[end + self.count :]
