"""What the blocks share: checks of their parameters, and reading captured tensors whose sizes may be 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.builder import TraceError, Value
from aecompiler.builder.dtypes import BOOL, is_integer
from aecompiler.builder.numbers import found, plain_number


def expect_tensor(what: str, value: Any, *ranks: int) -> Value:
    """`value`, if it is a traced tensor of one of these ranks; an error at the user's line otherwise."""
    if not isinstance(value, Value) or value.ndim not in ranks:
        wanted = " or ".join(map(str, ranks))
        got = f"got rank {value.ndim}" if isinstance(value, Value) else found(value)
        raise TraceError(f"{what} expects a tensor argument of rank {wanted}, {got}")
    return value


def expect_number(
    what: str, value: Any, *, integer: bool = False, least: float | None = None, above: float | None = None
) -> Any:
    """`value` as a plain number of at least `least` or above `above`, or a traced scalar.

    An error at the user's line otherwise.
    """
    wanted = "an integer" if integer else "a number"
    if isinstance(value, Value):
        if value.ndim:
            raise TraceError(f"{what} expects {wanted}, got a tensor of rank {value.ndim}")
        if value.dtype == BOOL or (integer and not is_integer(value.dtype)):
            raise TraceError(f"{what} expects {wanted}, got a scalar of type {value.dtype}")
        return value
    number = plain_number(value)
    if number is None or isinstance(number, bool):
        raise TraceError(f"{what} expects {wanted}, {found(value)}")
    if integer and not isinstance(number, int):
        raise TraceError(f"{what} expects {wanted}, got {number}")
    if least is not None and not number >= least:
        raise TraceError(f"{what} expects {wanted} of at least {least}, got {number}")
    if above is not None and not number > above:
        raise TraceError(f"{what} expects {wanted} above {above}, got {number}")
    return number


def read(tensor: Value, *indices: Any) -> Value:
    """`tensor[indices]` with dimensions of static size 1 broadcast; trailing dimensions may be left out."""
    places = zip(tensor.shape, indices, strict=False)
    return tensor[tuple(0 if isinstance(size, int) and size == 1 else at for size, at in places)]


def per_head(
    what: str, value: Any, *ranks: int, axis: int = 0, grouped: bool = False
) -> Callable[..., Value]:
    """A function `(heads, *indices)` that reads a tensor with one entry per head along `axis`.

    `heads` is the operation's number of heads, which the tensor has as well, or 1; with `grouped` also a
    divisor of it, read at h / (heads / own). A tensor of fewer dimensions than indices is read at the last
    ones, and one that is too small for a negative `axis` has no heads.
    """
    tensor = expect_tensor(what, value, *ranks)
    axis = axis + tensor.ndim if axis < 0 else axis

    def element(heads: Any, *indices: Any) -> Value:
        places = list(indices[-tensor.ndim :])
        own = tensor.shape[axis] if axis >= 0 else 1
        if isinstance(heads, int) and isinstance(own, int) and own not in (1, heads):
            if not grouped or not own or heads % own:
                wanted = f"a divisor of the {heads} heads" if grouped else f"a head count of {heads} or 1"
                raise TraceError(f"{what} expects {wanted} in dimension {axis}, got {own}")
            places[axis] = places[axis] // (heads // own)
        return read(tensor, *places)

    return element
