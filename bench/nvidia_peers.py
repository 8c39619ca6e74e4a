"""What cases of attention are timed beside: cuDNN, FlexAttention and torch.compile."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

CUDNN, FLEX, COMPILE = "cudnn", "flex", "compile"


def cudnn_call(setting, inputs):
    q, k, v = (inputs[name] for name in "qkv")
    is_causal, is_grouped = setting.name == "causal", bool(setting.kv_heads)

    def call():
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal, enable_gqa=is_grouped)

    return call


def flex_call(setting, inputs):
    variant, extra = setting.variant, inputs.get("extra")
    score, keep = variant.score, variant.keep
    score_mod = block_mask = None
    if score:

        def score_mod(x, b, h, i, j):
            return score(x, b, h, i, j, extra)

    if keep:

        def mask_mod(b, h, i, j):
            return keep(b, h, i, j, extra)

        batch = setting.batch if variant.extra[:1] == ("B",) else None
        block_mask = create_block_mask(
            mask_mod, batch, None, setting.length, setting.length, device=inputs["q"].device
        )
    given = {"score_mod": score_mod, "block_mask": block_mask, "enable_gqa": bool(setting.kv_heads)}
    sink = extra if setting.name == "sink" else 0.0 if setting.name == "off-by-one" else None

    def attend(q, k, v, sink):
        if sink is None:
            return flex_attention(q, k, v, **given)
        o, lse = flex_attention(q, k, v, return_lse=True, **given)
        own = sink[:, None] if isinstance(sink, torch.Tensor) else sink
        return (o * torch.sigmoid(lse - own)[..., None]).to(q.dtype)

    return compiled(attend, *(inputs[name] for name in "qkv"), sink)


def plain_call(setting, inputs):
    weights = setting.variant.weights

    def attend(q, k, v):
        position = torch.arange(q.shape[2], device=q.device)
        keep = position[None, :] <= position[:, None]
        return weights(q @ k.mT * setting.features**-0.5, keep, None) @ v

    return compiled(attend, *(inputs[name] for name in "qkv"))


def compiled(function, *args):
    """A call of a function, compiled for these shapes; what other cases have compiled is forgotten."""
    torch._dynamo.reset()
    fast = torch.compile(function, dynamic=False)
    return lambda: fast(*args)


PEERS: dict[str, Callable] = {CUDNN: cudnn_call, FLEX: flex_call, COMPILE: plain_call}
