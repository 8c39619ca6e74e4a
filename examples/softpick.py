"""Softpick: a softmax that can give exactly 0, and whose weights need not add up to 1.

    p_ij = max(exp(s_ij) - 1, 0) / sum_j' |exp(s_ij') - 1|,  j <= i

Numerator and denominator are divided by exp(m), with m the maximum of the row and 0, so that neither
overflows. As in the paper's code, epsilon is added to the denominator after that. Scores below 0 get no
weight but still count in the denominator.

Zuhri et al., "Softpick: No Attention Sink, No Massive Activations with Rectified Softmax", 2025,
https://arxiv.org/abs/2504.20966
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, epsilon=1e-6, dtype="f32"):
    """Causal softpick attention; epsilon keeps a row of zeros from dividing 0 by 0."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def softpick(q, k, v):
        def normalize(row):
            m = aec.maximum(row.max(), 0.0)
            e = aec.exp(row - m) - aec.exp(-m)
            return aec.maximum(e, 0.0) / (aec.abs(e).sum() + epsilon)

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=masks.causal(), normalize=normalize
        )

    return softpick


softpick = build()

if __name__ == "__main__":
    demo.run(softpick, B=2, S=53)
