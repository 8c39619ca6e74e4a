"""Programs of the builder as kernels in Triton's dialects, run by an interpreter beside the reference."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import triton_interpreter
from test_random_programs import WEIGHTS

from aecompiler.backends.nvidia import pipelines  # noqa: F401  (registers)
from aecompiler.bindings import ir
from aecompiler.dialect import make_context
from aecompiler.passes.pipeline import run_pipeline
from aecompiler.reference import evaluate

ROUNDED = WEIGHTS | {"f16": 2.0**-9}
"""Error of o, relative to its row, where weights are rounded to the type of v."""

_NAMES = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"}


Interpreter = Callable[[ir.Module, str, Sequence[Any]], list[np.ndarray]]
"""Runs a host function of a module."""


class Kernels:
    """A program in kernels, with small tiles, so that short sequences have several."""

    def __init__(
        self, program: ir.Module, options: str = "block-q=16 block-kv=16", pipeline: str = "attn-tt"
    ) -> None:
        self.program = program
        buffer = io.BytesIO()
        program.operation.write_bytecode(buffer)
        with make_context(allow_unregistered_dialects=True):
            self.module = ir.Module.parse(buffer.getvalue())
            run_pipeline(self.module, f"builtin.module({pipeline}{{{options}}})")

    def run(
        self, inputs: Sequence[Any], interpreter: Interpreter = triton_interpreter.run
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """For each result its element type, what the kernels give, and what the reference gives.

        Inputs stay as they were.
        """
        function = self.program.body.operations[0]
        want = evaluate(function, inputs)
        copies = [np.array(x) for x in inputs]
        got = interpreter(self.module, function.name.value, inputs)
        for x, copy in zip(inputs, copies, strict=True):
            assert np.asarray(x).tobytes() == copy.tobytes(), "an input was written to"
        for has, should in zip(got, want, strict=True):
            yield _NAMES[str(has.dtype)], has, should
