"""ReLU attention: weights that are exactly 0 below a score of 0, divided by the length of the sequence.

    p_ij = max(q_i . k_j / sqrt(D), 0) / S

The division is an option; it keeps the size of o independent of the length, as softmax does. ViT-S/16: 6
heads of 64.

Wortsman et al., "Replacing softmax with ReLU in Vision Transformers", 2023, https://arxiv.org/abs/2309.08586
"""

import demo

import aecompiler as aec


def build(heads=6, features=16, divide=True, dtype="f32"):
    """Attention to both sides; divide=False leaves out the 1 / S."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def relu(q, k, v):
        def normalize(row, b, h, i, j, kv_len):
            weight = aec.maximum(row, 0.0)
            return weight / aec.cast(kv_len, "f32") if divide else weight

        return aec.attention(q, k, v, score=lambda s: s * features**-0.5, normalize=normalize)

    return relu


relu = build()

if __name__ == "__main__":
    demo.run(relu, B=2, S=49)
