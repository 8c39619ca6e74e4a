"""Softmax off by one: a head may attend to nothing.

    p_ij = exp(s_ij) / (1 + sum_j' exp(s_ij'))

The 1 is a sink with the score 0: when all scores are far below it, all weights go to 0.

Miller, "Attention Is Off By One", 2023, https://www.evanmiller.org/attention-is-off-by-one.html
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, dtype="f32"):
    """Causal attention with softmax off by one."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def off_by_one(q, k, v):
        def normalize(row):
            m = aec.maximum(row.max(), 0.0)
            e = aec.exp(row - m)
            return e / (e.sum() + aec.exp(-m))

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=masks.causal(), normalize=normalize
        )

    return off_by_one


off_by_one = build()

if __name__ == "__main__":
    demo.run(off_by_one, B=2, S=53)
