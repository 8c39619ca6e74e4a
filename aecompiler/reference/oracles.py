"""Closed forms of the mechanisms, each written from its formula: they test the evaluator, and nothing else.

Arrays are float64, [B, H, S, D]. The functions share no code with the evaluation of programs: `attend` is the
common frame of the parallel family, `recur` the loop of the recurrent one, and each mechanism is one formula.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


# ---- the parallel family ----


def grouped(x: Array, heads: int) -> Array:
    """Key or value heads repeated for the query heads that share them."""
    return np.repeat(x, heads // x.shape[1], axis=1)


def scores(q: Array, k: Array) -> Array:
    """`s[b, h, i, j] = q[b, h, i] . k[b, h', j]`."""
    return np.einsum("bhid,bhjd->bhij", q, grouped(k, q.shape[1]))


def positions(q: Array, k: Array) -> tuple[Array, Array]:
    """Query positions as a column, key positions as a row."""
    return np.arange(q.shape[2])[:, None], np.arange(k.shape[2])[None, :]


def attend(weights: Array, v: Array) -> Array:
    """`o[b, h, i] = sum_j p[b, h, i, j] v[b, h', j]`."""
    return np.einsum("bhij,bhjd->bhid", weights, grouped(v, weights.shape[1]))


def masked(s: Array, mask: Array | None) -> Array:
    """Scores with -inf where the mask is false."""
    return s if mask is None else np.where(mask, s, -np.inf)


def softmax_weights(s: Array, sink: Array | None = None) -> tuple[Array, Array]:
    """`exp(s - m) / (l + exp(sink - m))` and its log-sum-exp `m + log(l + exp(sink - m))`, [b, h, i].

    Rows without a finite score have weights 0 and a log-sum-exp of -inf, or the sink.
    """
    m = s.max(axis=-1, keepdims=True, initial=-np.inf)
    if sink is not None:
        m = np.maximum(m, sink)
    shift = np.where(np.isfinite(m), m, 0.0)
    e = np.exp(s - shift)
    total = e.sum(axis=-1, keepdims=True)
    if sink is not None:
        total = total + np.exp(sink - shift)
    with np.errstate(divide="ignore"):
        lse = shift + np.log(total)
    return e / np.where(total == 0, 1.0, total), lse[..., 0]


def softmax(q: Array, k: Array, v: Array, scale: float, mask: Array | None = None) -> tuple[Array, Array]:
    """Softmax attention [Vaswani 2017], with grouped heads [Ainslie 2023]; o and log-sum-exp."""
    p, lse = softmax_weights(masked(scores(q, k) * scale, mask))
    return attend(p, v), lse


def mla(q: Array, latent: Array, features: int, scale: float, lengths: Array) -> Array:
    """Absorbed multi-head latent attention [DeepSeek-V2]: v is the first `features` features of k."""
    mask = np.arange(latent.shape[2]) < lengths[:, None, None, None]
    return softmax(q, latent, latent[..., :features], scale, mask)[0]


def alibi(q: Array, k: Array, v: Array, scale: float, slopes: Array, mask: Array) -> Array:
    """`s + slope_h (j - i)` [Press 2021]."""
    i, j = positions(q, k)
    s = scores(q, k) * scale + slopes[:, None, None] * (j - i)
    return attend(softmax_weights(masked(s, mask))[0], v)


def softcap(q: Array, k: Array, v: Array, scale: float, cap: float, mask: Array) -> Array:
    """`c tanh(s / c)` [Gemma 2]."""
    s = cap * np.tanh(scores(q, k) * scale / cap)
    return attend(softmax_weights(masked(s, mask))[0], v)


def t5_bucket(distance: Array, buckets: int, limit: int, bidirectional: bool) -> Array:
    """The bucket of a relative position `j - i` [Raffel 2019]: exact when near, logarithmic when far."""
    offset = np.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = np.where(distance > 0, buckets, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = buckets // 2
    far = exact + np.log(np.maximum(distance, 1) / exact) / np.log(limit / exact) * (buckets - exact)
    return offset + np.where(distance < exact, distance, np.minimum(np.floor(far), buckets - 1)).astype(int)


def relative_bias(q: Array, k: Array, v: Array, table: Array, bucket: Array) -> Array:
    """`s + table[h, bucket(i, j)]`, T5's form with `bucket` from `t5_bucket`; no scale."""
    return attend(softmax_weights(scores(q, k) + table[:, bucket][None])[0], v)


def additive_bias(q: Array, k: Array, v: Array, scale: float, bias: Array) -> Array:
    """`s + bias` for a bias that broadcasts to [B, H, Sq, Skv]."""
    return attend(softmax_weights(scores(q, k) * scale + bias)[0], v)


def sigmoid(q: Array, k: Array, v: Array, scale: float, bias: float, mask: Array) -> Array:
    """`1 / (1 + exp(-(s + b)))`, no normaliser [Ramapuram 2024]."""
    x = scores(q, k) * scale + bias
    return attend(np.where(mask, 1 / (1 + np.exp(-x)), 0.0), v)


def relu(q: Array, k: Array, v: Array, scale: float, power: int = 1, mask: Array | None = None) -> Array:
    """`max(s, 0)^power`."""
    p = np.maximum(scores(q, k) * scale, 0.0) ** power
    return attend(p if mask is None else np.where(mask, p, 0.0), v)


def softpick(q: Array, k: Array, v: Array, scale: float, mask: Array) -> Array:
    """`max(e^s - 1, 0) / sum |e^s - 1|` [2025]."""
    x = np.where(mask, np.expm1(scores(q, k) * scale), 0.0)
    total = np.abs(x).sum(axis=-1, keepdims=True)
    return attend(np.maximum(x, 0.0) / np.where(total == 0, 1.0, total), v)


def retention(q: Array, k: Array, v: Array, scale: float, gamma: Array) -> Array:
    """`x / max(sum |x|, 1)` with `x = s gamma_h^(i - j)` for j <= i [RetNet 2023]."""
    i, j = positions(q, k)
    decay = np.where(i >= j, gamma[:, None, None] ** np.maximum(i - j, 0), 0.0)
    x = scores(q, k) * scale * decay
    return attend(x / np.maximum(np.abs(x).sum(axis=-1, keepdims=True), 1.0), v)


def differential(
    q: tuple[Array, Array], k: tuple[Array, Array], v: Array, scale: float, weight: float, mask: Array
) -> Array:
    """`(softmax(s1) - lambda softmax(s2)) v` [2024]."""
    first, second = (
        softmax_weights(masked(scores(*pair) * scale, mask))[0] for pair in zip(q, k, strict=True)
    )
    return attend(first - weight * second, v)


def standardized_softmax(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """Softmax of `(s - mean) / std` over the allowed keys, a cascade; every row must allow a key."""
    s = scores(q, k)
    count = np.broadcast_to(mask, s.shape).sum(axis=-1, keepdims=True)
    mean = np.where(mask, s, 0.0).sum(axis=-1, keepdims=True) / count
    variance = np.where(mask, (s - mean) ** 2, 0.0).sum(axis=-1, keepdims=True) / count
    return attend(softmax_weights(masked((s - mean) / np.sqrt(variance + 1e-6), mask))[0], v)


# ---- masks: [Sq, Skv], or [B, 1, Sq, Skv] where they depend on the batch ----


def causal_mask(i: Array, j: Array, offset: int = 0) -> Array:
    """`j <= i + offset`."""
    return j <= i + offset


def window_mask(i: Array, j: Array, window: int) -> Array:
    """`0 <= i - j < window`."""
    return (j <= i) & (i - j < window)


def prefix_mask(i: Array, j: Array, prefix: Array) -> Array:
    """Causal, and all of the first `prefix[b]` keys."""
    return (j <= i) | (j < prefix[:, None, None, None])


def document_mask(query_documents: Array, key_documents: Array) -> Array:
    """Keys of the same document; ids [B, Sq] and [B, Skv]."""
    return query_documents[:, None, :, None] == key_documents[:, None, None, :]


def chunked_mask(i: Array, j: Array, chunk: int) -> Array:
    """Causal within chunks."""
    return (j <= i) & (i // chunk == j // chunk)


def dilated_mask(i: Array, j: Array, dilation: int) -> Array:
    """Causal, every `dilation`-th key."""
    return (j <= i) & ((i - j) % dilation == 0)


def global_local_mask(i: Array, j: Array, window: int, globals_: int) -> Array:
    """Keys less than `window` away, and all pairs with one of the first `globals_` positions."""
    return (np.abs(i - j) < window) | (i < globals_) | (j < globals_)


def block_mask(blocks: Array, i: Array, j: Array, size_q: int, size_kv: int) -> Array:
    """`blocks[b, h, i / size_q, j / size_kv]`."""
    return blocks[:, :, i // size_q, j // size_kv]


# ---- the recurrent family ----

Step = Callable[[Array, Array, Array, Array, int], tuple[Array, Array]]


def recur(q: Array, k: Array, v: Array, initial: Array, step: Step) -> tuple[Array, Array]:
    """All heads [B, H, T, D] through `step(S, q_t, k_t, v_t, t) -> (S, o_t)`; o and the final state."""
    heads = max(x.shape[1] for x in (q, k, v, initial))
    q, k, v = (grouped(x, heads) for x in (q, k, v))
    state, out = initial, np.zeros((*v.shape[:3], v.shape[3]))
    for t in range(q.shape[2]):
        state, out[:, :, t] = step(state, q[:, :, t], k[:, :, t], v[:, :, t], t)
    return out, state


def outer(k: Array, v: Array) -> Array:
    """`k v^T` in each head."""
    return k[..., :, None] * v[..., None, :]


def read(q: Array, state: Array) -> Array:
    """`q S` in each head."""
    return (q[..., None, :] @ state)[..., 0, :]


def linear_attention(q: Array, k: Array, v: Array) -> Array:
    """`o_i = sum_(j <= i) (q_i . k_j) v_j` in its parallel form [Katharopoulos 2020]."""
    i, j = positions(q, k)
    return attend(np.where(i >= j, scores(q, k), 0.0), v)


def retnet(q: Array, k: Array, v: Array, gamma: Array, initial: Array, scale: float) -> tuple[Array, Array]:
    """`S = gamma_h S + k v^T`, q scaled, unrolled: `S_t = gamma^(t+1) S_0 + sum_j gamma^(t-j) k_j v_j^T`."""
    i, j = positions(q, k)
    length, g = q.shape[2], gamma[:, None, None]
    decay = np.where(i >= j, g ** np.maximum(i - j, 0), 0.0)
    o = attend(scores(q, k) * decay, v) + g ** (i + 1) * np.einsum("bhid,bhde->bhie", q, initial)
    weights = gamma[:, None] ** (length - 1 - np.arange(length))
    final = gamma[:, None, None] ** length * initial + np.einsum("hj,bhjd,bhje->bhde", weights, k, v)
    return scale * o, final


def scalar_gated(q: Array, k: Array, v: Array, g: Array, initial: Array) -> tuple[Array, Array]:
    """`S = exp(g_t) S + k v^T`, g [B, H, T]: gated retention, simple GLA."""

    def step(s: Array, qt: Array, kt: Array, vt: Array, t: int) -> tuple[Array, Array]:
        s = np.exp(g[:, :, t])[..., None, None] * s + outer(kt, vt)
        return s, read(qt, s)

    return recur(q, k, v, initial, step)


def mamba2(
    q: Array, k: Array, v: Array, a: Array, dt: Array, skip: Array, initial: Array
) -> tuple[Array, Array]:
    """`S = exp(A_h dt_t) S + (dt_t k_t) v_t^T`, `o = q S + D_h v` [Dao, Gu 2024]; dt [B, H, T]."""

    def step(s: Array, qt: Array, kt: Array, vt: Array, t: int) -> tuple[Array, Array]:
        d = dt[:, :, t][..., None]
        s = np.exp(a[:, None] * d)[..., None] * s + outer(d * kt, vt)
        return s, read(qt, s) + skip[:, None] * vt

    return recur(q, k, v, initial, step)


def gla(q: Array, k: Array, v: Array, g: Array, initial: Array) -> tuple[Array, Array]:
    """`S = diag(exp(g_t)) S + k v^T`, g [B, H, T, Dk] [Yang 2023]."""

    def step(s: Array, qt: Array, kt: Array, vt: Array, t: int) -> tuple[Array, Array]:
        s = np.exp(g[:, :, t])[..., None] * s + outer(kt, vt)
        return s, read(qt, s)

    return recur(q, k, v, initial, step)


def rwkv6(q: Array, k: Array, v: Array, w: Array, u: Array, initial: Array) -> tuple[Array, Array]:
    """`o = q (S + diag(u) k v^T)`, then `S = diag(exp(w_t)) S + k v^T` [2024]; w [B, H, T, Dk], u [H, Dk]."""

    def step(s: Array, qt: Array, kt: Array, vt: Array, t: int) -> tuple[Array, Array]:
        kv = outer(kt, vt)
        return np.exp(w[:, :, t])[..., None] * s + kv, read(qt, s + u[None, :, :, None] * kv)

    return recur(q, k, v, initial, step)


def delta_rule(
    q: Array, k: Array, v: Array, beta: Array, initial: Array, g: Array | None = None
) -> tuple[Array, Array]:
    """`S = (I - beta k k^T) diag(exp(g)) S + beta k v^T`; beta [B, H, T].

    Without g the delta rule [DeltaNet 2024], with g [B, H, T] its gated form, with g [B, H, T, Dk] KDA.
    """
    eye = np.eye(k.shape[3])

    def step(s: Array, qt: Array, kt: Array, vt: Array, t: int) -> tuple[Array, Array]:
        b = beta[:, :, t][..., None, None]
        if g is not None:
            gate = np.exp(g[:, :, t])
            s = (gate[..., None, None] if g.ndim == 3 else gate[..., None]) * s
        s = (eye - b * outer(kt, kt)) @ s + b * outer(kt, vt)
        return s, read(qt, s)

    return recur(q, k, v, initial, step)


def packed(
    mechanism: Callable[..., tuple[Array, Array]],
    operands: tuple[Array, ...],
    offsets: Array,
    initial: Array,
    **gates: Any,
) -> tuple[Array, Array]:
    """The variable-length form: `mechanism(*operands, initial=..., **gates)` for each sequence on its own.

    `operands` and `gates` are packed along axis 2; positions that no sequence covers give 0.
    """
    length, heads, features = operands[0].shape[2], initial.shape[1], operands[-1].shape[3]
    o, final = np.zeros((1, heads, length, features)), initial.copy()
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        part = slice(max(start, 0), max(min(stop, length), max(start, 0)))
        pieces = [x[:, :, part] for x in operands]
        cut = {name: gate[:, :, part] for name, gate in gates.items()}
        o[:, :, part], final[n : n + 1] = mechanism(*pieces, initial=initial[n : n + 1], **cut)
    return o, final
