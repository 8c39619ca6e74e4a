"""Checking results on a GPU: in poisoned memory, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aecompiler.tools.benchmark import poison

FLOOR = 1e-3
"""Rows smaller than this part of a head's largest magnitude are measured as if they were that large."""


def row_error(output: Any, expected: Any) -> float:
    """The largest error of a row, relative to the largest magnitude in it; infinite unless all is finite.

    Rows of attention shrink along a causal sequence: beside the largest of all, a late row could be anything.
    """
    if output.shape != expected.shape:
        raise ValueError(f"expects a result of shape {tuple(expected.shape)}, got {tuple(output.shape)}")
    worst = 0.0
    for own, wanted in zip(output.flatten(0, 1), expected.flatten(0, 1), strict=True):
        off = (own.to(wanted.dtype) - wanted).abs().amax(-1)
        magnitude = wanted.abs().amax(-1)
        scale = magnitude.clamp_min(FLOOR * float(magnitude.max()))
        error = float((off / scale.clamp_min(1e-300)).max())
        worst = max(worst, error if error < float("inf") else float("inf"))  # NaN too
    return worst


def poisoned_call(kernel: Any, inputs: Mapping[str, Any], like: Any) -> Any:
    """The result of a call into memory that was filled with NaN."""
    out = like.clone()
    poison(out)
    kernel(**inputs, out=out)
    return out
