"""What the arguments of a program are: `tensor(...)` and `scalar(...)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aecompiler.builder import dtypes
from aecompiler.builder.numbers import plain_number


@dataclass(frozen=True)
class TensorSpec:
    """A ranked tensor argument. A dimension is an int (static), a name (dynamic; equal names are equal sizes)
    or None (dynamic)."""

    shape: tuple[int | str | None, ...]
    dtype: str

    def __str__(self) -> str:
        dims = ", ".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.dtype}[{dims}]"


@dataclass(frozen=True)
class ScalarSpec:
    """A scalar argument."""

    dtype: str

    def __str__(self) -> str:
        return self.dtype


def tensor(*shape: int | str | None, dtype: Any = "f32") -> TensorSpec:
    """Declare a tensor argument, for example `tensor("B", 32, "S", 128, dtype="f16")`.

    Each dimension is an int (static), a name (dynamic; dimensions of one name must have one size at the call)
    or None (dynamic). `dtype` is a name (f16, bf16, f32, f64, i1, i8, i16, i32, i64, index), or a torch or
    numpy dtype. Raises TypeError and ValueError for anything else.
    """
    if not shape:
        raise ValueError("expects a tensor to have at least one dimension; declare a number by aec.scalar")
    return TensorSpec(tuple(_dimension(dim) for dim in shape), dtypes.parse_dtype(dtype))


def _dimension(dim: Any) -> int | str | None:
    if dim is None:
        return None
    if isinstance(dim, str):
        if not dim.isidentifier():
            raise ValueError(f"expects names of dimensions to be identifiers, got {dim!r}")
        return dim
    size = plain_number(dim)
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"expects dimensions to be int, str or None, got {dim!r}")
    if size < 0:
        raise ValueError(
            f"expects static dimensions to be at least 0, got {size}; write None or a name for a dynamic one"
        )
    if not dtypes.in_range(size, "index"):
        raise ValueError(f"expects static dimensions to be at most 2**63 - 1, got {size}")
    return size


def scalar(dtype: Any = "f32") -> ScalarSpec:
    """Declare a scalar argument: f32, f64, i32, i64, index, i1, ... Raises ValueError for an unknown type."""
    return ScalarSpec(dtypes.parse_dtype(dtype))
