"""Softcap: scores squeezed smoothly into (-cap, cap), here with Gemma 2's sliding window.

    s_ij = cap tanh(q_i . k_j / (cap sqrt(D))),  0 <= i - j < window

A bounded score can't overflow the exponential. Gemma 2 caps at 50 in its attention and at 30 in its output.

Gemma Team, "Gemma 2", 2024, https://arxiv.org/abs/2408.00118
"""

import demo

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=4, features=16, cap=50.0, window=24, dtype="f32"):
    """Capped attention over a sliding window; window=None is causal."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def softcap(q, k, v):
        def score(s):
            return cap * aec.tanh(s * (features**-0.5 / cap))

        mask = masks.window(window) if window else masks.causal()
        return aec.attention(q, k, v, score=score, mask=mask, normalize=normalizers.softmax())

    return softcap


softcap = build()

if __name__ == "__main__":
    demo.run(softcap, B=2, S=53)
