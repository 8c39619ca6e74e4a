"""Block-sparse decoding: one new query per head reads the chosen blocks of a cache, grouped heads.

    keep j where j < length_b and blocks[b, h', j // size]        h' = h // (Hq / Hkv)

The query heads of a group choose together. Typical: 32 query heads, 8 key heads, 128 features, blocks of 64
of which one in five is read, caches of different lengths.

Gao et al., "SeerAttention-R", 2025, https://arxiv.org/abs/2506.08889
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=8, kv_heads=2, features=16, size=16, dtype="f32"):
    """q [B, heads, 1, features] over a cache with length [B] and blocks [B, kv_heads, Blocks]."""
    q = aec.tensor("B", heads, 1, features, dtype=dtype)
    kv = aec.tensor("B", kv_heads, "S", features, dtype=dtype)
    blocks = aec.tensor("B", kv_heads, "Blocks", dtype="i1")

    @aec.program(q=q, k=kv, v=kv, blocks=blocks, length=aec.tensor("B", dtype="i32"))
    def block_sparse_decode(q, k, v, blocks, length):
        def mask(b, h, i, j):
            return (j < length[b]) & blocks[b, h // (heads // kv_heads), j // size]

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return block_sparse_decode


block_sparse_decode = build()
inputs = {
    "blocks": lambda rng, shape: rng.random(shape) < 0.2,
    "length": lambda rng, shape: rng.integers(0, 80, shape),
}

if __name__ == "__main__":
    demo.run(block_sparse_decode, inputs, B=3, S=80, Blocks=5)
