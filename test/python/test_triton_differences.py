"""Differences of positions are converted to floats for rows and columns, not for elements."""

from __future__ import annotations

import numpy as np
import pytest
from test_triton_kernels import random
from triton_programs import Kernels

import aecompiler as aec
from aecompiler.passes import rewriting as rw


def kernels_of(score):
    return Kernels(
        aec.trace(
            lambda q, k, v: aec.attention(q, k, v, score=score),
            **{name: aec.tensor("B", 2, length, 16) for name, length in (("q", "S"), ("k", "T"), ("v", "T"))},
        ).module
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_distances_are_converted_by_row_and_column(sign):
    kernels = kernels_of(
        lambda s, b, h, i, j: s * 0.25 + 0.125 * aec.cast(i - j if sign > 0 else j - i, "f32")
    )
    ranks = [len(op.results[0].type.shape) for op in rw.walk_list(kernels.module, "arith.sitofp")]
    assert set(ranks) == {1}
    inputs = [random(1, 2, n, 16, number=n) for n in (37, 53, 53)]
    for _, got, want in kernels.run(inputs):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def test_other_integers_are_converted_as_they_are():
    kernels = kernels_of(lambda s, b, h, i, j: s * 0.25 - 0.125 * aec.cast((i * j) % 5, "f32"))
    ranks = {len(op.results[0].type.shape) for op in rw.walk_list(kernels.module, "arith.sitofp")}
    assert ranks == {2}
    inputs = [random(1, 2, n, 16, number=n) for n in (20, 33, 33)]
    for _, got, want in kernels.run(inputs):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
