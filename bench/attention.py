"""Attention on the CPU beside torch's scaled dot product. Shapes: batch, heads, length, features."""

import torch
import torch.nn.functional as F

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.tools.benchmark import Work, case

SDPA = "torch SDPA"
SHAPES = [(1, 8, 128, 64), (1, 8, 512, 64), (2, 16, 1024, 64)]


TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def qkv(shape, dtype, kv_heads=None):
    """Random q, k and v by name."""
    torch.manual_seed(0)
    batch, heads, length, features = shape
    q = torch.randn(shape)
    k, v = torch.randn(2, batch, kv_heads or heads, length, features)
    return {"q": q.to(TYPES[dtype]), "k": k.to(TYPES[dtype]), "v": v.to(TYPES[dtype])}


@case(peer=SDPA, shapes=SHAPES, dtypes=["f32", "bf16"])
def softmax_causal(shape, dtype):
    _, heads, _, features = shape
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x)
    def softmax_causal(q, k, v):
        def score(s):
            return s * features**-0.5

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalizers.softmax())

    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return Work(softmax_causal, qkv(shape, dtype), peer)


@case(peer=SDPA, shapes=[(1, 32, 512, 128)])
def grouped_query(shape, dtype):
    _, heads, _, features = shape
    kv_heads = heads // 4
    q = aec.tensor("B", heads, "S", features, dtype=dtype)
    kv = aec.tensor("B", kv_heads, "S", features, dtype=dtype)

    @aec.program(q=q, k=kv, v=kv)
    def grouped_query(q, k, v):
        def score(s):
            return s * features**-0.5

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalizers.softmax())

    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    return Work(grouped_query, qkv(shape, dtype, kv_heads), peer)


@case(peer="torch SDPA with attn_mask", shapes=SHAPES[:2])
def alibi(shape, dtype):
    _, heads, length, features = shape
    x = aec.tensor("B", heads, "S", features, dtype=dtype)

    @aec.program(q=x, k=x, v=x, slopes=aec.tensor(heads))
    def alibi(q, k, v, slopes):
        def score(s, b, h, i, j):
            return s * features**-0.5 + slopes[h] * (j - i)

        return aec.attention(q, k, v, score=score, mask=masks.causal(), normalize=normalizers.softmax())

    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
    bias = (slopes[:, None, None] * (j - i)).masked_fill(j > i, -torch.inf)

    def peer(q, k, v, slopes):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)

    return Work(alibi, {**qkv(shape, dtype), "slopes": slopes}, peer)
