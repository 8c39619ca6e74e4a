"""Programs whose tiles the mask analysis chooses give the same results as the reference."""

import numpy as np
import pytest
import tiled_backend  # noqa: F401  registers the target

import aecompiler as aec
from aecompiler import masks, normalizers

HEADS, KV_HEADS, FEATURES, ROWS, KEYS = 4, 2, 8, 53, 75
LENGTHS = np.array([30, 5], np.int64)
WINDOWS = np.array([3, 9, 20, 50], np.int32)


def documents():
    return np.cumsum(np.random.default_rng(1).random((2, KEYS)) < 0.08, axis=1).astype(np.int32)


def blocks(size):
    shape = (2, HEADS, -(-ROWS // size), -(-KEYS // size))
    return np.random.default_rng(2).random(shape) < 0.4


number = aec.scalar("i32")
CASES = {
    "causal": (lambda: masks.causal(align="end"), {}),
    "window": (lambda: masks.window(20, align="end"), {}),
    "chunked": (lambda c: masks.chunked(c) & masks.causal(), {"c": (number, np.int32(16))}),
    "chunks of no size": (lambda c: masks.chunked(c) & masks.causal(), {"c": (number, np.int32(0))}),
    "dilated": (lambda: masks.dilated(20) & masks.causal(), {}),
    "global": (lambda: masks.global_local(5, 7), {}),
    "documents": (
        lambda d: masks.document(d) & masks.causal(),
        {"d": (aec.tensor("B", "N", dtype="i32"), documents())},
    ),
    "prefix": (lambda n: masks.prefix_lm(n), {"n": (aec.tensor("B", dtype="i64"), LENGTHS)}),
    "blocks": (
        lambda m: masks.block_sparse(m, block_q=16, block_kv=16),
        {"m": (aec.tensor("B", HEADS, None, None, dtype="i1"), blocks(16))},
    ),
    "windows of heads": (
        lambda w: masks.causal() & (lambda h, i, j: i - j < w[h]),
        {"w": (aec.tensor(HEADS, dtype="i32"), WINDOWS)},
    ),
    "one head": (lambda: masks.causal() | (lambda h: h == 1), {}),
}


def random(*shape):
    return np.random.default_rng([3, *shape]).standard_normal(shape).astype(np.float32)


def program(mask, specs):
    q = aec.tensor("B", HEADS, "Sq", FEATURES)
    kv = aec.tensor("B", KV_HEADS, "Skv", FEATURES)

    @aec.program(q=q, k=kv, v=kv, **specs)
    def masked(q, k, v, **given):
        return aec.attention(q, k, v, mask=mask(**given), normalize=normalizers.softmax())

    return masked


@pytest.mark.parametrize(
    "tile",
    [
        "block-q=16 block-kv=16",
        "block-q=8 block-kv=16 pack-gqa=true",
        "block-q=16 block-kv=8 split-kv=3",
        "block-q=16 block-kv=16 tile-lists=true",
        "block-q=16 block-kv=8 tile-lists=true masked-values=check-result",
        "block-q=16 block-kv=8 tile-lists=true decode-rows=8",
    ],
)
@pytest.mark.parametrize("name", [*CASES])
def test_results_are_those_of_the_reference(name, tile):
    mask, given = CASES[name]
    specs = {key: spec for key, (spec, _) in given.items()}
    kernel = aec.compile(program(mask, specs), target="tiled", tile=tile)
    inputs = [random(2, HEADS, ROWS, FEATURES), random(2, KV_HEADS, KEYS, FEATURES)]
    report = aec.check(kernel, *inputs, inputs[1] + 1, *(value for _, value in given.values()))
    assert report.max_rel_error < 1e-5


def test_what_v_holds_at_an_infinite_key_never_reaches_o():
    """A score of -inf masks an element wherever it comes from: here from k, in a tile that no mask cuts."""
    tensor = aec.tensor(1, 1, "S", 16)

    @aec.program(q=tensor, k=tensor, v=tensor)
    def program(q, k, v):
        return aec.attention(q, k, v)

    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 1, 256, 16), dtype=np.float32) for _ in range(3))
    q = np.abs(q)
    k[0, 0, 3], v[0, 0, 3] = -np.inf, np.nan
    kernel = aec.compile(program)
    (want,) = kernel.evaluate_reference(q, k, v)
    assert np.isfinite(want).all()
    np.testing.assert_allclose(kernel(q, k, v), want, atol=1e-5)
