"""Kernels whose warps have roles, with operands that are one tensor, parts of one, or computed."""

from __future__ import annotations

import numpy as np
import pytest
from test_hopper_kernels import (
    FEATURES,
    HEADS,
    KEYS,
    KV_HEADS,
    ROWS,
    SMALL,
    B,
    causal,
    compare,
    data,
    kernels_of,
)
from test_triton_kernels import random

import aecompiler as aec


@pytest.mark.parametrize("options", [f"{SMALL} programs=2", "consumers=2 block-kv=16 stages=2 programs=1"])
def test_keys_and_values_may_be_one_tensor(options):
    """They have rings of their own, which begin at different steps."""
    spec = aec.tensor("B", HEADS, "Skv", FEATURES, dtype="bf16")
    one = random(B, HEADS, 130, FEATURES, number=1, dtype="bf16")
    queries = aec.tensor("B", HEADS, "Sq", FEATURES, dtype="bf16")
    rows = random(B, HEADS, 130, FEATURES, number=2, dtype="bf16")
    shared = aec.trace(lambda q, k: aec.attention(q, k, k, mask=causal()), q=queries, k=spec)
    compare(shared, [rows, one], options, seeds=(0, 1))
    compare(aec.trace(lambda x: aec.attention(x, x, x, mask=causal()), x=spec), [one], options)


def test_keys_and_values_may_be_parts_of_one_tensor():
    """They are views with descriptors of their own, as is the first half of queries."""
    spec = aec.tensor("B", HEADS, "Skv", 2 * FEATURES, dtype="bf16")
    queries = aec.tensor("B", "Sq", HEADS, 2 * FEATURES, dtype="bf16")

    def attention(q, kv):
        q = aec.transpose(q, (0, 2, 1, 3))[..., :FEATURES]
        return aec.attention(q, kv[..., :FEATURES], kv[..., FEATURES:], mask=aec.masks.causal())

    packed = aec.trace(attention, q=queries, kv=spec)
    arrays = [
        random(B, ROWS, HEADS, 2 * FEATURES, number=1, dtype="bf16"),
        random(B, HEADS, KEYS, 2 * FEATURES, number=2, dtype="bf16"),
    ]
    compare(packed, arrays, seeds=(0, 1))


def test_q_that_is_computed_is_a_factor_in_registers():
    q, k, v = data()

    def attention(q, k, v):
        return aec.attention(q * 0.125, k, v, mask=aec.masks.causal())

    specs = {"q": aec.tensor("B", HEADS, "Sq", FEATURES, dtype="bf16")}
    specs |= {name: aec.tensor("B", KV_HEADS, "Skv", FEATURES, dtype="bf16") for name in "kv"}
    compare(aec.trace(attention, **specs), [q, k, v])


def test_what_is_computed_before_attention_has_kernels_of_its_own():
    """Rotated queries, keys with a norm and a projected latent, values of every other place of features."""
    half = FEATURES // 2

    def attention(q, k, v, angle, latent, up):
        left, right = q[..., :half], q[..., half:]
        cos, sin = aec.cos(angle), aec.sin(angle)
        q = aec.cast(aec.concat([left * cos - right * sin, right * cos + left * sin]), "bf16")
        k = k + aec.cast(latent @ up, "bf16")[None, None]
        k = aec.cast(k * aec.rsqrt(aec.sum(k * k, -1, keepdims=True) / FEATURES + 1e-3), "bf16")
        return aec.attention(q, k, v[..., ::2], score=aec.scores.scale(), mask=aec.masks.causal())

    arrays = [
        *data(dv=2 * FEATURES),
        *(random(*shape, number=n) for n, shape in enumerate([(ROWS, half), (KEYS, 8), (8, FEATURES)])),
    ]
    names = ("q", "k", "v", "angle", "latent", "up")
    specs = {
        name: aec.tensor(*array.shape, dtype="f32" if array.dtype == np.float32 else "bf16")
        for name, array in zip(names, arrays, strict=True)
    }
    made = aec.trace(attention, **specs)
    assert str(kernels_of(made).module).count('"ttg.warp_specialize"(') == 1
    compare(made, arrays)
