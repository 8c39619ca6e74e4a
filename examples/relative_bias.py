"""T5's relative bias: a learnt number per head and distance, distances grouped into buckets.

    s_ij = q_i . k_j + bias[h, bucket(j - i)]

Half of the buckets are for keys after the query. Of each half, the first half are single distances, the
others grow logarithmically up to `max_distance`. `scores.t5_bucket` compares the distance with boundaries
that are exact integers, so that no rounding of a logarithm decides between two buckets. T5 does not scale its
scores.

Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2019, https://arxiv.org/abs/1910.10683
"""

import demo

import aecompiler as aec
from aecompiler import normalizers, scores


def build(heads=4, features=16, buckets=32, max_distance=128, dtype="f32"):
    """Attention to both sides with a table bias [heads, buckets]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, bias=aec.tensor(heads, buckets))
    def relative_bias(q, k, v, bias):
        def score(s, b, h, i, j):
            return s + bias[h, scores.t5_bucket(j - i, buckets=buckets, limit=max_distance)]

        return aec.attention(q, k, v, score=score, normalize=normalizers.softmax())

    return relative_bias


relative_bias = build()

if __name__ == "__main__":
    demo.run(relative_bias, B=2, S=41)
