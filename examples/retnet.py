"""RetNet's recurrent form: every head forgets at a fixed rate of its own.

    S_t = gamma_h S_(t-1) + k_t v_t^T        o_t = q_t S_t / sqrt(D)        gamma_h = 1 - 2^(-5 - h)

The initial state continues a sequence: what the first half leaves in `final`, the second half starts from.

Sun et al., "Retentive Network", 2023, https://arxiv.org/abs/2307.08621
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=32, dtype="f32"):
    """The recurrence from a state initial [B, heads, features, value_features]."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)
    state = aec.tensor("B", heads, features, value_features, dtype="f64" if dtype == "f64" else "f32")

    @aec.program(q=qk, k=qk, v=v, initial=state)
    def retnet(q, k, v, initial):
        def step(S, q, k, v, b, h, t):
            gamma = 1.0 - aec.exp2(-5.0 - h)
            S = gamma * S + aec.outer(k, v)
            return S, q @ S * features**-0.5

        o, final = aec.recurrence(q, k, v, step, initial=initial)
        return o, final

    return retnet


retnet = build()

if __name__ == "__main__":
    demo.run(retnet, B=2, T=37)
