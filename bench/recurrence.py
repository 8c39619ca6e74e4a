"""Recurrences on the CPU beside torch. Shapes: batch, heads, length, features.

The peers are a loop over time, and the chunked form in batched products, as libraries of linear attention
write it: chunks of 64, all products of positions at once, and a loop over chunks for the state.
"""

import torch
import torch.nn.functional as F

import aecompiler as aec
from aecompiler.library import recurrences
from aecompiler.tools.benchmark import Work, case

LOOP, CHUNKS = "torch loop", "torch chunks"
SHAPES = [(1, 4, 256, 64), (2, 8, 512, 64)]
LONG = [(2, 8, 512, 64), (1, 8, 2048, 64), (1, 8, 2048, 128)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
CHUNK = 64


def qkv(shape, dtype="f32"):
    """Random q, k of length 1, and v."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, *shape)
    return [x.to(TYPES[dtype]) for x in (q, F.normalize(k, dim=-1), v)]


def gates(shape):
    """Logarithms of decays near 1, and rates: [B, H, T]."""
    batch, heads, length, _ = shape
    g = F.logsigmoid(torch.randn(batch, heads, length) + 3)
    return g, torch.sigmoid(torch.randn(batch, heads, length))


def gated_program(shape, dtype):
    """exp(g) S + k v^T, with a gate for each position."""
    _, heads, _, features = shape
    x = aec.tensor("B", heads, "T", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, gate=aec.tensor("B", heads, "T"))
    def gated_retention(q, k, v, gate):
        return aec.recurrence(q, k, v, recurrences.gated_retention(gate))

    return gated_retention


def delta_program(shape, dtype):
    """(I - beta k k^T) S + beta k v^T."""
    _, heads, _, features = shape
    x = aec.tensor("B", heads, "T", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, beta=aec.tensor("B", heads, "T"))
    def delta_rule(q, k, v, beta):
        return aec.recurrence(q, k, v, recurrences.delta_rule(beta))

    return delta_rule


def in_chunks(*tensors):
    """[B, H, T, ...] in f32 as [B, H, T / 64, 64, ...]."""
    return [x.float().unflatten(2, (-1, CHUNK)) for x in tensors]


@case(peer=LOOP, shapes=SHAPES)
def gated_retention(shape, dtype):
    batch, heads, length, features = shape

    def peer(q, k, v, gate):
        state = torch.zeros(batch, heads, features, features)
        o = torch.empty_like(v)
        decay = gate.exp()[..., None, None]
        for t in range(length):
            state = decay[:, :, t] * state + k[:, :, t, :, None] * v[:, :, t, None, :]
            o[:, :, t] = torch.einsum("bhk,bhkv->bhv", q[:, :, t], state)
        return o, state

    q, k, v = qkv(shape)
    return Work(gated_program(shape, dtype), {"q": q, "k": k, "v": v, "gate": gates(shape)[0]}, peer)


@case(peer=LOOP, shapes=SHAPES[:1])
def delta_rule(shape, dtype):
    batch, heads, length, features = shape

    def peer(q, k, v, beta):
        state = torch.zeros(batch, heads, features, features)
        o = torch.empty_like(v)
        for t in range(length):
            error = v[:, :, t] - torch.einsum("bhk,bhkv->bhv", k[:, :, t], state)
            state = state + torch.einsum("bh,bhk,bhv->bhkv", beta[:, :, t], k[:, :, t], error)
            o[:, :, t] = torch.einsum("bhk,bhkv->bhv", q[:, :, t], state)
        return o, state

    q, k, v = qkv(shape)
    return Work(delta_program(shape, dtype), {"q": q, "k": k, "v": v, "beta": gates(shape)[1]}, peer)


@case(peer=CHUNKS, shapes=LONG, dtypes=["f32", "bf16"])
def gated_retention_chunks(shape, dtype):
    batch, heads, _, features = shape
    seen = torch.ones(CHUNK, CHUNK).tril()

    def peer(q, k, v, gate):
        type_ = v.dtype
        q, k, v, gate = in_chunks(q, k, v, gate)
        sums = gate.cumsum(-1)
        weights = (sums[..., :, None] - sums[..., None, :]).masked_fill(seen == 0, float("-inf")).exp()
        o = (q @ k.transpose(-1, -2) * weights) @ v
        last = sums[..., -1:]
        added = (k * (last - sums).exp()[..., None]).transpose(-1, -2) @ v
        state, before = torch.zeros(batch, heads, features, features), []
        for n in range(q.shape[2]):
            before.append(state)
            state = last[:, :, n, :, None].exp() * state + added[:, :, n]
        o = o + (q * sums.exp()[..., None]) @ torch.stack(before, 2)
        return o.flatten(2, 3).to(type_), state

    q, k, v = qkv(shape, dtype)
    return Work(gated_program(shape, dtype), {"q": q, "k": k, "v": v, "gate": gates(shape)[0]}, peer)


@case(peer=CHUNKS, shapes=LONG, dtypes=["f32", "bf16"])
def delta_rule_chunks(shape, dtype):
    batch, heads, _, features = shape
    seen = torch.ones(CHUNK, CHUNK).tril()
    earlier = seen.tril(-1)

    def peer(q, k, v, beta):
        type_ = v.dtype
        q, k, v, beta = in_chunks(q, k, v, beta)
        rates = beta[..., None]
        lower = torch.eye(CHUNK) + (rates * k) @ k.transpose(-1, -2) * earlier
        both = torch.cat([rates * v, rates * k], -1)
        u, w = torch.linalg.solve_triangular(lower, both, upper=False).split(features, -1)
        weights = q @ k.transpose(-1, -2) * seen
        state, o = torch.zeros(batch, heads, features, features), []
        for n in range(q.shape[2]):
            update = u[:, :, n] - w[:, :, n] @ state
            o.append(q[:, :, n] @ state + weights[:, :, n] @ update)
            state = state + k[:, :, n].transpose(-1, -2) @ update
        return torch.cat(o, 2).to(type_), state

    q, k, v = qkv(shape, dtype)
    return Work(delta_program(shape, dtype), {"q": q, "k": k, "v": v, "beta": gates(shape)[1]}, peer)
