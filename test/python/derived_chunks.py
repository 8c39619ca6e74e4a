"""Programs in chunked form, for the tests of derived forms."""

from __future__ import annotations

from typing import Any

import numpy as np
from example_files import FOLDER
from streaming_forms import module_of

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw
from aecompiler.passes.infra import run_pipeline
from aecompiler.reference import evaluate

EXAMPLES = sorted(
    path.stem for path in FOLDER.glob("*.py") if "aec.recurrence" in path.read_text(encoding="utf-8")
)
"""The examples with a recurrence."""


def chunked_op(module: ir.Module) -> ir.Operation:
    """The one chunked recurrence of a module."""
    (op,) = [op for op in rw.walk_list(module.operation) if op.name == "attn.chunked_recurrence"]
    return op


def derived(program: Any, options: str = "") -> ir.Module:
    """The program with its recurrence in chunked form, its laws proved again from the region."""
    module = module_of(program)
    run_pipeline(module, f"attn-derive-chunked{options},attn-verify-chunked")
    return module


def function_of(module: ir.Module) -> ir.Operation:
    """The one function of a module."""
    return module.body.operations[0].operation


def assert_same(program: Any, module: ir.Module, inputs: list[Any], tolerance: float) -> None:
    """The module gives what the program gives, evaluated in float64; relative to the largest number."""
    original = module_of(program)
    got, want = (evaluate(function_of(each), inputs) for each in (module, original))
    assert got.out_of_bounds <= want.out_of_bounds  # what cancels is not read
    for one, other in zip(got, want, strict=True):
        scale = max(1.0, float(np.abs(other[np.isfinite(other)]).max(initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
