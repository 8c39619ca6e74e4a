"""Calls of kernels on a GPU: layouts, alignment, memory of results, streams, graphs, threads, devices."""

from __future__ import annotations

import math
import subprocess
import sys
import threading

import pytest

import aecompiler as aec
from aecompiler.library import masks

pytestmark = pytest.mark.cuda

HEADS, FEATURES = 4, 64
TOLERANCE = 2e-2
"""Of bf16 results that are averages of numbers of about 1."""


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def program():
    x = aec.tensor("B", HEADS, "S", FEATURES, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def causal(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s / math.sqrt(FEATURES), mask=masks.causal())

    return causal


@pytest.fixture(scope="module")
def kernel(torch):
    return aec.compile(program(), target="cuda")


def draw(torch, batch=2, length=100, device="cuda"):
    generator = torch.Generator("cpu").manual_seed(batch * 1000 + length)
    shape = (3, batch, HEADS, length, FEATURES)
    return list(torch.randn(shape, generator=generator).to(device, torch.bfloat16))


def expected(torch, q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)


def assert_right(torch, result, arguments):
    error = (result.float() - expected(torch, *arguments)).abs().max().item()
    assert error <= TOLERANCE


def batch_sequence_head(x):
    """The same tensor, laid out as [batch, sequence, head, feature]."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def gapped(x):
    """The same tensor, whose rows' elements are apart."""
    return x.transpose(2, 3).contiguous().transpose(2, 3)


def shifted(x):
    """The same tensor, on addresses and with strides that are no multiples of 16 bytes."""
    torch = sys.modules["torch"]
    wide = torch.zeros((*x.shape[:-1], x.shape[-1] + 1), dtype=x.dtype, device=x.device)
    wide[..., 1:] = x
    return wide[..., 1:]


def expanded(x):
    """One batch that stands for several."""
    return x[:1].expand(x.shape)


@pytest.mark.parametrize("layout", [batch_sequence_head, gapped, shifted, expanded])
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
def test_layout_of_arguments_does_not_matter(torch, kernel, layout, which):
    arguments = draw(torch)
    for n in which:
        arguments[n] = layout(arguments[n])
    before = [x.clone() for x in arguments]
    assert_right(torch, kernel(*arguments), arguments)
    for x, copy in zip(arguments, before, strict=True):
        assert torch.equal(x, copy), "inputs are never written to"


@pytest.mark.parametrize("layout", [lambda x: x, batch_sequence_head, gapped, shifted])
def test_result_is_written_where_the_caller_wants_it(torch, kernel, layout):
    arguments = draw(torch)
    out = layout(torch.full_like(arguments[0], math.nan))
    address, version = out.data_ptr(), out._version
    result = kernel(*arguments, out=out)
    assert result is out
    assert out.data_ptr() == address
    assert out._version > version
    assert_right(torch, out, arguments)


def test_memory_around_a_result_is_left_alone(torch, kernel):
    arguments = draw(torch, length=37)
    whole = torch.full((2, HEADS, 39, FEATURES + 16), 7.0, dtype=torch.bfloat16, device="cuda")
    out = whole[:, :, 1:-1, 8:-8]
    kernel(*arguments, out=out)
    assert_right(torch, out, arguments)
    out.fill_(7.0)
    assert bool((whole == 7).all())


def test_overlapping_result_is_refused(torch, kernel):
    q, k, v = draw(torch)
    with pytest.raises(ValueError, match="result 'o': expects an array that does not overlap argument 'k'"):
        kernel(q, k, v, out=k)
    with pytest.raises(
        ValueError, match="result 'o': expects a tensor with memory of its own for each element"
    ):
        kernel(q, k, v, out=torch.empty_like(q)[:1].expand(q.shape))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 257])
def test_lengths_need_no_new_kernel(torch, kernel, length):
    arguments = draw(torch, batch=1, length=length)
    result = kernel(*arguments)
    assert result.shape == arguments[0].shape
    if length:
        assert_right(torch, result, arguments)


def test_call_neither_waits_nor_copies_to_the_host(torch, kernel):
    arguments = [shifted(draw(torch)[0]), gapped(draw(torch)[1]), draw(torch)[2]]
    kernel(*arguments)
    torch.cuda.set_sync_debug_mode("error")
    try:
        kernel(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_call_runs_on_the_current_stream(torch, kernel):
    arguments = draw(torch, length=500)
    right = kernel(*arguments)
    stream = torch.cuda.Stream()
    changing = torch.zeros_like(arguments[0])
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # the copy comes late, and the kernel after it
        changing.copy_(arguments[0])
        result = kernel(changing, *arguments[1:])
    stream.synchronize()
    assert torch.equal(result, right)


@pytest.mark.parametrize("is_first", [True, False])
def test_graph_captures_a_call(torch, is_first):
    kernel = aec.compile(program(), target="cuda", block_q=32 if is_first else 64)
    arguments = draw(torch)
    if not is_first:
        kernel(*arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = kernel(*arguments)
    for x, new in zip(arguments, draw(torch, batch=2, length=100), strict=True):
        x.copy_(new * 0.5)
    result.fill_(math.nan)
    graph.replay()
    torch.cuda.synchronize()
    assert_right(torch, result, arguments)


def test_calls_in_threads_do_not_disturb_each_other(torch, kernel):
    cases = [draw(torch, length=17 + 16 * n) for n in range(8)]
    right = [kernel(*each) for each in cases]
    wrong = []

    def work(n):
        for _ in range(50):
            if not torch.equal(kernel(*cases[n]), right[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(cases))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_tensor_elsewhere_is_refused_by_name(torch, kernel):
    q, k, v = draw(torch)
    with pytest.raises(ValueError, match="argument 'k': expects a tensor on a GPU, got device 'cpu'"):
        kernel(q, k.cpu(), v)
    with pytest.raises(ValueError, match="result 'o': expects a tensor on a GPU, got device 'cpu'"):
        kernel(q, k, v, out=q.cpu())
    with pytest.raises(
        TypeError, match="argument 'q': expects a torch tensor on a GPU, got an array of shape"
    ):
        kernel(q.float().cpu().numpy(), k, v)


def test_tensors_that_autograd_follows_are_refused(torch, kernel):
    q, k, v = draw(torch)
    q.requires_grad_()
    with pytest.raises(ValueError, match="argument 'q': expects a tensor without gradient"):
        kernel(q, k, v)
    with torch.no_grad():
        assert_right(torch, kernel(q, k, v), (q, k, v))


def test_scalar_on_the_gpu_is_refused(torch):
    x = aec.tensor("B", HEADS, "S", FEATURES, dtype="bf16")

    @aec.program(q=x, k=x, v=x, scale=aec.scalar("f32"))
    def scaled(q, k, v, scale):
        return aec.attention(q, k, v, score=lambda s: s * scale)

    kernel = aec.compile(scaled, target="cuda")
    arguments = draw(torch)
    with pytest.raises(ValueError, match="argument 'scale': expects a number, got a tensor on a GPU"):
        kernel(*arguments, torch.tensor(0.5, device="cuda"))
    small = torch.nn.functional.scaled_dot_product_attention(*[x.float() for x in arguments], scale=0.03125)
    assert (kernel(*arguments, 0.03125).float() - small).abs().max() <= TOLERANCE


def test_devices_are_told_apart(torch, kernel):
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    q, k, v = draw(torch)
    with pytest.raises(ValueError, match="argument 'k': expects a tensor on the device of 'q', cuda:0"):
        kernel(q, k.to("cuda:1"), v)
    arguments = draw(torch, device="cuda:1")
    result = kernel(*arguments)
    assert result.device == arguments[0].device
    assert torch.cuda.current_device() == 0
    assert_right(torch, result, arguments)


def test_reference_takes_tensors_of_the_gpu(torch, kernel):
    report = aec.check(kernel, *draw(torch, length=33))
    assert report.max_abs_error <= TOLERANCE


def test_saved_kernel_runs_without_mlir_and_triton(torch, kernel, tmp_path):
    kernel.save(tmp_path / "kernel.zip")
    script = f"""
import sys

sys.modules.update(dict.fromkeys(("mlir", "torch_mlir", "triton")))  # none of them can be imported
import torch
from aecompiler import saved_kernel
kernel = saved_kernel.load({str(tmp_path / "kernel.zip")!r})
q, k, v = torch.load({str(tmp_path / "inputs.pt")!r})
out = torch.empty_like(q)
assert kernel(q, k, v, out=out) is out
wide = [torch.cat([x[..., :1], x], -1)[..., 1:] for x in (q, k, v)]
assert (kernel(*wide) - out).abs().max() < 1e-2
torch.save(out, {str(tmp_path / "out.pt")!r})
"""
    arguments = draw(torch, length=77)
    torch.save(arguments, tmp_path / "inputs.pt")
    (tmp_path / "f.py").write_text(script)
    done = subprocess.run([sys.executable, tmp_path / "f.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_right(torch, torch.load(tmp_path / "out.pt"), arguments)
