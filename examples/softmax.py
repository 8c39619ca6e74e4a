"""Softmax attention, causal: the mechanism that every other one departs from.

    s_ij = q_i . k_j / sqrt(D)
    p_ij = exp(s_ij) / sum_j' exp(s_ij'),  j <= i
    o_i  = sum_j p_ij v_j

The normaliser is written as mathematics on a row; subtracting the maximum changes no weight and keeps exp
from overflowing. Keys and values may differ in their feature sizes, as in DeepSeek-V2 (192 and 128) and in
the Differential Transformer (128 and 256). The second result, log sum_j exp(s_ij), is what merges partial
results.

Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762
"""

import demo

import aecompiler as aec


def build(heads=4, features=24, value_features=16, causal=True, dtype="f32"):
    """Softmax attention over q, k [B, heads, S, features] and v [B, heads, S, value_features]."""
    qk = aec.tensor("B", heads, "S", features, dtype=dtype)
    v = aec.tensor("B", heads, "S", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v, results=("o", "lse"))
    def softmax(q, k, v):
        def score(s):
            return s * features**-0.5

        def mask(b, h, i, j):
            return i >= j

        def normalize(row):
            m = row.max()
            e = aec.exp(row - m)
            total = e.sum()
            return e / total, m + aec.log(total)

        o, lse = aec.attention(q, k, v, score=score, mask=mask if causal else None, normalize=normalize)
        return o, lse

    return softmax


softmax = build()

if __name__ == "__main__":
    demo.run(softmax, B=2, S=67)
