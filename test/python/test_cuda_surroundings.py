"""Programs with work around attention on a GPU, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from surroundings import PROGRAMS
from test_attn_fuse_elementwise import arguments_of

import aecompiler as aec

pytestmark = pytest.mark.cuda

TOLERANCE = {"f32": 1e-3, "bf16": 4e-2}
SIZES = (
    {"B": 2, "Sq": 17, "Skv": 33},
    {"B": 1, "Sq": 1, "Skv": 1},
    {"B": 1, "Sq": 0, "Skv": 5},
    {"B": 1, "Sq": 5, "Skv": 0},
    {"B": 1, "Sq": 256, "Skv": 320},
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_work_around_attention_agrees_with_the_reference(name: str) -> None:
    traced = PROGRAMS[name]
    kernel = aec.compile(traced, target="cuda")
    close = TOLERANCE[traced.arguments[0].spec.dtype]
    for sizes in SIZES:
        inputs = list(arguments_of(traced, sizes))
        placed = kernel.place(inputs)
        for _ in range(3):  # the second call is recorded, if it can be, and the third may repeat it
            outputs = kernel(*placed)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for got, want in zip(outputs, kernel.evaluate_reference(*inputs), strict=True):
            assert tuple(got.shape) == want.shape
            np.testing.assert_allclose(got.double().cpu().numpy(), want, rtol=close, atol=close)
