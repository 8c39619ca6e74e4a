"""Gated retention over packed sequences: many lengths, one batch row, no padding.

    sequence n covers the positions offsets_n .. offsets_(n+1) - 1, and starts from its own state

Everything that belongs to a position is packed as q is, the gate included; states are [sequences, ...].

Sun et al., "You Only Cache Once" (YOCO), 2024, https://arxiv.org/abs/2405.05254
"""

import demo

import aecompiler as aec


def build(heads=4, features=16, value_features=16, dtype="f32"):
    """The recurrence over sequences packed into T positions, offsets [sequences + 1]."""
    qk = aec.tensor(1, heads, "T", features, dtype=dtype)
    v = aec.tensor(1, heads, "T", value_features, dtype=dtype)
    offsets = aec.tensor("Bounds", dtype="i32")

    @aec.program(q=qk, k=qk, v=v, gate=aec.tensor(1, heads, "T"), offsets=offsets)
    def gated_retention_packed(q, k, v, gate, offsets):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(gate[b, h, t]) * S + aec.outer(k, v)
            return S, q @ S

        o, final = aec.recurrence(q, k, v, step, offsets=offsets)
        return o, final

    return gated_retention_packed


gated_retention_packed = build()
inputs = {"gate": demo.log_decay, "offsets": "offsets:T"}

if __name__ == "__main__":
    demo.run(gated_retention_packed, inputs, T=37, Bounds=5)
