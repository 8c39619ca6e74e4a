"""attn-canonicalize keeps the meaning of programs: the reference evaluates them before and after."""

import io
from pathlib import Path

import numpy as np
import pytest
from example_files import FOLDER, load
from hypothesis import HealthCheck, given, settings
from random_programs import attention_programs
from random_recurrences import recurrence_programs

import aecompiler as aec
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.infra import Pipeline
from aecompiler.reference.evaluate import evaluate

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "mlir").glob("*.mlir"))
CASES = [
    (path.stem, text)
    for path in [ROOT / "test/lit/passes/attn-canonicalize.mlir", *EXAMPLES]
    for text in path.read_text().split("\n// -----\n")
]


def _arguments(function, rng):
    for type_ in function.type.inputs:
        if not isinstance(type_, ir.RankedTensorType):
            yield 0.5 if isinstance(type_, ir.FloatType) else 2
            continue
        shape = [7 if type_.is_dynamic_dim(axis) else type_.shape[axis] for axis in range(type_.rank)]
        if isinstance(type_.element_type, ir.FloatType):
            yield rng.standard_normal(shape)
        else:
            yield rng.integers(0, 2, shape)


@pytest.mark.parametrize(
    "text", [text for _, text in CASES], ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)]
)
def test_meaning_is_kept_and_a_second_run_changes_nothing(text):
    rng = np.random.default_rng(0)
    pipeline = Pipeline("attn-canonicalize")
    with make_context():
        module = ir.Module.parse(text)
        (function,) = module.body.operations
        arguments = list(_arguments(function, rng))
        before = evaluate(function, arguments)
        pipeline.run(module)
        once = str(module)
        (function,) = module.body.operations
        after = evaluate(function, arguments)
        pipeline.run(module)
        assert str(module) == once
    for expected, got in zip(before, after, strict=True):
        # A merged factor is a rounded f32 constant; the reference computes in float64.
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


def _assert_second_run_changes_nothing(module):
    source = io.BytesIO()
    module.operation.write_bytecode(source)
    pipeline = Pipeline("attn-canonicalize")
    with make_context():
        copy = ir.Module.parse(source.getvalue())
        pipeline.run(copy)
        once = str(copy)
        pipeline.run(copy)
        assert str(copy) == once


PROGRAMS = [
    pytest.param(value, id=f"{path.stem}-{name}")
    for path in sorted(FOLDER.glob("*.py"))
    for name, value in vars(load(path.stem)).items()
    if isinstance(value, aec.Program)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_second_run_changes_nothing_in_an_example(program):
    _assert_second_run_changes_nothing(program.module)


@pytest.mark.parametrize(
    "strategy", [attention_programs(), recurrence_programs()], ids=["attention", "recurrence"]
)
def test_second_run_changes_nothing_in_a_random_program(strategy):
    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(program=strategy)
    def property_(program):
        _assert_second_run_changes_nothing(program.trace().module)

    property_()
