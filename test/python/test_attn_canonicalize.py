"""attn-canonicalize keeps the meaning of programs: the reference evaluates them before and after."""

from pathlib import Path

import numpy as np
import pytest

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
