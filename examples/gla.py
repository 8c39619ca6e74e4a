"""Gated linear attention: every feature of the key forgets at its own rate.

    S_t = diag(exp(g_t)) S_(t-1) + k_t v_t^T        o_t = q_t S_t

Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training", 2023,
https://arxiv.org/abs/2312.06635
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence with gate [B, heads, T, features], at most 0."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v, gate=aec.tensor("B", heads, "T", features))
    def gla(q, k, v, gate):
        def step(S, q, k, v, b, h, t):
            decay = aec.exp(gate[b, h, t])
            S = decay[:, None] * S + aec.outer(k, v)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return gla


gla = build()
inputs = {"gate": demo.log_decay}

if __name__ == "__main__":
    demo.run(gla, inputs, B=2, T=37)
