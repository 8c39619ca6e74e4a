"""Kernels whose warps have roles and whose loops go over lists of tiles, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from test_hopper_kernels import KEYS, SMALL, attend, compare, data, program, with_lse

import aecompiler as aec
from aecompiler import masks

PERSISTENT = "consumers=2 block-kv=32 stages=2 programs=2"
ids = aec.tensor("B", None, dtype="i32")


def two_batches(rows, keys):
    arrays = data(rows, keys, kv_heads=2)
    return [np.concatenate([array, array[:, ::-1]]) for array in arrays]


def numbers(ends, length):
    """The number of the document that each position is in, where documents end at `ends`."""
    return np.searchsorted(ends, np.arange(length), side="right")


def documents(length):
    """Those of two batches."""
    return np.stack([numbers([3, 40, 41, 120], length), numbers([70], length)]).astype(np.int32)


@pytest.mark.parametrize("options", [SMALL, "consumers=1 block-kv=32 stages=3 programs=1", PERSISTENT])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("length", [1, 65, 200])
def test_documents(length, is_causal, options):
    """Tiles of rows have full tiles only, partial ones only, and both; batches have lists of their own."""

    def mask(ids):
        return masks.document(ids) & masks.causal() if is_causal else masks.document(ids)

    captured = {"ids": (ids, documents(length))}
    attend(
        two_batches(length, length), captured, mask=mask, normalize=with_lse, options=options, seeds=(0, 1)
    )


@pytest.mark.parametrize("options", [SMALL, PERSISTENT])
def test_rows_without_tiles(options):
    """No key is in the documents of the second tile of rows, and none at all in the second batch."""
    rows, keys = 200, 70
    of_rows = np.stack([numbers([64, 128], rows), np.full(rows, 5)]).astype(np.int32)
    of_keys = np.stack([np.where(numbers([64], keys) == 1, 2, 0), np.full(keys, 4)]).astype(np.int32)
    captured = {"ids": (ids, of_rows), "of_keys": (ids, of_keys)}
    attend(
        two_batches(rows, keys),
        captured,
        mask=lambda ids, of_keys: masks.document(ids, of_keys),
        normalize=with_lse,
        options=options,
        seeds=(0, 1),
    )


@pytest.mark.parametrize("options", [SMALL, PERSISTENT])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_blocks_of_heads(share, options):
    rows, keys = 150, 150
    blocks = np.random.default_rng(1).random((2, 2, -(-rows // 32), -(-keys // 16))) < share
    attend(
        two_batches(rows, keys),
        {"blocks": (aec.tensor("B", 2, None, None, dtype="i1"), blocks)},
        mask=lambda blocks: masks.block_sparse(blocks, block_q=32, block_kv=16),
        normalize=with_lse,
        options=options,
    )


@pytest.mark.parametrize("keys", [0, 1, 63, KEYS])
def test_dilated(keys):
    attend(data(70, keys), mask=lambda: masks.dilated(40) & masks.causal(), normalize=with_lse)


@pytest.mark.parametrize("options", [SMALL, "consumers=1 block-kv=16 stages=2 programs=1"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_values_that_are_not_finite(number, options):
    """Those of another document are left out, those of one's own are seen."""
    length = 150
    q, k, v = data(length, length)
    v[:, :, 20:30] = number
    captured = {"ids": (ids, numbers([50, 60], length)[None].astype(np.int32))}
    attend((q, k, v), captured, mask=lambda ids: masks.document(ids), normalize=with_lse, options=options)


def test_lists_of_several_chunks():
    """More tiles of keys than are tested at a time, and than one program lists."""
    q, k, v = data(3, 130 * 16 + 5, 16, heads=1)
    captured = {
        "ids": (ids, np.zeros((1, 3), np.int32)),
        "of_keys": (
            ids,
            (np.arange(k.shape[2]) % 7 == 3).astype(np.int32)[None] * (np.arange(k.shape[2]) > 900),
        ),
    }
    traced = program(
        (q, k, v), captured, mask=lambda ids, of_keys: masks.document(ids, of_keys), normalize=with_lse
    )
    compare(traced, [q, k, v, *(np.ascontiguousarray(value, np.int32) for _, value in captured.values())])
