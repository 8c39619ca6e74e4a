"""Tuning on a GPU: the fastest schedule computes the same, and is remembered."""

from __future__ import annotations

import pytest

import aecompiler as aec
from aecompiler.backends.nvidia import tuner
from aecompiler.library import masks

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.cuda


def test_tuned_kernel_is_right_and_is_not_tuned_again(monkeypatch, tmp_path):
    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", str(tmp_path))
    measured = []

    def measure(*arguments):
        measured.append(tuner_measure(*arguments))
        return measured[-1]

    tuner_measure = tuner.measure
    monkeypatch.setattr(tuner, "measure", measure)
    x = aec.tensor("B", 4, "S", 64, dtype="bf16")

    @aec.program(q=x, k=x, v=x)
    def attention(q, k, v):
        return aec.attention(q, k, v, score=aec.scores.scale(), mask=masks.causal())

    kernel = aec.compile(attention, target="cuda", tune=3, length=1024)
    (found,) = measured
    assert len(found) >= 3
    assert all(value > 0 for value in found.values())
    q, k, v = (torch.randn(2, 4, 333, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.float(), k.float(), v.float(), is_causal=True
    )
    assert (kernel(q, k, v).float() - expected).abs().max() < 3e-2
    again = aec.compile(attention, target="cuda", tune=3, length=1024)
    assert len(measured) == 1
    assert again.artifact.manifest["pipeline"] == kernel.artifact.manifest["pipeline"]
