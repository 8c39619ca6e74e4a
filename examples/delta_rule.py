"""The delta rule: what the state holds for a key is replaced, not added to.

    S_t = (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T        o_t = q_t S_t

One step of gradient descent on |k S - v|^2 with the rate beta. The keys have length 1.

Schlag, Irie and Schmidhuber, "Linear Transformers Are Secretly Fast Weight Programmers", 2021,
https://arxiv.org/abs/2102.11174
Yang et al., "Parallelizing Linear Transformers with the Delta Rule over Sequence Length" (DeltaNet), 2024,
https://arxiv.org/abs/2406.06484
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence with beta [B, heads, T] in (0, 1) and keys of length 1."""
    qk = aec.tensor("B", heads, "T", features, dtype=dtype)
    v = aec.tensor("B", heads, "T", value_features, dtype=dtype)

    @aec.program(q=qk, k=qk, v=v, beta=aec.tensor("B", heads, "T"))
    def delta_rule(q, k, v, beta):
        def step(S, q, k, v, b, h, t):
            error = v - k @ S
            S = S + beta[b, h, t] * aec.outer(k, error)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step)
        return o, final

    return delta_rule


delta_rule = build()
inputs = {"k": demo.unit_rows, "beta": demo.rate}

if __name__ == "__main__":
    demo.run(delta_rule, inputs, B=2, T=37)
