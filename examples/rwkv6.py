"""RWKV-6: read first, then update; a bonus lets the current position count more than the past.

    o_t = q_t (S_(t-1) + diag(u_h) k_t v_t^T)        S_t = diag(exp(w_t)) S_(t-1) + k_t v_t^T

In the paper's names q is r, the receptance. w is the logarithm of a decay, from the input.

Peng et al., "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence", 2024,
https://arxiv.org/abs/2404.05892
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence with decay [B, heads, T, features], at most 0, and bonus [heads, features]."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)
    w = aec.tensor("B", heads, "T", features)

    @aec.program(q=qk, k=qk, v=v, w=w, u=aec.tensor(heads, features))
    def rwkv6(q, k, v, w, u):
        def step(S, q, k, v, b, h, t):
            kv = aec.outer(k, v)
            bonus, decay = u[h], aec.exp(w[b, h, t])
            o = q @ (S + bonus[:, None] * kv)
            return decay[:, None] * S + kv, o

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return rwkv6


rwkv6 = build()
inputs = {"w": demo.log_decay}

if __name__ == "__main__":
    demo.run(rwkv6, inputs, B=2, T=37)
