"""Random attention programs on a GPU, against the float64 reference."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from drawn_programs import each_different
from random_programs import RandomProgram, attention_programs
from random_tiles import tile_programs
from test_random_programs import ACCUMULATED, LOST, WEIGHTS, Campaign

import aecompiler as aec

pytestmark = pytest.mark.cuda

SEEDS, COUNT = 16, 12

ROUNDED = {element: 4 * error for element, error in (WEIGHTS | {"f16": 2.0**-10}).items()}
"""The same for f16, to which weights are rounded as well. Sums may be smaller than their terms."""


def check(campaign: Campaign, program: RandomProgram) -> None:
    kernel = aec.compile(program.trace(), target="cuda")
    for call in program.calls:
        inputs = program.inputs(call)
        copies = [np.array(x) for x in inputs]
        placed = kernel.place(inputs)
        outputs = kernel(*placed)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        expected = kernel.evaluate_reference(*inputs)
        for number, (result, got, want) in enumerate(zip(kernel.results, outputs, expected, strict=True)):
            accumulated = ACCUMULATED["f64" if result.dtype == "f64" else "f32"]
            accumulated *= max((LOST.get(feature, 1.0) for feature in program.features), default=1.0)
            if number == 0:
                accumulated = max(accumulated, ROUNDED.get(program.element, 0.0))
            got = got.float() if result.dtype == "bf16" else got
            campaign.compare(result.name, result.dtype, got.cpu().numpy(), want, accumulated)
        for x, copy in zip(inputs, copies, strict=True):
            assert np.asarray(x).tobytes() == copy.tobytes(), "an input was written to"


@pytest.mark.parametrize("number", range(SEEDS))
@pytest.mark.parametrize("name", ["tiles", "wild"])
def test_random_programs_agree_with_the_reference(name, number, report_lines):
    strategy = tile_programs() if name == "tiles" else attention_programs()
    campaign = Campaign()
    different = each_different(strategy, number, COUNT, functools.partial(check, campaign), draws_each=8)
    report_lines.append(f"{name} {number} on a GPU: {different} random programs; {campaign.text()}")
    assert different >= COUNT
