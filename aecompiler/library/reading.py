"""What the blocks share: reading captured tensors whose shapes may be smaller than the index space."""

from __future__ import annotations

from typing import Any

from aecompiler.builder import TraceError, Value
from aecompiler.builder.tracing import current_scope


def expect_tensor(what: str, value: Any, *ranks: int) -> Value:
    """`value`, if it is a traced tensor of one of these ranks; an error at the user's line otherwise."""
    if not isinstance(value, Value) or value.ndim not in ranks:
        wanted = " or ".join(map(str, ranks))
        got = f"rank {value.ndim}" if isinstance(value, Value) else type(value).__name__
        raise TraceError(f"{what} expects a tensor argument of rank {wanted}, got {got}")
    return value


def expect_number(what: str, value: Any, *, least: float | None = None) -> Any:
    """`value`, if it is a traced scalar or a number of at least `least`.

    An error at the user's line otherwise.
    """
    if isinstance(value, Value):
        if value.ndim:
            raise TraceError(f"{what} expects a number, got a tensor of rank {value.ndim}")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TraceError(f"{what} expects a number, got {type(value).__name__}")
    elif least is not None and value < least:
        raise TraceError(f"{what} expects a number of at least {least}, got {value}")
    return value


def read(tensor: Value, *indices: Any) -> Value:
    """`tensor[indices]` with dimensions of static size 1 broadcast."""
    sizes = tensor.shape
    return tensor[
        tuple(
            0 if isinstance(size, int) and size == 1 else at for size, at in zip(sizes, indices, strict=True)
        )
    ]


def group_head(tensor: Value, axis: int, h: Any) -> Any:
    """The head of `tensor` for query head `h`, where `axis` holds a divisor of the query heads."""
    heads, own = current_scope().heads, tensor.shape[axis]
    if isinstance(heads, int) and isinstance(own, int) and 0 < own < heads:
        if heads % own:
            raise TraceError(f"expects a head count that divides the {heads} query heads, got {own}")
        return h // (heads // own)
    return h
