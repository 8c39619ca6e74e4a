"""Attention sinks: a learnt score per head that takes a share of the weight and holds no value.

    p_ij = exp(s_ij) / (exp(sink_h) + sum_j' exp(s_ij'))

A head with nothing to say gives its weight to the sink. The sink takes part in the sum, not in the maximum:
softmax is the same for every number that is subtracted, and a row with scores far below the sink stays finite
because the sink is measured against whichever is larger.

OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025, https://arxiv.org/abs/2508.10925 Xiao et al.,
"Efficient Streaming Language Models with Attention Sinks", 2023, https://arxiv.org/abs/2309.17453
"""

import demo

import aecompiler as aec
from aecompiler import masks


def build(heads=4, features=16, window=24, dtype="f32"):
    """Attention over a sliding window with sink [heads]."""
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, sink=aec.tensor(heads))
    def sinks(q, k, v, sink):
        def normalize(row, b, h, i, j):
            m = aec.maximum(row.max(), sink[h])
            e = aec.exp(row - m)
            return e / (e.sum() + aec.exp(sink[h] - m))

        return aec.attention(
            q, k, v, score=lambda s: s * features**-0.5, mask=masks.window(window), normalize=normalize
        )

    return sinks


sinks = build()

if __name__ == "__main__":
    demo.run(sinks, B=2, S=53)
