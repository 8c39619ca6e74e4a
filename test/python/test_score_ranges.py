"""Scores that need less in ranges of tiles give the same results as the reference, and are found."""

import random

import numpy as np
import pytest
import random_masks
import tiled_backend
from ir_programs import attention
from triton_programs import Kernels

import aecompiler as aec
from aecompiler import masks, normalizers, scores

HEADS, FEATURES, ROWS, KEYS = 4, 8, 53, 75
RANGES = "score-ranges=3"


def numbers(*shape):
    return np.random.default_rng([7, *shape]).standard_normal(shape).astype(np.float32)


def far_only(table):
    """Distances above 9 share a number; the others have none."""
    return lambda s, h, i, j: aec.where(i - j > 9, s + table[h, 0], s - 0.5)


def near_only(table):
    """Only distances of up to 6 read the table, on both sides."""
    return lambda s, h, i, j: aec.where(aec.abs(i - j) <= 6, s + table[h, aec.abs(i - j)], s)


def two_tables(table):
    """One read is uniform far from the diagonal, the other beyond the first keys."""

    def score(s, h, i, j):
        near = aec.minimum(aec.maximum(j - i, -4), 4) + 4
        first = aec.minimum(j, 11)
        return s + table[h, near] + 2.0 * table[h, first]

    return score


def of_two_parts(table):
    """A table of rows of 10 and 10 keys: far from the diagonal it still depends on the row."""
    return lambda s, i, j: s + table[aec.minimum(i // 20, 3), aec.minimum(aec.maximum(i - j, 0), 12)]


TABLE = aec.tensor(HEADS, 13)
SCORES = {
    "relative": (scores.relative_bias, TABLE, numbers(HEADS, 13)),
    "relative, zero aside": (lambda t: scores.relative_bias(t, zero=2), TABLE, numbers(HEADS, 13)),
    "relative, of any size": (scores.relative_bias, aec.tensor(HEADS, "N"), numbers(HEADS, 13)),
    "relative, empty": (scores.relative_bias, aec.tensor(HEADS, "N"), numbers(HEADS, 0)),
    "t5": (lambda t: scores.t5_bias(t, limit=20), aec.tensor(HEADS, 12), numbers(HEADS, 12)),
    "t5, past": (
        lambda t: scores.t5_bias(t, limit=20, bidirectional=False),
        aec.tensor(HEADS, 12),
        numbers(HEADS, 12),
    ),
    "far": (far_only, TABLE, numbers(HEADS, 13)),
    "near": (near_only, TABLE, numbers(HEADS, 13)),
    "two": (two_tables, TABLE, numbers(HEADS, 13)),
    "rows": (of_two_parts, TABLE, numbers(HEADS, 13)),
}
MASKS = {
    "all": masks.always(),
    "causal": masks.causal(),
    "at the end": masks.causal(align="end"),
    "window": masks.window(40, causal=False),
    "prefix": masks.prefix_lm(30),
}
TILES = {
    "rows and keys": "block-q=8 block-kv=8",
    "keys, packed heads": "block-q=4 block-kv=8 pack-gqa=true",
    "parts of keys": "block-q=8 block-kv=4 split-kv=3",
    "result checked": "block-q=16 block-kv=8 rows-last=false masked-values=check-result retry-block-kv=4",
    "decoding": "block-q=64 block-kv=8 decode-rows=60 decode-block-kv=4",
}


def program(score, table, mask, rows="Sq"):
    q = aec.tensor("B", HEADS, rows, FEATURES)
    kv = aec.tensor("B", HEADS // 2, "Skv", FEATURES)

    @aec.program(q=q, k=kv, v=kv, table=table)
    def biased(q, k, v, table):
        return aec.attention(q, k, v, score=score(table), mask=mask, normalize=normalizers.softmax(lse=True))

    return biased


@pytest.mark.parametrize(
    ("tile", "mask", "name"),
    [
        (tuple(TILES)[(m + n) % len(TILES)], mask, name)
        for m, mask in enumerate(MASKS)
        for n, name in enumerate(SCORES)
    ],
)
def test_results_are_those_of_the_reference(name, mask, tile):
    score, spec, table = SCORES[name]
    kernel = aec.compile(program(score, spec, MASKS[mask]), target="tiled", tile=f"{TILES[tile]} {RANGES}")
    q, kv = numbers(2, HEADS, ROWS, FEATURES), numbers(2, HEADS // 2, KEYS, FEATURES)
    assert aec.check(kernel, q, kv, kv + 1, table).max_rel_error < 1e-5


@pytest.mark.parametrize("mask", ["all", "causal"])
@pytest.mark.parametrize("name", ["relative", "relative, of any size", "relative, empty", "t5", "two"])
def test_kernels_of_gpus_read_no_more_than_there_is(name, mask):
    """Their interpreter refuses reads beyond a table, also those before loops that do not turn."""
    score, spec, table = SCORES[name]
    kernels = Kernels(program(score, spec, MASKS[mask]).module, "block-q=16 block-kv=16")
    for rows, keys in ((ROWS, KEYS), (5, 3)):
        q, kv = numbers(1, HEADS, rows, FEATURES), numbers(1, HEADS // 2, keys, FEATURES)
        for _, got, want in kernels.run([q, kv, kv + 1, table]):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def loops(name, mask, ranges=RANGES):
    """The loops over tiles of keys."""
    score, spec, _ = SCORES[name]
    text = tiled_backend.tile_level(program(score, spec, MASKS[mask]), tile=f"block-q=8 block-kv=8 {ranges}")
    return text.count("scf.for ")


@pytest.mark.parametrize(
    ("name", "mask", "extra"),
    [
        ("relative", "all", 2),
        ("relative", "causal", 1),  # no key after the row is attended to
        ("relative", "window", 2),
        ("relative, of any size", "causal", 2),  # nothing says that half of the size is above 0
        ("t5", "all", 2),
        ("t5", "causal", 1),
        ("t5, past", "causal", 1),
        ("t5, past", "all", 2),
        ("far", "causal", 0),  # it reads one element in all tiles
        ("near", "all", 2),
        ("near", "causal", 1),
        ("two", "causal", 1),
        ("rows", "causal", 1),
    ],
)
def test_full_tiles_are_cut(name, mask, extra):
    assert loops(name, mask) - loops(name, mask, "score-ranges=1") == extra


def test_no_more_ranges_than_asked_for():
    assert loops("relative", "all", "score-ranges=2") - loops("relative", "all", "score-ranges=1") == 1


def any_score(seed):
    """A score that reads a table at random integers of positions, some of them bounded, and its mask."""
    rng = random.Random(seed)
    text = random_masks.score(seed, rng.choice([1, 1, 2]))
    return attention(
        text,
        random_masks.mask(seed + 1000),
        captures="%w: index, %table: tensor<?x5xf64>",
        q="?x4x?x3",
        k="?x2x?x3",
        v="?x2x?x3",
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_scores_are_never_wrong(seed):
    rng = np.random.default_rng(seed)
    tile = rng.choice(
        ["block-q=4 block-kv=4", "block-q=2 block-kv=8 pack-gqa=true", "block-q=8 block-kv=2 split-kv=2"]
    )
    kernel = aec.compile(any_score(seed), target="tiled", tile=f"{tile} {RANGES}")
    for w in (0, 3, -7):
        q, kv = rng.standard_normal((1, 4, 23, 3)), rng.standard_normal((1, 2, 29, 3))
        table = rng.standard_normal((int(rng.integers(0, 9)), 5))
        assert aec.check(kernel, q, kv, kv + 1, np.int64(w), table).max_rel_error < 1e-9
