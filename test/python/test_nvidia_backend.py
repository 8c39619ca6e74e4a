"""Compiling for NVIDIA chips, without one: what is emitted, cached and refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest

import aecompiler as aec
from aecompiler.backends.base import get_backend
from aecompiler.backends.nvidia import backend as module
from aecompiler.backends.nvidia.artifact import ALIGNED, UNALIGNED
from aecompiler.backends.triton import installed
from aecompiler.errors import BackendError, CompileError, UnsupportedError
from aecompiler.library import masks

pytest.importorskip("triton")

TARGET = "nvidia:sm_90"
OPTIONS = {"block_q": 16, "block_kv": 32}


def program(features=64):
    x = aec.tensor("B", 2, "S", features, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def causal(q, k, v):
        return aec.attention(q, k, v, score=lambda s: s / 8, mask=masks.causal())

    return causal


@pytest.fixture(scope="module")
def kernel():
    return aec.compile(program(), target=TARGET, **OPTIONS)


def test_artifact_holds_a_plan_and_kernels(kernel):
    manifest = kernel.artifact.manifest
    assert manifest["target"] == TARGET
    assert manifest["capability"] == [9, 0]
    assert json.loads(json.dumps(manifest)) == manifest
    assert [each["name"] for each in manifest["plan"]["arguments"]] == ["q", "k", "v"]
    ((name, facts),) = manifest["kernels"].items()
    assert list(facts["forms"]) == [ALIGNED]
    code = kernel.artifact.code(name, ALIGNED)
    assert code.binary.startswith(b"\x7fELF")
    assert code.threads == 128
    assert f".entry {code.symbol}" in kernel.artifact.text
    assert ".target sm_90" in kernel.artifact.text
    assert str(kernel).endswith("on nvidia:sm_90>")


def test_unaligned_form_is_told_nothing_of_addresses(kernel):
    (name,) = kernel.artifact.manifest["kernels"]
    assert "tt.divisibility" in kernel.artifact.source(name, ALIGNED)
    assert "tt.divisibility" not in kernel.artifact.source(name, UNALIGNED)
    aligned, unaligned = (kernel.artifact.code(name, form) for form in (ALIGNED, UNALIGNED))
    assert unaligned.binary.startswith(b"\x7fELF")
    assert unaligned.symbol == aligned.symbol
    assert unaligned.ptx.count("ld.global") + unaligned.ptx.count("cp.async") > 0
    assert aligned.ptx != unaligned.ptx


@pytest.mark.parametrize(("chip", "mark"), [("sm_80", "mma.sync"), ("sm_100", ".target sm_100")])
def test_code_is_for_the_chip_that_is_named(chip, mark):
    text = aec.compile(program(), target=f"nvidia:{chip}", **OPTIONS).artifact.text
    assert mark in text
    assert f".target {chip}" in text


def test_numbers_of_warps_and_stages_reach_the_kernel():
    found = aec.compile(program(), target=TARGET, num_warps=8, num_stages=2, block_q=128, block_kv=32)
    (facts,) = found.artifact.manifest["kernels"].values()
    assert (facts["num_warps"], facts["num_stages"]) == (8, 2)
    assert facts["forms"][ALIGNED]["threads"] == 256


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("block_q", 8, "expects block_q to be 16 to 4096, or 0 to choose, got 8"),
        ("block_kv", 5000, "expects block_kv to be 16 to 4096, or 0 to choose, got 5000"),
        ("num_warps", 3, "expects num_warps to be one of 1, 2, 4, 8, 16, or 0 to choose, got 3"),
        ("num_stages", 9, "expects num_stages to be 1 to 8, or 0 to choose, got 9"),
    ],
)
def test_bad_options_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        aec.compile(program(), target=TARGET, **{option: value})


def test_unknown_option_is_refused():
    with pytest.raises(TypeError, match="unknown option 'direct'"):
        aec.compile(program(), target=TARGET, direct=True)


@pytest.mark.parametrize("name", ["nvidia", "nvidia:", "nvidia:sm_1", "cuda:0", "cpu:avx2"])
def test_unknown_target_is_refused(name):
    with pytest.raises(BackendError, match=f"unknown target '{name}'"):
        get_backend(name)


def test_card_that_is_not_there_is_an_error_that_says_so(monkeypatch):
    def none():
        raise BackendError("no NVIDIA driver here: nothing")

    monkeypatch.setattr(module, "card_capability", none)
    with pytest.raises(BackendError, match="no NVIDIA driver here"):
        module.find_backend("cuda")


def test_card_gets_code_for_its_own_capability(monkeypatch):
    monkeypatch.setattr(module, "card_capability", lambda: (8, 6))
    assert module.find_backend("cuda").target.name == "nvidia:sm_86"


@pytest.mark.parametrize(("triton", "guard"), [("3.6.0", " guard-transposes=true"), ("3.9.0+git1", "")])
def test_pipeline_is_text_that_can_be_replayed(monkeypatch, triton, guard):
    monkeypatch.setattr(installed, "triton_version", lambda: f"{triton} /somewhere/triton/__init__.py")
    backend = get_backend(TARGET)
    assert backend.pipeline(backend.schedule({"block_q": 128})) == (
        f"builtin.module(attn-tt{{block-q=128 block-kv=64 tanh=narrow{guard}}})"
    )


def threads_of(kernel):
    (name,) = kernel.artifact.manifest["kernels"]
    return {form: kernel.artifact.code(name, form).threads for form in (ALIGNED, UNALIGNED)}


def not_listed():
    """A mask for which a test of a tile takes a loop: there are no lists of tiles."""
    t = aec.tensor("B", 2, "S", 64, dtype="bf16")

    @aec.program(q=t, k=t, v=t)
    def f(q, k, v):
        mask = aec.masks.dilated(3) & aec.masks.dilated(5)
        return aec.attention(q, k, v, mask=mask, normalize=aec.normalizers.softmax())

    return f


def test_warps_alone_can_be_chosen():
    assert threads_of(aec.compile(program(64), target=TARGET, num_warps=8, block_q=128))[ALIGNED] == 256


# ---- calls, up to where a GPU is needed ----


def torch_arguments():
    import torch

    return [torch.zeros(1, 2, 4, 64, dtype=torch.bfloat16) for _ in range(3)]


def test_tensor_on_the_cpu_is_refused_by_name(kernel):
    with pytest.raises(ValueError, match="argument 'q': expects a tensor on a GPU, got device 'cpu'"):
        kernel(*torch_arguments())


def test_numpy_array_is_refused_by_name(kernel):
    import ml_dtypes

    array = np.zeros((1, 2, 4, 64), ml_dtypes.bfloat16)
    with pytest.raises(
        TypeError, match="argument 'q': expects a torch tensor on a GPU, got an array of shape"
    ):
        kernel(array, array, array)


def test_reference_takes_arrays_of_the_host(kernel):
    (result,) = kernel.evaluate_reference(*torch_arguments())
    assert result.shape == (1, 2, 4, 64)


# ---- the cache ----


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiled(monkeypatch):
    """What Triton is asked for."""
    names = []
    whole = module._compile_text

    def note(text, name, target, facts):
        names.append((name, "tt.divisibility" in text))
        return whole(text, name, target, facts)

    monkeypatch.setattr(module, "_compile_text", note)
    return names


def test_kernel_comes_from_the_cache(cache, compiled):
    first = aec.compile(program(16), target=TARGET, **OPTIONS)
    assert len(compiled) == 1
    second = aec.compile(program(16), target=TARGET, **OPTIONS)
    assert len(compiled) == 1
    assert second.artifact.binary == first.artifact.binary
    aec.compile(program(16), target=TARGET, block_q=32, block_kv=32)
    aec.compile(program(16), target=TARGET, **OPTIONS, num_stages=2)
    aec.compile(program(16), target="nvidia:sm_80", **OPTIONS)
    assert len(compiled) == 4, "another schedule or chip is another kernel"


def test_what_was_compiled_otherwise_is_no_answer_to_what_was_asked(cache):
    """Both begin with the same attempt; only one of them may go on to others."""
    assert aec.compile(not_listed(), target=TARGET)
    with pytest.raises(CompileError):
        aec.compile(not_listed(), target=TARGET, consumers=2)


def test_unaligned_form_comes_from_the_cache(cache, compiled):
    first = aec.compile(program(16), target=TARGET, **OPTIONS).artifact
    (name,) = first.manifest["kernels"]
    code = first.code(name, UNALIGNED)
    assert compiled == [(name, True), (name, False)]
    second = aec.compile(program(16), target=TARGET, **OPTIONS).artifact
    assert second.code(name, UNALIGNED) == code
    assert len(compiled) == 2


def test_damaged_entry_is_compiled_anew(cache, compiled, monkeypatch):
    from aecompiler.disk_cache import DiskCache

    aec.compile(program(16), target=TARGET, **OPTIONS)
    monkeypatch.setattr(DiskCache, "load", lambda self, key: {"artifact": b"nonsense"})
    aec.compile(program(16), target=TARGET, **OPTIONS)
    assert len(compiled) == 2


def test_warm_start_imports_neither_triton_nor_torch(cache):
    script = """
import sys
import aecompiler as aec
x = aec.tensor("B", 2, "S", 16, dtype="f16")

@aec.program(q=x, k=x, v=x)
def plain(q, k, v):
    return aec.attention(q, k, v)

aec.compile(plain, target="nvidia:sm_80", block_q=16, block_kv=16)
print(*[name for name in ("triton", "torch", "aecompiler.backends.gpu.host_plan") if name in sys.modules])
"""
    (cache / "f.py").write_text(script)
    outputs = [
        subprocess.run([sys.executable, cache / "f.py"], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outputs == ["triton aecompiler.backends.gpu.host_plan\n", "\n"]


def test_second_compile_comes_from_the_cache(cache, report_lines):
    traced, times = program(16), []
    for _ in range(20):
        start = time.perf_counter()
        aec.compile(traced, target=TARGET, **OPTIONS)
        times.append(time.perf_counter() - start)
    report_lines.append(
        f"compile for a GPU: {times[0] * 1e3:.0f} ms cold, {min(times) * 1e3:.0f} ms from the cache"
    )
    assert min(times) < times[0] / 5


def test_saved_kernel_has_both_forms_and_the_rules_for_sizes(kernel, tmp_path):
    from aecompiler import saved_kernel

    kernel.save(tmp_path / "kernel.zip")
    found = saved_kernel.load(tmp_path / "kernel.zip")
    assert found.arguments == kernel.arguments
    (facts,) = found.artifact.manifest["kernels"].values()
    assert list(facts["forms"]) == [ALIGNED, UNALIGNED]
    groups = found.artifact.manifest["sizes"]["equal"]
    assert [[0, 0], [1, 0], [2, 0]] in groups
    with pytest.raises(ValueError, match="argument 'q': expects a tensor on a GPU"):
        found(*torch_arguments())
    with pytest.raises(TypeError, match=r"causal\(\) takes 3 arguments \(q, k, v\), got 1"):
        found(1)


def test_program_whose_sizes_are_computed_is_not_saved(tmp_path):
    text = """
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %z = tensor.concat dim(0) %x, %x : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %z, %c0 : tensor<?xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  %r = linalg.add ins(%z, %y : tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %r : tensor<?xf32>
}"""
    kernel = aec.compile(text, opt_level=0)
    with pytest.raises(UnsupportedError, match="unsupported: saving a program whose sizes are computed"):
        kernel._sizes.rules()


def test_slices_of_whole_dimensions_ask_nothing_of_a_call():
    text = """
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %r = tensor.extract_slice %x[0, 4] [%n, 4] [1, 1] : tensor<?x8xf32> to tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}"""
    assert aec.compile(text, opt_level=0)._sizes.rules() == {
        "equal": [],
        "fixed": [[0, 1, 8]],
        "at_least": [],
    }
    part = text.replace("[%n, 4]", "[2, 4]").replace("[0, 4]", "[%n, 4]").replace("?x4xf32", "2x4xf32")
    with pytest.raises(UnsupportedError, match="sizes are computed from others"):
        aec.compile(part, opt_level=0)._sizes.rules()
