"""Squared ReLU attention: sharper than ReLU, still without a sum over the row.

    p_ij = max(q_i . k_j / sqrt(D), 0)^2,  j <= i

Hua et al. divide the weights by S as well.

Hua et al., "Transformer Quality in Linear Time", 2022, https://arxiv.org/abs/2202.10447
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, divide=False, dtype="f32"):
    """Causal attention with squared ReLU weights; divide=True multiplies them by 1 / S."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def relu_squared(q, k, v):
        def normalize(row, b, h, i, j, kv_len):
            weight = aec.maximum(row, 0.0) ** 2
            return weight / aec.cast(kv_len, "f32") if divide else weight

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=masks.causal(), normalize=normalize
        )

    return relu_squared


relu_squared = build()

if __name__ == "__main__":
    demo.run(relu_squared, B=2, S=49)
