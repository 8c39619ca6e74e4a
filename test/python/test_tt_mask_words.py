"""Masks as bits of words: results are the same to the bit, and code tests seven elements at once."""

import numpy as np
import pytest
from test_triton_kernels import random
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.passes.pipeline import run_pipeline

SIZES = [(37, 37), (5, 70), (70, 33), (130, 130), (1, 200)]
TILES = ["block-q=16 block-kv=16", "block-q=32 block-kv=64", "block-q=16 block-kv=128"]

FAR = 2**63 - 1
BOUNDS = np.array([FAR, -FAR - 1, 0, 5, -1, 12, FAR - 1, 3, 2**40, -(2**40)])


def bounds(rows, dtype):
    """Numbers that rows read, among them the largest and the lowest of their type."""
    info = np.iinfo(dtype)
    return np.resize(np.clip(BOUNDS, info.min, info.max), rows).astype(dtype)


MASKS = {
    "all": None,
    "causal": lambda: aec.masks.causal(align="end"),
    "window": lambda: aec.masks.window(20),
    "wide window": lambda: aec.masks.window(2**31 - 1),
    "prefix": lambda: lambda i, j: (j <= i) | (j < 9),
    "band": lambda: lambda i, j: (j - i <= 7) & (i - j < 3) & (j != 4),
    "shifted": lambda: lambda i, j: j + 1000 <= i + 1003,
    "against": lambda: lambda i, j: i - j > -4,
}
READS = {
    "ends": lambda t: lambda i, j: j < t[i],
    "last": lambda t: lambda i, j: j <= t[i],
    "begins": lambda t: lambda i, j: j > t[i],
    "moved": lambda t: lambda i, j: j + t[i] < 20,
    "equal": lambda t: lambda i, j: (t[i] == t[j]) & (j <= i),
}


def kernels(mask, tile, captured=None):
    """Kernels of a program without the pass and with it."""
    head = [aec.tensor("B", 2, size, 16) for size in ("Sq", "Skv", "Skv")]

    def program(q, k, v, **values):
        made = None if mask is None else mask(**values)
        return aec.attention(
            q, k, v, mask=made, score=aec.scores.scale(), normalize=aec.normalizers.softmax(lse=True)
        )

    module = aec.trace(program, **dict(zip("qkv", head, strict=True)), **(captured or {})).module
    plain, words = Kernels(module, tile), Kernels(module, tile)
    with words.module.context:
        run_pipeline(words.module, "builtin.module(tt-mask-words)")
    return plain, words


def check_equal(plain, words, more=lambda sq, skv: ()):
    for sq, skv in SIZES:
        arrays = [random(1, 2, size, 16, number=n) for n, size in enumerate((sq, skv, skv))]
        inputs = [*arrays, *more(sq, skv)]
        for (_, want, _), (_, got, _) in zip(plain.run(inputs), words.run(inputs), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("name", MASKS)
def test_masks_by_positions(name, tile):
    plain, words = kernels(MASKS[name], tile)
    check_equal(plain, words)
    assert ("bmsk" in str(words.module)) == (name != "prefix")  # which is no conjunction


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("name", READS)
def test_numbers_that_are_read(name, dtype):
    table = aec.tensor("T", dtype="i32" if dtype is np.int32 else "i64")
    plain, words = kernels(READS[name], TILES[1], {"t": table})
    check_equal(plain, words, lambda sq, skv: [bounds(max(sq, skv), dtype)])
    # A sum may be beyond any type, and other comparisons are taken of i32.
    assert ("bmsk" in str(words.module)) == (name != "moved" and (name, dtype) != ("equal", np.int64))


SCALARS = {
    "offset": lambda n: lambda i, j: j < i + n,
    "before": lambda n: lambda i, j: j + n <= i,
    "narrow": lambda n: lambda i, j: aec.cast(j, "i32") + aec.cast(n, "i32") < aec.cast(i, "i32"),
    "window": lambda n: aec.masks.window(n),
}


@pytest.mark.parametrize("dtype", ["i32", "i64"])
@pytest.mark.parametrize("name", SCALARS)
def test_sums_with_scalars_wrap_as_they_did(name, dtype):
    plain, words = kernels(SCALARS[name], TILES[1], {"n": aec.scalar(dtype)})
    info = np.iinfo(dtype.replace("i", "int"))
    for number in (3, -5, info.max, info.min, info.max - 7):
        check_equal(plain, words, lambda sq, skv, number=number: [number])


@pytest.mark.parametrize("name", ["causal", "window"])
def test_code_tests_seven_elements_at_once(name):
    pytest.importorskip("triton")
    t = aec.tensor("B", 4, "S", 128, dtype="bf16")

    @aec.program(q=t, k=t, v=t)
    def program(q, k, v):
        mask = aec.masks.causal() if name == "causal" else aec.masks.window(1000)
        return aec.attention(q, k, v, mask=mask, score=lambda s: s * 0.1, normalize=aec.normalizers.softmax())

    kernel = aec.compile(program, target="nvidia:sm_90", consumers=2, block_kv=128)
    assert kernel.artifact.text.count("bmsk") >= 4
