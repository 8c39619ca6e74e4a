"""Dilated sliding window: a window with gaps, which reaches further with as many keys.

    keep j where 0 <= i - j < window * dilation and (i - j) % dilation = 0

Beltagy, Peters and Cohan, "Longformer", 2020, https://arxiv.org/abs/2004.05150
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, window=8, dilation=3, dtype="f32"):
    """Attention to the last `window` keys out of every `dilation`-th."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def dilated(q, k, v):
        def mask(b, h, i, j):
            distance = i - j
            return (distance >= 0) & (distance < window * dilation) & (distance % dilation == 0)

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return dilated


dilated = build()

if __name__ == "__main__":
    demo.run(dilated, B=2, S=53)
