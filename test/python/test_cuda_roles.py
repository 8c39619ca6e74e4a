"""Kernels whose warps have roles, on a GPU: whole results, at sizes that no tile divides, with NaN in v."""

from __future__ import annotations

import functools
import itertools

import pytest

import aecompiler as aec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.cuda

SIZES = [(1, 1), (129, 300), (333, 200), (5, 700), (512, 512), (1000, 1000), (64, 0)]
WIDTHS = [(16, 32), (64, 64), (128, 128), (256, 256), (192, 128), (96, 64), (128, 256)]
"""Features of q and k, and of v."""

ERROR = {"bf16": 2.0**-7, "f16": 2.0**-9}
"""Of o, relative to the largest value of its row: weights and o are rounded to the type."""

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16}
MASKS = {
    "full": None,
    "causal": lambda i, j: j <= i,
    "window": lambda i, j: (j <= i) & (i - j < 100),
}


@functools.cache
def kernel(features: int, v_features: int, dtype: str, mask: str, kv_heads: int = 2, **options):
    """Softmax attention with its log-sum-exp, and that its warps have roles."""

    def attention(q, k, v):
        made = {
            "full": None,
            "causal": aec.masks.causal(),
            "window": aec.masks.causal() & aec.masks.window(100),
        }
        return aec.attention(
            q,
            k,
            v,
            score=aec.scores.scale(),
            mask=made[mask],
            normalize=aec.normalizers.softmax(lse=True),
        )

    program = aec.trace(
        attention,
        q=aec.tensor("B", 4, "S", features, dtype=dtype),
        k=aec.tensor("B", kv_heads, "T", features, dtype=dtype),
        v=aec.tensor("B", kv_heads, "T", v_features, dtype=dtype),
    )
    if torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("a card whose warps have no roles")
    made = aec.compile(program, target="cuda", **{"pack": "none", "split": "none", **options})
    assert "attn-hopper" in made.artifact.manifest["pipeline"]
    return made


def kept(mask: str, rows: int, keys: int):
    """Which keys each row attends to."""
    i, j = torch.arange(rows, device="cuda")[:, None], torch.arange(keys, device="cuda")
    if MASKS[mask] is None:
        return torch.ones(rows, keys, dtype=torch.bool, device="cuda")
    return MASKS[mask](i, j)


def reference(q, k, v, keep):
    """o and the log-sum-exp in f64; values at masked keys are ignored."""
    shared = q.shape[1] // k.shape[1]
    q, k, v = (each.double() for each in (q, k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)))
    scores = q @ k.transpose(-1, -2) * q.shape[3] ** -0.5
    scores = scores.masked_fill(~keep, -torch.inf)
    lse = torch.logsumexp(scores, -1) if k.shape[2] else scores.sum(-1) - torch.inf
    weights = torch.exp(scores - lse[..., None].clamp(min=-1e300)).masked_fill(~keep, 0)
    o = weights @ v.nan_to_num(0.0, 0.0, 0.0)
    unseen = torch.isnan(v).any(-1)  # a key whose values are NaN makes every row NaN that attends to it
    spoiled = (keep & unseen[:, :, None, :]).any(-1)
    return o.masked_fill(spoiled[..., None], torch.nan), lse


def check(made, dtype: str, mask: str, features: int, v_features: int, sizes, kv_heads: int = 2) -> None:
    """Compare results whole, without and with values that are NaN at some keys."""
    rows, keys = sizes
    generator = torch.Generator("cuda").manual_seed(rows + keys)

    def draw(heads, length, width):
        return torch.randn(2, heads, length, width, device="cuda", dtype=DTYPES[dtype], generator=generator)

    q, k, v = draw(4, rows, features), draw(kv_heads, keys, features), draw(kv_heads, keys, v_features)
    compare(made, dtype, (q, k, v), kept(mask, rows, keys))


def compare(made, dtype: str, operands, keep, *captured) -> None:
    """Compare results whole, with v as it is and with values that are NaN at some keys."""
    q, k, v = operands
    spoiled = v.clone()
    spoiled[:, :, v.shape[2] // 2 :: 97] = torch.nan
    for values in (v, spoiled):
        out = [
            torch.full((*q.shape[:3], v.shape[3]), 77.0, device="cuda", dtype=DTYPES[dtype]),
            torch.full(q.shape[:3], 77.0, device="cuda"),
        ]
        made(q, k, values, *captured, out=out)
        o, lse = reference(q, k, values, keep)
        assert torch.equal(torch.isnan(out[0]), torch.isnan(o)), "other rows are NaN"
        scale = o.nan_to_num(0.0).abs().amax(-1, keepdim=True).clamp(min=1e-3)
        error = ((out[0].double() - o).nan_to_num(0.0).abs() / scale).max().item() if q.shape[2] else 0.0
        assert error <= ERROR[dtype]
        torch.testing.assert_close(out[1].double(), lse, atol=1e-4, rtol=1e-5)


PIECES = [(80, 80), (96, 96), (96, 192), (192, 192), (128, 96), (64, 112), (240, 240)]
"""Widths of values that are no power of two: sums of pieces."""


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [*WIDTHS, *PIECES])
def test_softmax(widths, dtype, mask):
    made = kernel(*widths, dtype, mask)
    for sizes in SIZES:
        check(made, dtype, mask, *widths, sizes)


OPTIONS = [
    {"consumers": consumers, "grid": grid, "waits": waits, "num_stages": stages, "block_kv": 64}
    for consumers, grid, (waits, stages) in itertools.product(
        (1, 2, 3), ("tiles", "persistent"), (("at-use", 1), ("at-end", 3), ("together", 2))
    )
]


@pytest.mark.parametrize("options", OPTIONS)
def test_schedules(options):
    for widths in ((64, 64), (80, 80)):
        made = kernel(*widths, "bf16", "causal", 1, **options)
        for sizes in SIZES:
            check(made, "bf16", "causal", *widths, sizes, kv_heads=1)
