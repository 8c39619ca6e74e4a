"""An additive bias tensor: any number per query and key, as an argument of the program.

    s_ij = q_i . k_j / sqrt(D) + bias[b, h, i, j]

The tensor is read where the score is computed, in any shape that the indices allow: here one bias for all
heads, [B, 1, S, S], as pair representations are in AlphaFold; [heads, S, S] is read as bias[h, i, j].

Jumper et al., "Highly accurate protein structure prediction with AlphaFold", 2021,
https://doi.org/10.1038/s41586-021-03819-2
"""

import demo

import aecompiler as aec
from aecompiler import normalizers


def build(heads=4, features=16, dtype="f32"):
    """Attention to both sides with a bias [B, 1, S, S]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, bias=aec.tensor("B", 1, "S", "S", dtype=dtype))
    def additive_bias(q, k, v, bias):
        def score(s, b, h, i, j):
            return s * features**-0.5 + bias[b, 0, i, j]

        return aec.attention(q, k, v, score=score, normalize=normalizers.softmax())

    return additive_bias


additive_bias = build()

if __name__ == "__main__":
    demo.run(additive_bias, B=2, S=37)
