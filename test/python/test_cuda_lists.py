"""Kernels whose loops go over lists of tiles, on a GPU: whole results, for both roads."""

from __future__ import annotations

import functools

import pytest

import aecompiler as aec
from aecompiler import masks

torch = pytest.importorskip("torch")
roles = pytest.importorskip("test_cuda_roles")
pytestmark = pytest.mark.cuda

HEADS, KV_HEADS, FEATURES = 4, 2, 64
IDS = aec.tensor("B", None, dtype="i32")
ROADS = {
    "roles": {},
    "roles, a block for each tile": {"consumers": 1, "grid": "tiles", "block_kv": 64},
    "Triton's": {"block_q": 64, "block_kv": 64},
}
LENGTHS = [(1, 1), (129, 300), (1000, 1000), (5000, 5003), (64, 0), (300, 9000)]


@functools.cache
def kernel(mask: str, road: str):
    """Softmax attention with its log-sum-exp; `mask` is a name in `CASES`."""
    made, specs = CASES[mask][:2]

    def attention(q, k, v, **captured):
        return aec.attention(
            q,
            k,
            v,
            score=aec.scores.scale(),
            mask=made(**captured),
            normalize=aec.normalizers.softmax(lse=True),
        )

    program = aec.trace(
        attention,
        q=aec.tensor("B", HEADS, "S", FEATURES, dtype="bf16"),
        k=aec.tensor("B", KV_HEADS, "T", FEATURES, dtype="bf16"),
        v=aec.tensor("B", KV_HEADS, "T", FEATURES, dtype="bf16"),
        **specs,
    )
    if torch.cuda.get_device_capability() != (9, 0) and road.startswith("roles"):
        pytest.skip("a card whose warps have no roles")
    found = aec.compile(program, target="cuda", pack="none", split="none", **ROADS[road])
    assert ("attn-hopper" in found.artifact.manifest["pipeline"]) == road.startswith("roles")
    assert len(found.artifact.manifest["kernels"]) > 1, "nobody writes lists"
    return found


def positions(rows, keys):
    return torch.arange(rows, device="cuda")[:, None], torch.arange(keys, device="cuda")


def numbers(generator, length):
    """The numbers of documents of about 100 positions, for two batches."""
    ends = torch.rand(2, length, device="cuda", generator=generator) < 0.01
    return ends.cumsum(1).int()


def documents(generator, rows, keys):
    """Rows and keys have numbers of their own: some rows have no key at all."""
    of_rows, of_keys = numbers(generator, rows), numbers(generator, keys)
    return (of_rows[:, :, None] == of_keys[:, None, :])[:, None], (of_rows, of_keys)


def past_of_documents(generator, rows, keys):
    i, j = positions(rows, keys)
    keep, captured = documents(generator, rows, keys)
    return keep & (j <= i), captured


def blocks(generator, rows, keys):
    """Half of the blocks of each head, and none of the last."""
    shape = (2, HEADS, max(-(-rows // 128), 1), max(-(-keys // 64), 1))
    kept = torch.rand(shape, device="cuda", generator=generator) < 0.5
    kept[:, -1] = False
    i, j = positions(rows, keys)
    return kept[:, :, i // 128, j // 64], (kept,)


def dilated(generator, rows, keys):
    i, j = positions(rows, keys)
    return ((i - j) % 200 == 0) & (j <= i), ()


CASES = {
    "documents": (lambda a, b: masks.document(a, b), {"a": IDS, "b": IDS}, documents),
    "past of documents": (
        lambda a, b: masks.document(a, b) & masks.causal(),
        {"a": IDS, "b": IDS},
        past_of_documents,
    ),
    "blocks": (
        lambda kept: masks.block_sparse(kept, block_q=128, block_kv=64),
        {"kept": aec.tensor("B", HEADS, None, None, dtype="i1")},
        blocks,
    ),
    "dilated": (lambda: masks.dilated(200) & masks.causal(), {}, dilated),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("mask", CASES)
def test_lists_of_tiles(mask, road):
    made = kernel(mask, road)
    for rows, keys in LENGTHS:
        generator = torch.Generator("cuda").manual_seed(rows + keys)
        operands = [
            torch.randn(2, heads, length, FEATURES, device="cuda", dtype=torch.bfloat16, generator=generator)
            for heads, length in ((HEADS, rows), (KV_HEADS, keys), (KV_HEADS, keys))
        ]
        keep, captured = CASES[mask][2](generator, rows, keys)
        roles.compare(made, "bf16", operands, keep, *captured)


def test_keys_that_a_kernel_before_computes():
    """It has no products, and copies tiles by descriptors; its result is read by a kernel with roles."""
    if torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("a card whose warps have no roles")
    x = aec.tensor("B", HEADS, "S", FEATURES, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        normalize = aec.normalizers.softmax(lse=True)
        score, mask = aec.scores.scale(), masks.causal()
        return aec.attention(q, k * 0.5, v, score=score, mask=mask, normalize=normalize)

    made = aec.compile(attention, target="cuda")
    assert "attn-hopper" in made.artifact.manifest["pipeline"]
    assert len(made.artifact.manifest["kernels"]) == 2
    for length in (1, 300, 1000):
        generator = torch.Generator("cuda").manual_seed(length)
        q, k, v = (
            torch.randn(2, HEADS, length, FEATURES, device="cuda", dtype=torch.bfloat16, generator=generator)
            for _ in "qkv"
        )
        i, j = positions(length, length)
        out = [torch.full_like(q, 77.0), torch.full(q.shape[:3], 77.0, device="cuda")]
        made(q, k, v, out=out)
        o, lse = roles.reference(q, k * 0.5, v, j <= i)
        torch.testing.assert_close(out[0].double(), o, atol=2.0**-6, rtol=2.0**-6)
        torch.testing.assert_close(out[1].double(), lse, atol=1e-4, rtol=1e-5)
