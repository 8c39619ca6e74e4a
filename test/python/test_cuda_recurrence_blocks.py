"""Recurrences in chunks on a GPU by other schedules than the usual one: value blocks and stages."""

from __future__ import annotations

import pytest
from example_files import load

import aecompiler as aec
from aecompiler.tools.tolerances import default_tolerance

pytestmark = pytest.mark.cuda

demo = load("demo")

SIZES = ({"B": 1, "T": 333}, {"B": 2, "T": 64}, {"B": 1, "T": 1})


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("value_block", [16, 32, 64, 128])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize("name", ["mamba2", "retnet", "gla", "delta_rule", "gated_delta_rule", "kda"])
def test_schedules_of_chunks_agree_with_the_reference(name, dtype, value_block, stages):
    module = load(name)
    program = module.build(features=128, value_features=128, dtype=dtype)
    options = {"chunk_value_block": value_block, "chunk_stages": stages}
    kernel = aec.compile(program, target="cuda", **options)
    assert f"chunk-value-block={value_block}" in kernel.artifact.manifest["pipeline"]
    for sizes in SIZES:
        report = aec.check(kernel, **demo.draw(kernel, getattr(module, "inputs", {}), sizes))
        assert report.max_rel_error <= default_tolerance(kernel.arguments), f"{sizes}: {report}"


@pytest.mark.parametrize("name", ["mamba2", "retnet", "gla", "delta_rule", "gated_delta_rule"])
def test_what_the_model_chooses_for_one_sequence_agrees_with_the_reference(name):
    module = load(name)
    program = module.build(features=128, value_features=128, dtype="bf16")
    kernel = aec.compile(program, target="cuda", sequences=1)
    values = demo.draw(kernel, getattr(module, "inputs", {}), {"B": 1, "T": 1000})
    report = aec.check(kernel, **values)
    assert report.max_rel_error <= default_tolerance(kernel.arguments), str(report)
