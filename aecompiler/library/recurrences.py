"""Steps of the recurrent family, S being the state [Dk, Dv]: o_t = q_t S_t unless said otherwise.

Each function takes the gates, tensors of the program, and returns a step for `aec.recurrence`. B is the
batch, H the number of heads, T the number of positions; gates may have static sizes of 1 for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.builder import Value, exp, outer, rsqrt
from aecompiler.builder import sum as total
from aecompiler.library.reading import expect_number, per_head

Step = Callable[..., Any]


def _scaling(what: str, scale: Any) -> Callable[[Any], Any]:
    """The function that scales q; None leaves it as it is."""
    if scale is None:
        return lambda q: q
    factor = expect_number(f"{what}(scale)", scale)
    return lambda q: q * factor


def linear_attention(*, scale: Any = None) -> Step:
    """S = S + k v^T [Katharopoulos 2020]."""
    scaled = _scaling("recurrences.linear_attention", scale)

    def step(S: Any, q: Any, k: Any, v: Any) -> Any:
        S = S + outer(k, v)
        return S, scaled(q) @ S

    return step


def retnet(gamma: Value, *, scale: Any = None) -> Step:
    """S = gamma[h] S + k v^T, q scaled by `scale`, 1 / sqrt(Dk) by default [RetNet, Sun 2023]; gamma: [H]."""
    decay = per_head("recurrences.retnet", gamma, 1)
    scaled = _scaling("recurrences.retnet", scale)

    def step(S: Any, q: Any, k: Any, v: Any, h: Any, heads: Any, features: Any) -> Any:
        S = decay(heads, h) * S + outer(k, v)
        return S, (q * features**-0.5 if scale is None else scaled(q)) @ S

    return step


def gated_retention(g: Value, *, scale: Any = None) -> Step:
    """S = exp(g) S + k v^T [RFA, Peng 2021; YOCO, Sun 2024]; g: [B, H, T], logarithms of the decay."""
    gate = per_head("recurrences.gated_retention", g, 3, axis=1)
    scaled = _scaling("recurrences.gated_retention", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        S = exp(gate(heads, b, h, t)) * S + outer(k, v)
        return S, scaled(q) @ S

    return step


simple_gla = gated_retention


def mamba2_ssd(A: Value, dt: Value, D: Value | None = None) -> Step:
    """S = exp(A[h] dt) S + (dt k) v^T, o = q S + D[h] v [Mamba-2, Dao and Gu 2024].

    A: [H], below 0; dt: [B, H, T], after softplus; D: [H]. In the paper's letters q is C, k is B, v is x.
    """
    rate = per_head("recurrences.mamba2_ssd(A)", A, 1)
    size = per_head("recurrences.mamba2_ssd(dt)", dt, 3, axis=1)
    skip = None if D is None else per_head("recurrences.mamba2_ssd(D)", D, 1)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        delta = size(heads, b, h, t)
        S = exp(rate(heads, h) * delta) * S + outer(delta * k, v)
        out = q @ S
        return S, out if skip is None else out + skip(heads, h) * v

    return step


def gla(g: Value, *, scale: Any = None) -> Step:
    """S = diag(exp(g)) S + k v^T [GLA, Yang 2023]; g: [B, H, T, Dk]."""
    gate = per_head("recurrences.gla", g, 4, axis=1)
    scaled = _scaling("recurrences.gla", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        S = exp(gate(heads, b, h, t))[:, None] * S + outer(k, v)
        return S, scaled(q) @ S

    return step


def rwkv6(w: Value, u: Value, *, scale: Any = None) -> Step:
    """o = q (S + diag(u[h]) k v^T), then S = diag(exp(w)) S + k v^T [RWKV-6, Peng 2024].

    w: [B, H, T, Dk], logarithms of the decay; u: [H, Dk], the bonus of the present position.
    """
    gate = per_head("recurrences.rwkv6(w)", w, 4, axis=1)
    bonus = per_head("recurrences.rwkv6(u)", u, 2)
    scaled = _scaling("recurrences.rwkv6", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        kv = outer(k, v)
        out = scaled(q) @ (S + bonus(heads, h)[:, None] * kv)
        return exp(gate(heads, b, h, t))[:, None] * S + kv, out

    return step


def _unit(k: Any, normalize: bool) -> Any:
    return k * rsqrt(total(k * k) + 1e-6) if normalize else k


def delta_rule(beta: Value, *, scale: Any = None, normalize_keys: bool = False) -> Step:
    """S = (I - beta k k^T) S + beta k v^T [DeltaNet, Yang 2024]; beta: [B, H, T].

    k has length 1: `normalize_keys=True` sees to it with k / sqrt(|k|^2 + 1e-6).
    """
    rate = per_head("recurrences.delta_rule", beta, 3, axis=1)
    scaled = _scaling("recurrences.delta_rule", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        k = _unit(k, normalize_keys)
        S = S + outer(rate(heads, b, h, t) * k, v - k @ S)
        return S, scaled(q) @ S

    return step


def gated_delta_rule(g: Value, beta: Value, *, scale: Any = None, normalize_keys: bool = False) -> Step:
    """S = exp(g) (I - beta k k^T) S + beta k v^T [Yang, Kautz and Hatamizadeh 2024]; g, beta: [B, H, T]."""
    gate = per_head("recurrences.gated_delta_rule(g)", g, 3, axis=1)
    rate = per_head("recurrences.gated_delta_rule(beta)", beta, 3, axis=1)
    scaled = _scaling("recurrences.gated_delta_rule", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        k = _unit(k, normalize_keys)
        S = exp(gate(heads, b, h, t)) * S
        S = S + outer(rate(heads, b, h, t) * k, v - k @ S)
        return S, scaled(q) @ S

    return step


def kda(g: Value, beta: Value, *, scale: Any = None, normalize_keys: bool = False) -> Step:
    """S = (I - beta k k^T) diag(exp(g)) S + beta k v^T [Kimi Linear 2025]; beta: [B, H, T],
    g: [B, H, T, Dk].
    """
    gate = per_head("recurrences.kda(g)", g, 4, axis=1)
    rate = per_head("recurrences.kda(beta)", beta, 3, axis=1)
    scaled = _scaling("recurrences.kda", scale)

    def step(S: Any, q: Any, k: Any, v: Any, b: Any, h: Any, t: Any, heads: Any) -> Any:
        k = _unit(k, normalize_keys)
        S = exp(gate(heads, b, h, t))[:, None] * S
        S = S + outer(rate(heads, b, h, t) * k, v - k @ S)
        return S, scaled(q) @ S

    return step


__all__ = [
    "delta_rule",
    "gated_delta_rule",
    "gated_retention",
    "gla",
    "kda",
    "linear_attention",
    "mamba2_ssd",
    "retnet",
    "rwkv6",
    "simple_gla",
]
