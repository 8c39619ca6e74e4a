"""Prefix-LM: a prefix is read in both directions, what follows it causally.

    keep j where j <= i or j < prefix_b

Every batch entry has a prefix of its own length, an argument of the program.

Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2019, https://arxiv.org/abs/1910.10683
Dong et al., "Unified Language Model Pre-training" (UniLM), 2019, https://arxiv.org/abs/1905.03197
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, dtype="f32"):
    """Attention with a prefix length per batch entry, prefix [B]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, prefix=aec.tensor("B", dtype="i32"))
    def prefix_lm(q, k, v, prefix):
        def mask(b, h, i, j):
            return (i >= j) | (j < prefix[b])

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return prefix_lm


prefix_lm = build()
inputs = {"prefix": lambda rng, shape: rng.integers(0, 20, shape)}

if __name__ == "__main__":
    demo.run(prefix_lm, inputs, B=3, S=43)
