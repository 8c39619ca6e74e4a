"""Cases of attention on an NVIDIA GPU: the programs, their inputs, and the formula in float64."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from nvidia_peers import COMPILE, CUDNN, FLEX, PEERS

import aecompiler as aec
from aecompiler import masks, normalizers, scores
from aecompiler.tools.bench_peers import Job

WINDOW, CAP, REACH, DOCUMENTS = 1024, 30.0, 128, 12


# ---- variants: what a program of ours says, and the same in torch ------------------------------------


@dataclass(frozen=True)
class Variant:
    """A kind of attention. `extra` is a tensor beside q, k and v, None where there is none.

    `parts(extra)` are arguments of `aec.attention`. In torch, `score(x, b, h, i, j, extra)` follows the
    division by sqrt(D), `keep(b, h, i, j, extra)` is the mask, and `weights(x, keep, own)` normalises rows,
    `own` being the head's number in `extra`. `pairs(length)` counts what the mask keeps.
    """

    pairs: Callable[[int], int]
    parts: Callable[[Any], dict[str, Any]]
    keep: Callable | None = None
    score: Callable | None = None
    weights: Callable | None = None
    extra: tuple[Any, ...] = ()
    extra_type: str = "f32"
    make_extra: Callable[[Setting], torch.Tensor] | None = None
    peers: tuple[str, ...] = (FLEX,)


def is_past(b, h, i, j, extra):
    return j <= i


def is_past_or_prefix(b, h, i, j, extra):
    return (j <= i) | (j < extra[b])


def is_in_window(b, h, i, j, extra):
    return (j <= i) & (i - j < WINDOW)


def is_past_of_document(b, h, i, j, extra):
    return (j <= i) & (extra[b, i] == extra[b, j])


def with_slope(x, b, h, i, j, extra):
    return x + extra[h] * (j - i)


def capped(x, b, h, i, j, extra):
    return CAP * torch.tanh(x / CAP)


def with_relative_bias(x, b, h, i, j, extra):
    return x + extra[h, torch.clamp(j - i, -REACH, REACH) + REACH]


def softmax(x, keep, own):
    return torch.softmax(x.masked_fill(~keep, float("-inf")), -1)


def softmax_with_sink(x, keep, own):
    x = x.masked_fill(~keep, float("-inf"))
    largest = x.amax(-1, keepdim=True).clamp_min(own)
    e = torch.exp(x - largest)
    return e / (e.sum(-1, keepdim=True) + torch.exp(own - largest))


def softmax_off_by_one(x, keep, own):
    return softmax_with_sink(x, keep, 0.0)


def sigmoid(x, keep, own):
    return torch.sigmoid(x - math.log(x.shape[-1])) * keep


def relu(x, keep, own):
    return torch.relu(x) / x.shape[-1] * keep


def causal_pairs(length):
    return length * (length + 1) // 2


def prefix_of(length):
    return length // 4


def prefix_pairs(length):
    return causal_pairs(length) + math.comb(prefix_of(length), 2)


def window_pairs(length):
    size = min(WINDOW, length)
    return causal_pairs(size) + (length - size) * size


def document_lengths(length):
    """The lengths of the documents in a sequence: quantiles of an exponential distribution, mixed up."""
    shares = [-math.log1p(-(k * 5 % DOCUMENTS + 0.5) / DOCUMENTS) for k in range(DOCUMENTS)]
    ends = [round(length * sum(shares[: k + 1]) / sum(shares)) for k in range(DOCUMENTS)]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def document_pairs(length):
    return sum(map(causal_pairs, document_lengths(length)))


def documents_of(setting):
    numbers = torch.arange(DOCUMENTS, dtype=torch.int32)
    row = torch.repeat_interleave(numbers, torch.tensor(document_lengths(setting.length)))
    return row.repeat(setting.batch, 1)


def parts(*score, mask=None, normalize=None):
    """Arguments of `aec.attention`: `score` after the division by sqrt(D), and softmax by default."""
    given = {"score": scores.compose(scores.scale(), *score), "normalize": normalize or normalizers.softmax()}
    return given if mask is None else {**given, "mask": mask}


def causal_parts(*score, normalize=None):
    return parts(*score, mask=masks.causal(), normalize=normalize)


def minus_log_length(s, kv_len):
    return s - aec.log(aec.cast(kv_len, "f32"))


causal = functools.partial(Variant, causal_pairs, keep=is_past)

VARIANTS: dict[str, Variant] = {
    "full": Variant(lambda length: length * length, lambda extra: parts(), peers=(CUDNN, FLEX)),
    "causal": causal(lambda extra: causal_parts(), peers=(CUDNN, FLEX)),
    "prefix-lm": Variant(
        prefix_pairs,
        lambda extra: parts(mask=masks.prefix_lm(extra)),
        keep=is_past_or_prefix,
        extra=("B",),
        extra_type="i32",
        make_extra=lambda setting: torch.full((setting.batch,), prefix_of(setting.length), dtype=torch.int32),
    ),
    "sigmoid": causal(
        lambda extra: causal_parts(minus_log_length, normalize=normalizers.sigmoid()),
        weights=sigmoid,
        peers=(COMPILE,),
    ),
    "relu": causal(
        lambda extra: causal_parts(normalize=normalizers.relu(mean=True)), weights=relu, peers=(COMPILE,)
    ),
    "off-by-one": causal(
        lambda extra: causal_parts(normalize=normalizers.softmax_off_by_one()), weights=softmax_off_by_one
    ),
    "sink": causal(
        lambda extra: causal_parts(normalize=normalizers.softmax_sink(extra)),
        weights=softmax_with_sink,
        extra=("heads",),
        make_extra=lambda setting: torch.linspace(-2.0, 4.0, setting.heads),
    ),
    "alibi": causal(
        lambda extra: causal_parts(scores.alibi(extra)),
        score=with_slope,
        extra=("heads",),
        make_extra=lambda setting: 2.0 ** (-8.0 * torch.arange(1, setting.heads + 1) / setting.heads),
    ),
    "softcap": causal(lambda extra: causal_parts(scores.softcap(CAP)), score=capped),
    "relative-bias": causal(
        lambda extra: causal_parts(scores.relative_bias(extra)),
        score=with_relative_bias,
        extra=("heads", 2 * REACH + 1),
        make_extra=lambda setting: torch.sin(torch.arange(setting.heads * (2 * REACH + 1))).view(
            setting.heads, -1
        ),
    ),
    "window": Variant(window_pairs, lambda extra: parts(mask=masks.window(WINDOW)), keep=is_in_window),
    "documents": Variant(
        document_pairs,
        lambda extra: parts(mask=masks.causal() & masks.document(extra)),
        keep=is_past_of_document,
        extra=("B", "S"),
        extra_type="i32",
        make_extra=documents_of,
    ),
}


# ---- cases -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A case: a variant at one shape. `beside_plain`: timed beside our own causal kernel too.

    There are as many queries as keys, or `queries`, of a variant whose queries attend to all keys.
    """

    name: str
    batch: int
    heads: int
    length: int
    features: int
    kv_heads: int = 0
    value_features: int = 0
    beside_plain: bool = False
    queries: int = 0

    @property
    def variant(self) -> Variant:
        """What the name says."""
        return VARIANTS[self.name]

    @property
    def key(self) -> str:
        """What --case is matched with."""
        heads = f"{self.heads}/{self.kv_heads}" if self.kv_heads else f"{self.heads}"
        features = f"{self.features}/{self.value_features}" if self.value_features else f"{self.features}"
        queries = f"xQ{self.queries}" if self.queries else ""
        return f"{self.name}/B{self.batch}xH{heads}{queries}xS{self.length}xD{features}"

    @property
    def peers(self) -> tuple[str, ...]:
        """What it is timed beside."""
        return self.variant.peers

    def programs(self) -> list[aec.Program]:
        """Ours, and the one that ours is timed beside."""
        return [build(self), *([build(self.plain())] if self.beside_plain else [])]

    def plain(self) -> Setting:
        """Our own causal softmax at this shape."""
        return Setting("causal", self.batch, self.heads, self.length, self.features)

    def prepare(self) -> Job:
        """What is run, on the GPU."""
        inputs = make_inputs(self, "cuda")
        return Job(
            program=build(self),
            inputs=inputs,
            expected=reference(self, inputs),
            peers={name: functools.partial(PEERS[name], self, inputs) for name in self.peers},
            plain=build(self.plain()) if self.beside_plain else None,
            plain_flops=self.plain().flops,
        )

    @property
    def flops(self) -> int:
        """Of the two products, at the pairs that the mask keeps."""
        pairs = self.queries * self.length or self.variant.pairs(self.length)
        return 2 * self.batch * self.heads * pairs * (self.features + (self.value_features or self.features))


def all_settings() -> list[Setting]:
    """The cases, the most important first."""
    softmax = [
        Setting(name, batch, 2048 // features, length, features)
        for features in (128, 64, 256)
        for name in ("causal", "full")
        for length, batch in ((16384, 1), (4096, 4), (1024, 16))
    ]
    grouped = [Setting("causal", 1, 32, length, 128, kv_heads=8) for length in (8192, 32768, 2048)]
    unequal = [Setting("causal", 1, 128, length, 192, value_features=128) for length in (8192, 4096)]
    variants = [
        Setting(name, 2, 16, 8192, 128, beside_plain=name != "causal") for name in VARIANTS if name != "full"
    ]
    plain = [Setting(name, 4, 16, 4096, 128) for name in ("sigmoid", "relu")]
    few = [
        Setting("full", batch, 32, length, 128, kv_heads=8, queries=queries)
        for queries in (1, 16)
        for length in (8192, 32768)
        for batch in (1, 16, 128)
    ]
    return [*softmax, *grouped, *unequal, *variants, *plain, *few]


def build(setting: Setting) -> aec.Program:
    """The program of a case: dynamic batch and lengths."""
    variant, heads = setting.variant, setting.heads
    q = aec.tensor("B", heads, "Sq" if setting.queries else "S", setting.features, dtype="bf16")
    k = aec.tensor("B", setting.kv_heads or heads, "S", setting.features, dtype="bf16")
    v = aec.tensor(
        "B", setting.kv_heads or heads, "S", setting.value_features or setting.features, dtype="bf16"
    )
    sizes = [heads if size == "heads" else size for size in variant.extra]
    given = {"extra": aec.tensor(*sizes, dtype=variant.extra_type)} if sizes else {}

    @aec.program(q=q, k=k, v=v, **given)
    def attention(q, k, v, extra=None):
        return aec.attention(q, k, v, **variant.parts(extra))

    return attention


def make_inputs(setting: Setting, device: str) -> dict[str, torch.Tensor]:
    """Arguments of a program by name."""
    torch.manual_seed(0)
    kv_heads = setting.kv_heads or setting.heads

    def random(heads, features, length=setting.length):
        shape = (setting.batch, heads, length, features)
        return torch.randn(shape, device=device, dtype=torch.bfloat16)

    inputs = {
        "q": random(setting.heads, setting.features, setting.queries or setting.length),
        "k": random(kv_heads, setting.features),
        "v": random(kv_heads, setting.value_features or setting.features),
    }
    if setting.variant.make_extra:
        inputs["extra"] = setting.variant.make_extra(setting).to(device)
    return inputs


# ---- the formula in float64 --------------------------------------------------------------------------

BLOCK_SCORES = 2**25
"""As many scores are held at a time, each of 8 bytes, a few times."""


def reference(setting: Setting, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The result in float64, of all heads, block by block of rows."""
    q, k, v, extra = (inputs.get(name) for name in ("q", "k", "v", "extra"))
    if extra is not None and extra.is_floating_point():
        extra = extra.double()
    group = q.shape[1] // k.shape[1]
    result = torch.empty((*q.shape[:3], v.shape[3]), dtype=torch.float64, device=q.device)
    rows = max(1, BLOCK_SCORES // k.shape[2])
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            keys, values = k[b, h // group].double(), v[b, h // group].double()
            for first in range(0, q.shape[2], rows):
                block = q[b, h, first : first + rows].double()
                weights = weights_of(setting, block, keys, b, h, first, extra)
                result[b, h, first : first + rows] = weights @ values
    return result


def weights_of(setting, q, k, b, h, first, extra):
    """The weights of some rows of a head."""
    variant = setting.variant
    i = torch.arange(first, first + q.shape[0], device=q.device)[:, None]
    j = torch.arange(k.shape[0], device=q.device)[None, :]
    x = q @ k.mT * setting.features**-0.5
    if variant.score:
        x = variant.score(x, b, h, i, j, extra)
    keep = variant.keep(b, h, i, j, extra) if variant.keep else torch.ones_like(x, dtype=torch.bool)
    return (variant.weights or softmax)(x, keep, extra[h] if setting.name == "sink" else None)
