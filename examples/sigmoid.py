"""Sigmoid attention: every weight by itself, no sum over the row.

    p_ij = sigmoid(q_i . k_j / sqrt(D) + bias),  j <= i        bias = -log S

The bias makes the weights of a row add up to about 1 at the start of training. It depends on the length of
the sequence, which a region reads as `kv_len`.

Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024,
https://arxiv.org/abs/2409.04431
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, dtype="f32"):
    """Causal sigmoid attention."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def sigmoid(q, k, v):
        def score(s, b, h, i, j, kv_len):
            return s * features**-0.5 - aec.log(aec.cast(kv_len, "f32"))

        def normalize(row):
            return aec.sigmoid(row)

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalize)

    return sigmoid


sigmoid = build()

if __name__ == "__main__":
    demo.run(sigmoid, B=2, S=53)
