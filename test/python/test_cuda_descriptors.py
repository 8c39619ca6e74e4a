"""Calls on a GPU of kernels that copy tiles through descriptors."""

from __future__ import annotations

import math

import pytest
from test_cuda_launch import TOLERANCE, batch_sequence_head, expanded, gapped, shifted

import aecompiler as aec
from aecompiler import saved_kernel
from aecompiler.backends.nvidia import backend
from aecompiler.backends.triton.kernel_abi import is_descriptor

pytestmark = pytest.mark.cuda

HEADS, KV_HEADS, FEATURES = 4, 2, 64


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch")
    if found.cuda.get_device_capability() < (9, 0):
        pytest.skip("descriptors need sm_90")
    return found


def compiled():
    q = aec.tensor("B", HEADS, "Sq", FEATURES, dtype="bf16")
    kv = aec.tensor("B", KV_HEADS, "Skv", FEATURES, dtype="bf16")

    def attend(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s / math.sqrt(FEATURES))

    with pytest.MonkeyPatch.context() as patch:
        pipeline = "builtin.module(attn-tt{block-q=64 block-kv=64 descriptors=true})"
        patch.setattr(backend, "pipeline_for", lambda *_: pipeline)
        options = {"num_stages": 2, "pack": "none", "split": "none"}
        made = aec.compile(aec.trace(attend, q=q, k=kv, v=kv).module, target="cuda", **options)
    (facts,) = made.artifact.manifest["kernels"].values()
    assert sum(map(is_descriptor, facts["parameters"])) == 4
    return made


@pytest.fixture(scope="module")
def kernel(torch):
    return compiled()


def draw(torch, rows=100, keys=150):
    generator = torch.Generator("cpu").manual_seed(rows * 1000 + keys)
    return [
        torch.randn(2, heads, length, FEATURES, generator=generator).to("cuda", torch.bfloat16)
        for heads, length in ((HEADS, rows), (KV_HEADS, keys), (KV_HEADS, keys))
    ]


def assert_right(torch, result, q, k, v):
    groups = HEADS // KV_HEADS
    k, v = (x.float().repeat_interleave(groups, dim=1) for x in (k, v))
    wanted = torch.nn.functional.scaled_dot_product_attention(q.float(), k, v)
    if not k.shape[2]:
        wanted = torch.zeros_like(wanted)
    assert result.shape == wanted.shape
    assert not result.numel() or (result.float() - wanted).abs().max().item() <= TOLERANCE


@pytest.mark.parametrize("layout", [lambda x: x, batch_sequence_head, gapped, shifted, expanded])
def test_layout_of_arguments_does_not_matter(torch, kernel, layout):
    arguments = [layout(x) for x in draw(torch)]
    before = [x.clone() for x in arguments]
    assert_right(torch, kernel(*arguments), *arguments)
    for x, copy in zip(arguments, before, strict=True):
        assert torch.equal(x, copy), "inputs are never written to"


@pytest.mark.parametrize("layout", [lambda x: x, batch_sequence_head, gapped, shifted])
def test_result_is_written_where_the_caller_wants_it(torch, kernel, layout):
    arguments = draw(torch)
    out = layout(torch.full_like(arguments[0], math.nan))
    assert kernel(*arguments, out=out) is out
    assert_right(torch, out, *arguments)


def test_memory_around_a_result_is_left_alone(torch, kernel):
    arguments = draw(torch, rows=37)
    whole = torch.full((2, HEADS, 39, FEATURES + 16), 7.0, dtype=torch.bfloat16, device="cuda")
    out = whole[:, :, 1:-1, 8:-8]
    kernel(*arguments, out=out)
    assert_right(torch, out, *arguments)
    out.fill_(7.0)
    assert bool((whole == 7).all())


@pytest.mark.parametrize(
    ("rows", "keys"), [(0, 5), (1, 1), (63, 65), (64, 64), (65, 63), (257, 1), (5, 300), (70, 0)]
)
def test_lengths_need_no_new_kernel(torch, kernel, rows, keys):
    arguments = draw(torch, rows, keys)
    assert_right(torch, kernel(*arguments), *arguments)


def test_values_that_are_no_numbers_are_read_beside_descriptors(torch, kernel):
    q, k, v = draw(torch)
    v[0, 0, 3, 5] = math.inf
    result = kernel(q, k, v)
    assert bool(torch.isinf(result[0, : HEADS // KV_HEADS, :, 5]).all())
    v[0, 0, 3, 5] = 0
    assert_right(torch, kernel(q, k, v)[1:], q[1:], k[1:], v[1:])


@pytest.mark.parametrize("keys", [150, 0])
def test_graph_captures_the_first_call(torch, keys):
    kernel, arguments = compiled(), draw(torch, keys=keys)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = kernel(*arguments)
    result.fill_(math.nan)
    graph.replay()
    torch.cuda.synchronize()
    assert_right(torch, result, *arguments)


def test_saved_kernel_runs(torch, kernel, tmp_path):
    kernel.save(tmp_path / "kernel.zip")
    arguments = [shifted(x) for x in draw(torch)]
    assert_right(torch, saved_kernel.load(tmp_path / "kernel.zip")(*arguments), *arguments)
