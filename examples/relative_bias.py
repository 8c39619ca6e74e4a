"""T5's relative bias: a learnt number per head and distance, distances grouped into buckets.

    s_ij = q_i . k_j + bias[h, bucket(j - i)]

Half of the buckets are for keys after the query. Of each half, the first half are single distances, the
others grow logarithmically up to `max_distance`. The boundaries are integers that Python computes while the
program is traced, so that no rounding of a logarithm decides between two buckets. T5 does not scale its
scores.

Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2019, https://arxiv.org/abs/1910.10683
"""

import math

import demo

import aecompiler as aec
from aecompiler import normalizers


def boundaries(buckets, max_distance):
    """The first distance of each bucket of more than one distance."""
    exact = buckets // 2
    growth = max_distance / exact
    return [math.ceil(exact * growth ** (n / (buckets - exact)) - 1e-9) for n in range(1, buckets - exact)]


def build(heads=4, features=16, buckets=32, max_distance=128, dtype="f32"):
    """Attention to both sides with a table bias [heads, buckets]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)
    half = buckets // 2

    def bucket(distance):
        length = aec.abs(distance)
        number = aec.minimum(length, half // 2)
        for first in boundaries(half, max_distance):
            number = number + aec.where(length >= first, 1, 0)
        return number + aec.where(distance > 0, half, 0)

    @aec.program(q=x, k=x, v=x, bias=aec.tensor(heads, buckets))
    def relative_bias(q, k, v, bias):
        def score(s, b, h, i, j):
            return s + bias[h, bucket(j - i)]

        return aec.attention(q, k, v, score=score, normalize=normalizers.softmax())

    return relative_bias


relative_bias = build()

if __name__ == "__main__":
    demo.run(relative_bias, B=2, S=41)
