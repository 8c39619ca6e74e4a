"""Sliding-window attention: a query reads the last `window` keys, itself included.

    keep j where 0 <= i - j < window

Layers stacked on each other reach further than one window. Mistral 7B: 4096.

Jiang et al., "Mistral 7B", 2023, https://arxiv.org/abs/2310.06825
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, window=16, dtype="f32"):
    """Attention over a window of the past; `masks.window(window)` is the same, ready-made."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def sliding_window(q, k, v):
        def mask(b, h, i, j):
            return (i >= j) & (i - j < window)

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=mask, normalize=normalizers.softmax()
        )

    return sliding_window


sliding_window = build()

if __name__ == "__main__":
    demo.run(sliding_window, B=2, S=53)
