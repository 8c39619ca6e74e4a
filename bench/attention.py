"""Attention on the CPU beside torch. Shapes: batch, heads, length, features.

The peers are torch's scaled dot product attention and, for variants, `flex_attention` under `torch.compile`;
for normalisers that neither has, the formula in plain torch. The baseline of a variant is our softmax.
"""

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import aecompiler as aec
from aecompiler import masks, normalizers
from aecompiler.tools.bench_figures import compile_times, peak_memory
from aecompiler.tools.benchmark import Work, case

SDPA, FLEX, PLAIN = "torch SDPA", "compiled flex_attention", "plain torch"
SHAPES = [(1, 8, length, features) for features in (64, 128) for length in (1024, 2048, 4096)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
SLOPES = 2.0 ** -torch.arange(1, 9, dtype=torch.float32)
CAP, WINDOW = 30.0, 256


def qkv(shape, dtype, kv_heads=None):
    """Random q, k and v by name."""
    torch.manual_seed(0)
    batch, heads, length, features = shape
    q = torch.randn(shape)
    k, v = torch.randn(2, batch, kv_heads or heads, length, features)
    return {"q": q.to(TYPES[dtype]), "k": k.to(TYPES[dtype]), "v": v.to(TYPES[dtype])}


def attention(shape, dtype, *, kv_heads=None, slopes=False, score=None, **parts):
    """A program with dynamic batch and length; `score(s, b, h, i, j, slopes)` is applied after 1/sqrt(D)."""
    _, heads, _, features = shape
    q = aec.tensor("B", heads, "S", features, dtype=dtype)
    kv = aec.tensor("B", kv_heads or heads, "S", features, dtype=dtype)
    given = {"slopes": aec.tensor(heads)} if slopes else {}

    @aec.program(q=q, k=kv, v=kv, **given)
    def attention(q, k, v, slopes=None):
        def whole(s, b, h, i, j):
            scaled = s * features**-0.5
            return scaled if score is None else score(scaled, b, h, i, j, slopes)

        return aec.attention(q, k, v, score=whole, **{"normalize": normalizers.softmax(), **parts})

    return attention


def compiled_flex():
    """`flex_attention`, compiled for the one shape of a case: what other cases have compiled is forgotten."""
    torch._dynamo.reset()
    return torch.compile(flex_attention)


def softmax_of(shape, dtype, mask):
    """Our own softmax attention, the baseline of variants."""
    return attention(shape, dtype, **({} if mask is None else {"mask": mask}))


@case(peer=SDPA, shapes=SHAPES, dtypes=["f32", "bf16"])
def softmax(shape, dtype):
    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

    return Work(attention(shape, dtype), qkv(shape, dtype), peer)


@case(peer=SDPA, shapes=[(1, 8, 128, 64), *SHAPES], dtypes=["f32", "bf16"])
def softmax_causal(shape, dtype):
    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return Work(attention(shape, dtype, mask=masks.causal()), qkv(shape, dtype), peer)


@case(peer=SDPA, shapes=[(1, 32, 2048, 128)])
def grouped_query(shape, dtype):
    kv_heads = shape[1] // 4

    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    program = attention(shape, dtype, kv_heads=kv_heads, mask=masks.causal())
    return Work(program, qkv(shape, dtype, kv_heads), peer)


@case(peer=SDPA, shapes=[(1, 32, 4096, 128), (8, 32, 4096, 128)], dtypes=["f32", "bf16"])
def decode(shape, dtype):
    """One query of each head, four query heads to a kv head."""
    _, heads, _, features = shape
    kv_heads = heads // 4
    q = aec.tensor("B", heads, "Sq", features, dtype=dtype)
    kv = aec.tensor("B", kv_heads, "Skv", features, dtype=dtype)

    @aec.program(q=q, k=kv, v=kv)
    def decode(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s * features**-0.5, normalize=normalizers.softmax())

    def peer(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    inputs = qkv(shape, dtype, kv_heads)
    return Work(decode, {**inputs, "q": inputs["q"][:, :, :1].contiguous()}, peer)


@case(peer=FLEX, shapes=SHAPES)
def alibi(shape, dtype):
    flex = compiled_flex()

    def peer(q, k, v, slopes):
        return flex(q, k, v, score_mod=lambda s, b, h, i, j: s + slopes[h] * (j - i))

    program = attention(
        shape, dtype, slopes=True, score=lambda s, b, h, i, j, slopes: s + slopes[h] * (j - i)
    )
    inputs = {**qkv(shape, dtype), "slopes": SLOPES}
    return Work(program, inputs, peer, softmax_of(shape, dtype, None), looser=4.0)  # scores of 2048


@case(peer=FLEX, shapes=SHAPES, dtypes=["f32", "bf16"])
def softcap(shape, dtype):
    flex = compiled_flex()

    def peer(q, k, v):
        return flex(q, k, v, score_mod=lambda s, b, h, i, j: CAP * torch.tanh(s / CAP))

    program = attention(shape, dtype, score=lambda s, b, h, i, j, _: CAP * aec.tanh(s / CAP))
    return Work(program, qkv(shape, dtype), peer, softmax_of(shape, dtype, None))


@case(peer=FLEX, shapes=SHAPES)
def window(shape, dtype):
    length = shape[2]
    block_mask = create_block_mask(
        lambda b, h, i, j: (i >= j) & (i - j < WINDOW), None, None, length, length, device="cpu"
    )

    flex = compiled_flex()

    def peer(q, k, v):
        return flex(q, k, v, block_mask=block_mask)

    program = attention(shape, dtype, mask=masks.window(WINDOW))
    return Work(program, qkv(shape, dtype), peer, softmax_of(shape, dtype, masks.causal()))


@case(peer=PLAIN, shapes=SHAPES)
def sigmoid(shape, dtype):
    features = shape[3]

    def peer(q, k, v):
        return torch.sigmoid(q @ k.mT * features**-0.5 - 7.0) @ v

    program = attention(shape, dtype, normalize=normalizers.sigmoid(bias=-7.0))
    return Work(program, qkv(shape, dtype), peer, softmax_of(shape, dtype, None))


@case(peer=PLAIN, shapes=SHAPES)
def relu(shape, dtype):
    features = shape[3]

    def peer(q, k, v):
        return torch.relu(q @ k.mT * features**-0.5) @ v

    program = attention(shape, dtype, normalize=normalizers.relu())
    return Work(program, qkv(shape, dtype), peer, softmax_of(shape, dtype, None))


@case(shapes=[(1, 8, 1024, 64)], measure=compile_times)
def compile_time(shape, dtype):
    """How long compiling causal softmax takes; the same without a mask is compiled first."""
    program = attention(shape, dtype, mask=masks.causal())
    return Work(program, qkv(shape, dtype), baseline=softmax_of(shape, dtype, None))


@case(peer="torch SDPA in f64", shapes=[(1, 8, 32768, 64)], measure=peak_memory)
def memory(shape, dtype):
    """What a causal forward of 32k tokens takes of memory."""

    def peer(q, k, v):
        return F.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)

    return Work(attention(shape, dtype, mask=masks.causal()), qkv(shape, dtype), peer)
