"""A cascade that nobody has named: softmax of standardised scores.

    z_ij = (s_ij - mean_i) / std_i        p_ij = exp(z_ij) / sum_j' exp(z_ij'),  j <= i

Four reductions, each of which needs the one before: the count and the sum, the squares around the mean, the
maximum and the sum of exponentials. Any cascade is a program; nothing here is known to the compiler by name.
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, epsilon=1e-5, dtype="f32"):
    """Causal attention whose temperature follows the spread of each row."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def standardized_softmax(q, k, v):
        def normalize(row, b, h, i, j):
            count = aec.where(j <= i, 1.0, 0.0).sum()
            centred = row - row.sum() / count
            variance = (centred * centred).sum() / count
            z = centred * aec.rsqrt(variance + epsilon)
            e = aec.exp(z - z.max())
            return e / e.sum()

        return aec.attention(q, k, v, mask=masks.causal(), normalize=normalize)

    return standardized_softmax


standardized_softmax = build()

if __name__ == "__main__":
    demo.run(standardized_softmax, B=2, S=53)
