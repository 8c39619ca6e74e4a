"""ALiBi: no position embeddings, but a penalty on the score that grows with the distance.

    s_ij = q_i . k_j / sqrt(D) + slope_h (j - i),  j <= i        slope_h = 2^(-8 (h + 1) / H)

Press, Smith and Lewis, "Train Short, Test Long", 2021, https://arxiv.org/abs/2108.12409
"""

import demo
import numpy as np

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=8, features=16, dtype="f32"):
    """Causal attention with a slope per head, which is an argument: a table of `heads` numbers."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, slopes=aec.tensor(heads))
    def alibi(q, k, v, slopes):
        def score(s, b, h, i, j):
            return s * features**-0.5 + slopes[h] * (j - i)

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalizers.softmax())

    return alibi


def slopes(rng, shape):
    """The paper's slopes, a geometric series from 2^(-8 / H) to 2^-8."""
    return 2.0 ** (-8.0 * np.arange(1, shape[0] + 1) / shape[0])


alibi = build()
inputs = {"slopes": slopes}

if __name__ == "__main__":
    demo.run(alibi, inputs, B=2, S=53)
