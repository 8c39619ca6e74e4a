"""Retention in its parallel form: scores that fade with the distance, normalised by the sum of their sizes.

    s_ij = q_i . k_j / sqrt(D) * gamma_h^(i - j),  j <= i        p_ij = s_ij / max(sum_j' |s_ij'|, 1)

gamma_h = 1 - 2^(-5 - h). The decay is a formula of the indices: no tensor of heads x S x S numbers exists.
The same mechanism without the normaliser as a recurrence: retnet.py.

Sun et al., "Retentive Network", 2023, https://arxiv.org/abs/2307.08621
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, value_features=32, dtype="f32"):
    """Retention over q, k [B, heads, S, features] and v [B, heads, S, value_features]."""
    qk = aec.tensor("B", heads, "S", features, dtype=dtype)
    v = aec.tensor("B", heads, "S", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v)
    def retention(q, k, v):
        def score(s, b, h, i, j):
            gamma = 1.0 - aec.exp2(-5.0 - h)
            return s * features**-0.5 * aec.exp2(aec.log2(gamma) * (i - j))

        def normalize(row):
            return row / aec.maximum(aec.abs(row).sum(), 1.0)

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalize)

    return retention


retention = build()

if __name__ == "__main__":
    demo.run(retention, B=2, S=53)
