"""What the targets of the AMD backend say agrees with the figures that AMD states."""

from __future__ import annotations

import dataclasses

import pytest

from aecompiler.backends.amd.target import GFX90A, GFX942, GFX950, NAMED_TARGETS, named_target, target_of
from aecompiler.errors import BackendError

# Peaks of the data sheets in TFLOPS, half of an MI250 for one of its two dies; those of the MI355X are
# rounded there.
PEAKS = [
    (GFX90A, {"f64": 90.5 / 2, "f32": 90.5 / 2, "f16": 362.1 / 2, "bf16": 362.1 / 2}),
    (GFX942, {"f64": 163.4, "f32": 163.4, "xf32": 653.7, "f16": 1307.4, "bf16": 1307.4}),
    (GFX950, {"f64": 78.6, "f32": 157.3, "f16": 2516.6, "bf16": 2516.6}),
]


@pytest.mark.parametrize(("target", "peaks"), PEAKS, ids=[target.chip for target, _ in PEAKS])
def test_rates_multiply_to_the_stated_peaks(target, peaks):
    assert {each.dtype for each in target.matrix_instructions} == set(peaks)
    for dtype, tflops in peaks.items():
        assert target.peak_flops(dtype) == pytest.approx(tflops * 1e12, rel=1e-3)


@pytest.mark.parametrize("target", NAMED_TARGETS.values(), ids=lambda target: target.chip)
def test_matrix_instructions_fill_64_lanes(target):
    for each in target.matrix_instructions:
        assert each.operand_elements * 64 == each.m * each.k == each.n * each.k
        assert each.sum_elements * 64 == each.m * each.n
    assert target.lds_bytes % (4 * target.lds_banks) == 0
    assert target.lds_bytes % target.lds_unit == 0


def test_lookup():
    assert named_target("amd:gfx942") is GFX942
    assert target_of("gfx942:sramecc+:xnack-") is GFX942
    assert GFX942.flops_per_clock("i8") == 0
    assert [each.name for each in GFX950.instructions_for("bf16")] == [
        "v_mfma_f32_16x16x16_bf16",
        "v_mfma_f32_32x32x8_bf16",
        "v_mfma_f32_16x16x32_bf16",
        "v_mfma_f32_32x32x16_bf16",
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        GFX942.chip = "gfx90a"


def test_unknown_chip():
    with pytest.raises(BackendError, match=r"unknown target 'amd:gfx1100' \(targets: amd:gfx90a, amd:gfx942"):
        target_of("gfx1100")
