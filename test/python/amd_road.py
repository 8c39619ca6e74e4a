"""Programs compiled for AMD's chips and run in the simulator, beside the float64 reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

import aecompiler as aec
from aecompiler.accuracy import compare
from aecompiler.backends.gpu.artifact import ALIGNED
from aecompiler.tools.tolerances import default_tolerance

CHIPS = ("gfx90a", "gfx942", "gfx950")
SMALL = {"block_q": 16, "block_kv": 16, "waves": 1}
"""Tiles of which short sequences have several."""

TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}


def compiled(program: Any, chip: str = "gfx942", **options: Any) -> aec.Kernel:
    """A kernel for the simulator of a chip."""
    return aec.compile(program, target=f"amd:{chip}", simulate=True, **options)


def check(kernel: aec.Kernel, inputs: Sequence[Any], tolerance: float | None = None) -> list[np.ndarray]:
    """Run a kernel, compare with the reference, and return the results. Inputs stay as they were."""
    copies = [np.array(x) for x in inputs]
    outputs = kernel(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for x, copy in zip(inputs, copies, strict=True):
        assert np.asarray(x).tobytes() == copy.tobytes(), "an input was written to"
    allowed = tolerance or default_tolerance(kernel.arguments)
    expected = kernel.evaluate_reference(*inputs)
    for result, got, want in zip(kernel.results, outputs, expected, strict=True):
        error = compare(result.name, got, want)
        assert error.mismatched == 0, error
        assert error.max_rel_error <= allowed, error
    return [np.asarray(each) for each in outputs]


def check_predictions(kernel: aec.Kernel) -> None:
    """What was said of kernels before there was code is what the code states."""
    for name in kernel.artifact.manifest["kernels"]:
        code = kernel.artifact.code(name, ALIGNED)
        needs, said = code.resources, code.predicted
        assert needs.lds_bytes == said.lds_bytes, name
        assert abs(needs.registers - said.registers) <= 16 + said.registers // 2, name
        assert not needs.vgpr_spills, name


def draw(*shape: int, dtype: str = "f16", seed: int = 0) -> np.ndarray:
    """Random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(TYPES[dtype])


def attention(
    heads: int = 2, kv_heads: int = 1, dqk: int = 16, dv: int = 16, dtype: str = "f16", **options: Any
) -> Any:
    """A program of attention on dynamic sizes B, Sq and Skv."""

    def program(q: Any, k: Any, v: Any) -> Any:
        return aec.attention(q, k, v, score=aec.scores.scale(), **options)

    return aec.trace(
        program,
        q=aec.tensor("B", heads, "Sq", dqk, dtype=dtype),
        k=aec.tensor("B", kv_heads, "Skv", dqk, dtype=dtype),
        v=aec.tensor("B", kv_heads, "Skv", dv, dtype=dtype),
    )


def operands(kernel: aec.Kernel, batch: int, sq: int, skv: int) -> list[np.ndarray]:
    """Random q, k and v for a program of `attention`."""
    sizes = {"B": batch, "Sq": sq, "Skv": skv}
    return [
        draw(*(sizes.get(dim, dim) for dim in argument.shape), dtype=argument.dtype, seed=number)
        for number, argument in enumerate(kernel.arguments)
    ]
