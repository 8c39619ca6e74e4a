"""The gated delta rule: forget a share of everything, then replace what the key holds.

    S_t = exp(g_t) (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T        o_t = q_t S_t

Grouped heads: several value heads, each with a gate of its own, share a head of q and k (16 of 32, 16 of 64).

Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024, https://arxiv.org/abs/2412.06464
"""

import demo

import aecompiler as aec


def build(heads=4, qk_heads=2, features=16, value_features=16, dtype="f32"):
    """The recurrence with gate [B, heads, T], at most 0, beta [B, heads, T] in (0, 1), keys of length 1."""
    qk = aec.tensor("B", qk_heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)
    per_position = aec.tensor("B", heads, "T")

    @aec.program(q=qk, k=qk, v=v, gate=per_position, beta=per_position)
    def gated_delta_rule(q, k, v, gate, beta):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(gate[b, h, t]) * S
            error = v - k @ S
            S = S + beta[b, h, t] * aec.outer(k, error)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return gated_delta_rule


gated_delta_rule = build()
inputs = {"k": demo.unit_rows, "gate": demo.log_decay, "beta": demo.rate}

if __name__ == "__main__":
    demo.run(gated_delta_rule, inputs, B=2, T=37)
