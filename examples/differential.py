"""Differential attention: the difference of two softmax attentions over the same values.

    o = softmax(q1 K1^T / sqrt(D)) V - lambda softmax(q2 K2^T / sqrt(D)) V

What both attend to is noise, and cancels. Each head holds two halves of features in q and k, and values of
twice that size; lambda is learnt, here an argument. Two attention ops and arithmetic on their results.

Ye et al., "Differential Transformer", 2024, https://arxiv.org/abs/2410.05258
"""

import demo

import aecompiler as aec
from aecompiler import masks, normalizers


def build(heads=4, features=16, dtype="f32"):
    """Causal differential attention; q, k and v have 2 * features each."""
    x = aec.tensor("B", heads, "S", 2 * features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, weight=aec.scalar("f32"))
    def differential(q, k, v, weight):
        def attend(q, k):
            return aec.attention(
                q,
                k,
                v,
                score=lambda s: s * features**-0.5,
                mask=masks.causal(),
                normalize=normalizers.softmax(),
                out_dtype="f64" if dtype == "f64" else "f32",
            )

        signal = attend(q[..., :features], k[..., :features])
        noise = attend(q[..., features:], k[..., features:])
        return aec.cast(signal - weight * noise, dtype)

    return differential


differential = build()
inputs = {"weight": 0.8}

if __name__ == "__main__":
    demo.run(differential, inputs, B=2, S=53)
