"""What v holds at masked keys never reaches o, and what it holds at others does, in all tiles."""

import numpy as np
import pytest
from random_inputs import numpy_type
from tiled_backend import tile_level  # registers the target
from vectorization import WatchedBackend  # registers the target

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.passes.pipeline import Pipeline

HEADS, KV_HEADS, FEATURES, ROWS, KEYS = 4, 2, 8, 37, 45
FIRST, END = 3, 37
"""Keys outside of this range are hidden: no row attends to them, though they share tiles with others."""
SEEN = 3
"""A key that some rows attend to, and others don't."""

WAYS = ("masked-values=check-tiles", "masked-values=check-result")


def standardized(row, h, i, j):
    mean = row.sum() / (row * 0.0 + 1.0).sum()
    x = (row - mean) / aec.sqrt(((row - mean) ** 2).sum() + 0.5)
    e = aec.exp(x - x.max())
    return e / e.sum(), mean


NORMALIZERS = {
    "one accumulator": normalizers.softmax(lse=True),
    "no state": normalizers.relu(),
    "two accumulators": normalizers.log_softmax(),
    "weights that a mask does not make 0": normalizers.none(),
    "absolute values": normalizers.retention(),
    "an accumulator that is scaled by the row": normalizers.softpick(epsilon=0.1),
    "more passes": standardized,
}

WINDOW = masks.window(24, causal=False) & (lambda j: (j >= FIRST) & (j < END))
"""Its tiles are ranges in closed form."""
DOTTED = masks.dilated(4) & (lambda j: (j >= FIRST) & (j < END))
"""Its tiles are tested one by one."""

TILES = {
    "plain": "block-q=16 block-kv=8",
    "rows first": "block-q=8 block-kv=16 rows-last=false",
    "packed": "block-q=8 block-kv=8 pack-gqa=true",
    "split": "block-q=16 block-kv=8 split-kv=3",
    "packed for decoding": "block-q=32 block-kv=8 decode-rows=16 decode-block-kv=16",
}


def program(normalize, mask, *, by_score=False, dtype="f32"):
    """Attention whose `mask` leaves out the hidden keys, or whose score does."""
    q = aec.tensor(1, HEADS, "Sq", FEATURES, dtype=dtype)
    kv = aec.tensor(1, KV_HEADS, "Skv", FEATURES, dtype=dtype)

    def score(s, j):
        return aec.where((j >= FIRST) & (j < END), s * 0.3, float("-inf")) if by_score else s * 0.3

    @aec.program(q=q, k=kv, v=kv)
    def masked(q, k, v):
        return aec.attention(q, k, v, score=score, mask=mask, normalize=normalize)

    return masked


def inputs(rows=ROWS, dtype="f32"):
    rng = np.random.default_rng(7)
    shapes = [(1, HEADS, rows, FEATURES), *[(1, KV_HEADS, KEYS, FEATURES)] * 2]
    return [rng.standard_normal(shape).astype(numpy_type(dtype)) for shape in shapes]


def spoiled(q, k, v, hidden, seen, row):
    """The inputs, with values that are no numbers."""
    q, k, v = q.copy(), k.copy(), v.copy()
    v[:, :, :FIRST] = v[:, :, END:] = hidden
    v[:, 0, SEEN, 1] = seen
    q[:, 1, min(11, q.shape[2] - 1), 0] = row
    return q, k, v


CALLS = [
    # at masked keys, at a key that is attended to, in a row of q
    (np.nan, 1.0, 1.0),
    (np.inf, 1.0, 1.0),
    (1.0, np.inf, 1.0),
    (1.0, np.nan, 1.0),
    (-np.inf, -np.inf, 1.0),
    (np.nan, 1.0, np.nan),
    (1.0, np.inf, np.inf),
]


def check(source, tile, rows=ROWS, dtype="f32", ways=WAYS, **options):
    """Both ways give the same, which is what the reference gives."""
    kernels = [aec.compile(source, target="tiled", tile=f"{tile} {way}", **options) for way in ways]
    assert_same(kernels, dtype, rows)


def assert_same(kernels, dtype="f32", rows=ROWS):
    tolerance = {"f32": 2e-5, "f16": 2e-3, "bf16": 2e-2}[dtype]
    for hidden, seen, row in CALLS:
        arguments = spoiled(*inputs(rows, dtype), hidden, seen, row)
        want = kernels[0].evaluate_reference(*arguments)
        by_tile, by_result = (as_tuple(kernel(*arguments)) for kernel in kernels)
        for number, reference in enumerate(want):
            where = f"result {number}, v {hidden} at masked keys and {seen} at others, q {row}"
            first, second = (np.asarray(each[number]) for each in (by_tile, by_result))
            assert_near(second, first, tolerance, where)
            # Two accumulators that are infinite may have a difference that the row does not have.
            if not np.isinf(seen):
                assert_near(second, reference, tolerance, where)


def assert_near(got, want, tolerance, where):
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance, err_msg=where
    )


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
@pytest.mark.parametrize("normalize", NORMALIZERS.values(), ids=NORMALIZERS)
def test_masked_values_stay_hidden_and_others_do_not(normalize, tile):
    check(program(normalize, WINDOW), tile)


@pytest.mark.parametrize("mask", [WINDOW, DOTTED], ids=["ranges", "tests"])
@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
def test_a_second_pass_in_smaller_tiles(tile, mask):
    """Of 4 keys, also where the tiles of the first pass are not all as large, or are parts of the keys."""
    check(program(normalizers.softmax(lse=True), mask), tile, ways=(WAYS[0], f"{WAYS[1]} retry-block-kv=4"))


@pytest.mark.parametrize(("mask", "loops"), [(WINDOW, 5), (DOTTED, 2)], ids=["ranges", "tests"])
def test_the_second_pass_has_one_body_for_all_tiles(mask, loops):
    """Loops over full tiles, over partial ones in two ranges, and over all three; or twice over a hull."""
    text = tile_level(program(normalizers.softmax(), mask), tile=f"{TILES['plain']} {WAYS[1]}")
    assert text.count("scf.for ") == loops


def test_tiles_that_are_tested_one_by_one():
    check(program(normalizers.softmax(), DOTTED), TILES["plain"])


@pytest.mark.parametrize(
    "normalize", [normalizers.softmax(), normalizers.retention()], ids=["softmax", "abs"]
)
def test_keys_that_their_score_masks_in_full_tiles(normalize):
    check(program(normalize, masks.always(), by_score=True), TILES["plain"])


def test_a_reference_that_lags():
    check(program(normalizers.softmax(lse=True), WINDOW), TILES["plain"], derive="lazy-rescale=8")


def test_few_queries():
    check(program(normalizers.softmax(), WINDOW), TILES["packed for decoding"], rows=7)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_narrow_types(dtype):
    check(program(normalizers.softmax(), WINDOW, dtype=dtype), TILES["plain"], dtype=dtype)


@pytest.mark.parametrize("normalize", NORMALIZERS.values(), ids=NORMALIZERS)
def test_the_cpu_makes_vectors_of_both_passes(normalize, monkeypatch):
    by_default = WatchedBackend.pipeline

    def pipeline(self, schedule):
        text = Pipeline(by_default(self, schedule)).text(0)
        assert text.count("attn-tile{") == 1
        return text.replace("attn-tile{", f"attn-tile{{{WAYS[1]} ")

    source = program(normalize, WINDOW)
    kernels = [aec.compile(source, target="watched")]
    with monkeypatch.context() as patch:
        patch.setattr(WatchedBackend, "pipeline", pipeline)
        kernels.append(aec.compile(source, target="watched"))
    assert kernels[1].artifact.metadata["tiles"].left == 0
    assert_same(kernels)


def test_sums_that_overflow_are_what_they_are():
    """An accumulator that is infinite by itself: the second pass gives it and the other rows again."""
    source = program(normalizers.none(), WINDOW)
    kernels = [aec.compile(source, target="tiled", tile=f"{TILES['plain']} {way}") for way in WAYS]
    q, k, v = inputs()
    q[:, :, 20] *= 1e20
    v[:, :, 18] = 1e20
    by_tile, by_result = (np.asarray(kernel(q, k, v)) for kernel in kernels)
    assert np.isinf(by_tile[:, :, 20]).any()
    assert np.isfinite(by_tile[:, :, 5]).all()
    np.testing.assert_allclose(by_result, by_tile, rtol=2e-5)
