"""Linear attention: no softmax, so that all of the past fits into one matrix.

    S_t = S_(t-1) + k_t v_t^T        o_t = q_t S_t

Feature maps are applied to q and k before, and the normaliser of the paper is the same recurrence with v = 1.

Katharopoulos et al., "Transformers are RNNs", 2020, https://arxiv.org/abs/2006.16236
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence over q, k [B, heads, T, features] and v [B, heads, T, value_features]."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v)
    def linear_attention(q, k, v):
        def step(S, q, k, v, b, h, t):
            S = S + aec.outer(k, v)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return linear_attention


linear_attention = build()

if __name__ == "__main__":
    demo.run(linear_attention, B=2, T=37)
