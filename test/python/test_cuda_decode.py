"""Calls with few queries on a GPU: packed query heads, and keys that are split over programs."""

from __future__ import annotations

import functools
import math

import pytest

import aecompiler as aec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.cuda

HEADS, KEYS, WINDOW, CAP = 8, 1000, 100, 5.0
GROUPS = (1, 4, 8)
QUERIES = (1, 3, 17, 64)

ERROR = {"bf16": 2.0**-7, "f16": 2.0**-9, "f32": 2.0**-12}
"""Of o, relative to the largest value of its row: weights and o are rounded to the type."""

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


@functools.cache
def kernel(group, variant="causal", dtype="bf16", features=64, queries="Sq", few=0, **options):
    """Attention of query heads in groups; `few` and the options are the backend's."""

    def attention(q, k, v, sink):
        score = [aec.scores.scale(), *([aec.scores.softcap(CAP)] if variant == "softcap" else [])]
        mask = aec.masks.causal(align="end")
        if variant == "window":
            mask = mask & aec.masks.window(WINDOW, align="end")
        softmax = aec.normalizers.softmax_sink(sink) if variant == "sink" else aec.normalizers.softmax()
        return aec.attention(q, k, v, score=aec.scores.compose(*score), mask=mask, normalize=softmax)

    program = aec.trace(
        attention,
        q=aec.tensor("B", HEADS, queries, features, dtype=dtype),
        k=aec.tensor("B", HEADS // group, "Skv", features, dtype=dtype),
        v=aec.tensor("B", HEADS // group, "Skv", features, dtype=dtype),
        sink=aec.tensor(HEADS, dtype="f32"),
    )
    return aec.compile(program, target="cuda", **({"queries": few} if few else {}), **options)


def draw(group, queries, keys=KEYS, batch=2, dtype="bf16", features=64):
    generator = torch.Generator("cpu").manual_seed(queries)

    def random(*shape):
        return torch.randn(shape, generator=generator).to("cuda", DTYPES[dtype])

    q = random(batch, HEADS, queries, features)
    k, v = (random(batch, HEADS // group, keys, features) for _ in range(2))
    return q, k, v, torch.linspace(-2.0, 4.0, HEADS, device="cuda")


def reference(q, k, v, sink, variant="causal"):
    """The result in float64."""
    group = q.shape[1] // k.shape[1]
    q, k, v = q.double(), *(each.double().repeat_interleave(group, 1) for each in (k, v))
    x = q @ k.mT / math.sqrt(q.shape[3])
    if variant == "softcap":
        x = CAP * torch.tanh(x / CAP)
    i = torch.arange(q.shape[2], device="cuda")[:, None] + k.shape[2] - q.shape[2]
    j = torch.arange(k.shape[2], device="cuda")
    keep = j <= i
    if variant == "window":
        keep &= i - j < WINDOW
    x = x.masked_fill(~keep, -math.inf)
    if variant == "sink":
        x = torch.cat([x, sink.double()[None, :, None, None].expand(*x.shape[:3], 1)], -1)
    weights = torch.softmax(x, -1).nan_to_num(0.0)  # of rows without keys
    return weights[..., : k.shape[2]] @ v


def assert_right(result, expected, dtype="bf16"):
    error = (result.double() - expected).abs().amax(-1)
    allowed = ERROR[dtype] * expected.abs().amax(-1).clamp_min(1e-2)
    assert bool((error <= allowed).all()), f"off by {(error / allowed).max().item():.3g} of what is allowed"


@pytest.mark.parametrize("queries", QUERIES)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("variant", ["causal", "window", "softcap", "sink"])
def test_few_queries_see_the_last_keys(variant, group, queries):
    inputs = draw(group, queries)
    assert_right(kernel(group, variant)(*inputs), reference(*inputs, variant))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("keys", [0, 1, 127, 129, 5000])
def test_keys_are_split_for_any_number_of_sequences(keys, batch, group):
    inputs = draw(group, 3, keys, batch)
    assert_right(kernel(group)(*inputs), reference(*inputs))


@pytest.mark.parametrize("queries", [63, 64, 65, 200])
def test_calls_on_both_sides_of_few_queries_agree(queries):
    inputs = draw(4, queries)
    assert_right(kernel(4)(*inputs), reference(*inputs))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("features", [64, 128, 256])
def test_types_and_features(features, dtype):
    inputs = draw(4, 3, dtype=dtype, features=features)
    assert_right(kernel(4, dtype=dtype, features=features)(*inputs), reference(*inputs), dtype)


@pytest.mark.parametrize("pack", ["heads", "none"])
@pytest.mark.parametrize("split", ["keys", "none"])
@pytest.mark.parametrize("plain", [{}, {"block_q": 16, "block_kv": 32}], ids=["chosen", "no roles"])
def test_packed_heads_and_split_keys_are_chosen_alone(plain, split, pack):
    inputs = draw(4, 3)
    assert_right(kernel(4, pack=pack, split=split, few=3, **plain)(*inputs), reference(*inputs))


def test_number_of_queries_in_types():
    inputs = draw(4, 1)
    assert_right(kernel(4, "sink", queries=1)(*inputs), reference(*inputs, "sink"))


def test_values_after_the_last_visible_key_are_not_seen():
    q, k, v, sink = draw(4, 5)
    expected = reference(q, k, v, sink)[:, :, :2]
    v[:, :, -3:] = math.inf
    assert_right(kernel(4)(q, k, v, sink)[:, :, :2], expected)


@pytest.mark.parametrize("layout", ["batch, sequence, head", "shifted"])
def test_layouts_of_arguments(layout):
    inputs = list(draw(4, 3))
    expected = reference(*inputs)
    for n in range(3):
        if layout == "shifted":
            wide = torch.zeros((*inputs[n].shape[:-1], 65), dtype=torch.bfloat16, device="cuda")
            wide[..., 1:] = inputs[n]
            inputs[n] = wide[..., 1:]
        else:
            inputs[n] = inputs[n].transpose(1, 2).contiguous().transpose(1, 2)
    assert_right(kernel(4)(*inputs), expected)


def test_a_graph_captures_both_kernels():
    inputs = draw(4, 3)
    right = kernel(4)(*inputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = kernel(4)(*inputs)
    result.zero_()
    graph.replay()
    assert torch.equal(result, right)
