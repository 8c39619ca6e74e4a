"""Captured tensors that are read at positions: along a row, along the diagonals, and anywhere else."""

from __future__ import annotations

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.library import masks, normalizers

SIZES = [(1, 1), (3, 70), (64, 64), (67, 129), (130, 65)]


def compiled(score, table, mask=None, dtype="f32"):
    q = aec.tensor("B", 2, "Sq", 16)
    kv = aec.tensor("B", 1, "Skv", 16)
    given = {} if mask is None else {"mask": mask}

    @aec.program(q=q, k=kv, v=kv, table=aec.tensor(*table, dtype=dtype))
    def program(q, k, v, table):
        return aec.attention(
            q,
            k,
            v,
            score=lambda s, b, h, i, j: score(s, b, h, i, j, table),
            normalize=normalizers.softmax(),
            **given,
        )

    return aec.compile(program)


def check(kernel, table_of, bias_of, is_causal=False):
    """Compare with softmax(q k^T + bias) v; `bias_of` gives the bias from the table, [B, H, Sq, Skv]."""
    rng = np.random.default_rng(0)
    for sq, skv in SIZES:
        q = rng.standard_normal((2, 2, sq, 16), np.float32)
        k, v = rng.standard_normal((2, 2, 1, skv, 16), np.float32)
        table = table_of(rng, sq, skv)
        i, j = np.arange(sq)[:, None], np.arange(skv)[None, :]
        scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2) + bias_of(table.astype(np.float64), i, j)
        if is_causal:
            scores = np.where(j <= i, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        expected = weights / weights.sum(-1, keepdims=True) @ v
        found = np.asarray(kernel(q, k, v, table))
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5, err_msg=f"{sq}, {skv}")


@pytest.mark.parametrize("mask", [None, masks.causal()])
def test_a_bias_of_rows_and_keys(mask):
    kernel = compiled(lambda s, b, h, i, j, t: s + t[i, j], ("Sq", "Skv"), mask)

    def table_of(rng, sq, skv):
        return rng.standard_normal((sq, skv), np.float32)

    check(kernel, table_of, lambda t, i, j: t, mask is not None)
    # Views whose keys do not lie side by side.
    check(kernel, lambda *args: np.asfortranarray(table_of(*args)), lambda t, i, j: t, mask is not None)
    check(
        kernel, lambda rng, sq, skv: table_of(rng, sq, 2 * skv)[:, ::2], lambda t, i, j: t, mask is not None
    )


def test_a_bias_of_every_head():
    kernel = compiled(lambda s, b, h, i, j, t: s + 2.0 * t[b, h, i, j], ("B", 2, "Sq", "Skv"))
    check(
        kernel,
        lambda rng, sq, skv: rng.standard_normal((2, 2, sq, skv), np.float32),
        lambda t, i, j: 2.0 * t,
    )


@pytest.mark.parametrize(("at_row", "at_key"), [(7, 3), (-5, -9)])
def test_a_bias_that_is_read_beyond_its_ends(at_row, at_key):
    """Indices are clamped one by one, so what is read there are no neighbours."""
    kernel = compiled(lambda s, b, h, i, j, t: s + t[i + at_row, j + at_key], ("Tq", "Tk"))

    def bias_of(table, i, j):
        rows, keys = table.shape
        return table[np.clip(i + at_row, 0, rows - 1), np.clip(j + at_key, 0, keys - 1)]

    check(kernel, lambda rng, sq, skv: rng.standard_normal((60, 63), np.float32), bias_of)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [0, 128])
def test_a_table_of_distances(sign, offset):
    """Neighbouring rows read neighbouring elements, forwards or backwards."""
    kernel = compiled(lambda s, b, h, i, j, t: s + t[h, sign * (i - j) + offset], (2, "T"))

    def bias_of(table, i, j):
        return table[:, np.clip(sign * (i - j) + offset, 0, table.shape[1] - 1)]

    check(kernel, lambda rng, sq, skv: rng.standard_normal((2, 200), np.float32), bias_of)


def test_a_bias_of_a_narrow_type():
    kernel = compiled(lambda s, b, h, i, j, t: s + aec.cast(t[i, j], "f32"), ("Sq", "Skv"), dtype="f16")
    check(kernel, lambda rng, sq, skv: rng.standard_normal((sq, skv)).astype(np.float16), lambda t, i, j: t)


def test_rows_that_are_looked_up():
    """The row of the bias is read from a tensor itself."""
    q = aec.tensor("B", 2, "S", 16)

    @aec.program(q=q, k=q, v=q, table=aec.tensor("T", "S"), place=aec.tensor("S", dtype="i32"))
    def program(q, k, v, table, place):
        return aec.attention(
            q, k, v, score=lambda s, b, h, i, j: s + table[place[i], j], normalize=normalizers.softmax()
        )

    kernel = aec.compile(program)
    rng = np.random.default_rng(1)
    q, k, v = rng.standard_normal((3, 1, 2, 100, 16), np.float32)
    table = rng.standard_normal((9, 100), np.float32)
    place = rng.integers(0, 9, 100).astype(np.int32)
    scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2) + table[place]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(np.asarray(kernel(q, k, v, table, place)), expected, rtol=2e-4, atol=2e-5)
