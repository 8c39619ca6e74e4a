"""Mamba-2: one step size per position sets how much is forgotten and how much is written.

    S_t = exp(A_h dt_t) S_(t-1) + (dt_t k_t) v_t^T        o_t = q_t S_t + D_h v_t

In the paper's names q is C, k is B, v is x. All heads share one q and one k. A < 0, dt = softplus of the
input, and D carries the input past the state.

Dao and Gu, "Transformers are SSMs", 2024, https://arxiv.org/abs/2405.21060
"""

import demo
import numpy as np

import aecompiler as aec


def build(heads=8, features=16, value_features=8, dtype="f32"):
    """The recurrence with dt [B, heads, T] and A, D [heads]."""
    qk = aec.tensor("B", 1, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v, dt=aec.tensor("B", heads, "T"), A=aec.tensor(heads), D=aec.tensor(heads))
    def mamba2(q, k, v, dt, A, D):
        def step(S, q, k, v, b, h, t):
            delta = dt[b, h, t]
            S = aec.exp(A[h] * delta) * S + aec.outer(delta * k, v)
            return S, q @ S + D[h] * v

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return mamba2


mamba2 = build()
inputs = {"dt": demo.step_size, "A": lambda rng, shape: -np.exp(rng.standard_normal(shape))}

if __name__ == "__main__":
    demo.run(mamba2, inputs, B=2, T=37)
