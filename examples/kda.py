"""Kimi delta attention: the delta rule with a rate of forgetting for every feature of the key.

    S_t = (I - beta_t k_t k_t^T) diag(exp(g_t)) S_(t-1) + beta_t k_t v_t^T        o_t = q_t S_t

Kimi Team, "Kimi Linear", 2025, https://arxiv.org/abs/2510.26692
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence with gate [B, heads, T, features], at most 0, beta [B, heads, T], keys of length 1."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)
    gate = aec.tensor("B", heads, "T", features)

    @aec.program(q=qk, k=qk, v=v, gate=gate, beta=aec.tensor("B", heads, "T"))
    def kda(q, k, v, gate, beta):
        def step(S, q, k, v, b, h, t):
            decay = aec.exp(gate[b, h, t])
            S = decay[:, None] * S
            error = v - k @ S
            S = S + beta[b, h, t] * aec.outer(k, error)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return kda


kda = build()
inputs = {"k": demo.unit_rows, "gate": demo.log_decay, "beta": demo.rate}

if __name__ == "__main__":
    demo.run(kda, inputs, B=2, T=37)
