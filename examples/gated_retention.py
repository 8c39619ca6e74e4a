"""Gated retention (simple GLA): the input decides how much each head forgets.

    S_t = exp(g_t) S_(t-1) + k_t v_t^T        o_t = q_t S_t        g_t = log sigmoid(x_t) / tau

The gate is an argument, one logarithm of a decay per head and position.

Sun et al., "You Only Cache Once" (YOCO), 2024, https://arxiv.org/abs/2405.05254
Peng et al., "Random Feature Attention", 2021, https://arxiv.org/abs/2103.02143
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence with gate [B, heads, T], at most 0."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v, gate=aec.tensor("B", heads, "T"))
    def gated_retention(q, k, v, gate):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(gate[b, h, t]) * S + aec.outer(k, v)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return gated_retention


gated_retention = build()
inputs = {"gate": demo.log_decay}

if __name__ == "__main__":
    demo.run(gated_retention, inputs, B=2, T=37)
