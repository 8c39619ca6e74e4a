"""Programs with work around attention that is not part of its tiles, as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aecompiler as aec
from aecompiler import masks, normalizers

H, D = 4, 16

PROGRAMS: dict[str, Any] = {}


def program(dtype: str = "f32", kv_heads: int = 2, **more: Any) -> Callable:
    """Function decorator: a program of q, k, v and `more`, under its name."""

    def enter(function: Callable) -> Callable:
        PROGRAMS[function.__name__] = aec.trace(
            function,
            q=aec.tensor("B", H, "Sq", D, dtype=dtype),
            k=aec.tensor("B", kv_heads, "Skv", D, dtype=dtype),
            v=aec.tensor("B", kv_heads, "Skv", D, dtype=dtype),
            **more,
        )
        return function

    return enter


def attend(q, k, v, **options):
    return aec.attention(
        q,
        k,
        v,
        score=lambda s: s * D**-0.5,
        mask=masks.causal(),
        normalize=normalizers.softmax(**options),
    )


def rotate(x, angle):
    left, right = x[..., : D // 2], x[..., D // 2 :]
    cos, sin = aec.cos(angle), aec.sin(angle)
    return aec.concat([left * cos - right * sin, right * cos + left * sin])


@program(
    "bf16",
    frequency=aec.tensor(D // 2),
    of_q=aec.tensor("B", "Sq", dtype="i32"),
    of_k=aec.tensor("B", "Skv", dtype="i32"),
)
def rotary_at_positions(q, k, v, frequency, of_q, of_k):
    def rotated(x, positions):
        angle = aec.cast(positions, "f32")[:, None, :, None] * frequency
        return aec.cast(rotate(aec.cast(x, "f32"), angle), "bf16")

    return attend(rotated(q, of_q), rotated(k, of_k), v)


@program(weight=aec.tensor(H, D))
def norm_of_all_heads(q, k, v, weight):
    """As in OLMo 2: the norm is over heads and features."""
    mean = aec.sum(q * q, (1, 3), keepdims=True) / (H * D)
    return attend(q * aec.rsqrt(mean + 1e-6) * weight[:, None, :], k, v)


@program("bf16", gate=aec.tensor("B", "Sq", H, dtype="bf16"))
def gate_of_heads(q, k, v, gate):
    o = attend(q, k, v)
    return o * aec.transpose(aec.sigmoid(gate), (0, 2, 1))[..., None], aec.exp(o)


@program(weight=aec.tensor(H), scale=aec.tensor(D))
def norm_of_a_difference(q, k, v, weight, scale):
    first, second = attend(q, k, v), attend(q * 0.5, k, v)
    o = first - weight[:, None, None] * second
    return o * aec.rsqrt(aec.sum(o * o, -1, keepdims=True) / D + 1e-6) * scale, first


@program()
def states_merged(q, k, v):
    """Two attentions over one softmax, merged by their log-sum-exps."""
    (o, a), (p, b) = attend(q, k, v, lse=True), attend(q * 1.5, k, v, lse=True)
    top = aec.maximum(a, b)
    a, b = aec.exp(a - top), aec.exp(b - top)
    return (o * a[..., None] + p * b[..., None]) / (a + b)[..., None], top


@program(latent=aec.tensor("Skv", 24), up=aec.tensor(24, D))
def keys_of_a_latent(q, k, v, latent, up):
    return attend(q, k + (latent @ up)[None, None], v)


@program("bf16", latent=aec.tensor("Skv", 40, dtype="bf16"), up=aec.tensor(40, D))
def keys_of_a_rounded_latent(q, k, v, latent, up):
    """Of a product of f32 and bf16 neither factor is rounded."""
    projected = latent @ up
    return attend(q, k + aec.cast(projected / 16, "bf16")[None, None], v), projected


@program("bf16")
def quantized_keys(q, k, v):
    wide = aec.cast(k, "f32")
    scale = aec.abs(wide).max(-1, keepdims=True) / 127.0
    return attend(q, aec.cast(aec.floor(wide / scale + 0.5) * scale, "bf16"), v), scale


@program()
def centered_by_position(q, k, v):
    o, lse = attend(q - aec.sum(q, 2, keepdims=True) / 64, k, v, lse=True)
    return aec.sum(o, 1), lse - lse.max(-1, keepdims=True)


@program()
def scaled_by_the_whole(q, k, v):
    return attend(q / aec.abs(q).max(), k, v) * (aec.sum(q * q) * 1e-3)


@program()
def results_in_parts(q, k, v):
    o = attend(q, k, v)
    return o[..., :8], o[:, 1:3, :, 1::2], aec.transpose(o, (0, 2, 1, 3)), q[..., ::2]


@program()
def heads_of_two(q, k, v):
    return aec.concat([attend(q, k, v), attend(q[:, :2], k, v)], axis=1)
