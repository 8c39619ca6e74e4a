"""How far a kernel may be from the float64 reference before a tool calls it wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

TOLERANCES = {"f64": 1e-10, "f32": 2e-5, "f16": 2e-3, "bf16": 1.6e-2}
"""By element type: the largest error relative to the largest magnitude of a result. A few roundings of f16
and bf16; for f32 and f64 room for sums in another order."""


class _Typed(Protocol):
    @property
    def dtype(self) -> str: ...


def default_tolerance(arguments: Iterable[_Typed]) -> float:
    """The tolerance for a program with these arguments: that of the coarsest type among them.

    It holds for all results, also for those of a finer type: weights may be rounded to the type of v.
    """
    return max((TOLERANCES[a.dtype] for a in arguments if a.dtype in TOLERANCES), default=TOLERANCES["f32"])
