"""Recurrences on the CPU beside a loop over time in torch. Shapes: batch, heads, length, features."""

import torch
import torch.nn.functional as F

import aecompiler as aec
from aecompiler.tools.benchmark import Work, case

LOOP = "torch loop"
SHAPES = [(1, 4, 256, 64), (2, 8, 512, 64)]


def qkv(shape):
    """Random q, k and v."""
    torch.manual_seed(0)
    return torch.randn(3, *shape)


@case(peer=LOOP, shapes=SHAPES)
def gated_retention(shape, dtype):
    batch, heads, length, features = shape
    x = aec.tensor("B", heads, "T", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, gate=aec.tensor("B", heads, "T"))
    def gated_retention(q, k, v, gate):
        def step(S, q, k, v, b, h, t):
            S = aec.exp(gate[b, h, t]) * S + aec.outer(k, v)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    def peer(q, k, v, gate):
        state = torch.zeros(batch, heads, features, features)
        o = torch.empty_like(v)
        decay = gate.exp()[..., None, None]
        for t in range(length):
            state = decay[:, :, t] * state + k[:, :, t, :, None] * v[:, :, t, None, :]
            o[:, :, t] = torch.einsum("bhk,bhkv->bhv", q[:, :, t], state)
        return o, state

    q, k, v = qkv(shape)
    gate = F.logsigmoid(torch.randn(batch, heads, length) + 3)
    return Work(gated_retention, {"q": q, "k": k, "v": v, "gate": gate}, peer)


@case(peer=LOOP, shapes=SHAPES[:1])
def delta_rule(shape, dtype):
    batch, heads, length, features = shape
    x = aec.tensor("B", heads, "T", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, beta=aec.tensor("B", heads, "T"))
    def delta_rule(q, k, v, beta):
        def step(S, q, k, v, b, h, t):
            S = S + beta[b, h, t] * aec.outer(k, v - k @ S)
            return S, q @ S

        return aec.recurrence(q, k, v, step)

    def peer(q, k, v, beta):
        state = torch.zeros(batch, heads, features, features)
        o = torch.empty_like(v)
        for t in range(length):
            error = v[:, :, t] - torch.einsum("bhk,bhkv->bhv", k[:, :, t], state)
            state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, :, t], k[:, :, t], error)
            o[:, :, t] = torch.einsum("bhk,bhkv->bhv", q[:, :, t], state)
        return o, state

    q, k, v = qkv(shape)
    beta = torch.sigmoid(torch.randn(batch, heads, length))
    return Work(delta_rule, {"q": q, "k": F.normalize(k, dim=-1), "v": v, "beta": beta}, peer)
