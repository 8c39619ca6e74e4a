"""tanh by the instruction of NVIDIA's GPUs: its error in a result, and its code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_tt_fold_exponents import data, error, traced
from triton_programs import Kernels

import aecompiler as aec

TILE = "block-q=16 block-kv=16 tanh="


def capped(cap, dtype="f32"):
    return traced(lambda: aec.scores.softcap(cap), lambda: aec.masks.causal(), dtype=dtype)


def results(module, inputs, tile):
    return [(got.astype(np.float64), want) for _, got, want in Kernels(module, tile).run(inputs)]


@pytest.mark.parametrize("cap", [5.0, 30.0, 100.0])
def test_error_of_capped_scores(cap):
    """Scores have errors of cap / 2^11; those of weights and of their sum add up."""
    inputs = data(4.0)
    exact, approximate = (
        error(results(capped(cap), inputs, TILE + tanh)) for tanh in ("library", "approximate")
    )
    most = float(np.abs(inputs[2]).max())
    assert exact < 1e-5
    assert exact < approximate < 2 * math.expm1(2 * cap / 2**11) * most


@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
def test_option_of_the_schedule_makes_one_instruction_of_it(chip):
    pytest.importorskip("triton")

    def code(dtype, **options):
        program = capped(20.0, dtype)
        return aec.compile(program, target=f"nvidia:{chip}", **options).artifact.text

    exact = {dtype: code(dtype, tanh="library") for dtype in ("f32", "bf16")}
    assert not any("tanh.approx.f32" in text for text in exact.values())
    assert "tanh.approx.f32" not in code("f32")
    assert code("f32", tanh="approximate").count("tanh.approx.f32") >= 32
    fast = code("bf16")
    assert fast.count("tanh.approx.f32") >= 32
    assert len(fast) < len(exact["bf16"])
