"""What `attention` and `recurrence` check on their operands before they trace anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aecompiler.bindings import ir
from aecompiler.builder import arithmetic, dtypes, emit, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.tracing import Dim, Scope, current_scope, is_tracing


def function_scope(caller: str) -> Scope:
    """The scope of the program's body; an error inside of a region or outside of a program."""
    if not is_tracing():
        raise TraceError(
            f"{caller} builds a program: call it in a function given to aec.program or aec.trace"
        )
    scope = current_scope()
    if scope.kind != "function":
        raise TraceError(
            f"{caller} can't be called in {scope.title}; call it in the program and use its result"
        )
    return scope


def tensors(caller: str, **named: Any) -> dict[str, values.Value]:
    """The operands, which must be tensors of the program of one floating-point type."""
    for name, value in named.items():
        if not isinstance(value, values.Value):
            arithmetic.operand(value)
            raise TraceError(f"{caller} expects {name} to be a tensor, got {value!r}")
        arithmetic.usable(value)
        if not value._dims:
            raise TraceError(f"{caller} expects {name} to be a tensor, got a scalar of type {value.dtype}")
    found = {name: value.dtype for name, value in named.items()}
    if len(set(found.values())) > 1 or not dtypes.is_float(next(iter(found.values()))):
        texts = ", ".join(f"{name} {dtype}" for name, dtype in found.items())
        raise TraceError(
            f"{caller} expects {_listed(list(named))} to have one type of f16, bf16, f32 and f64, got {texts}"
        )
    return named


def _listed(names: Sequence[str]) -> str:
    """Names for a message: `q, k and v`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def sizes(value: values.Value) -> list[int | None]:
    """The shape with None for dynamic dimensions."""
    return [dim if isinstance(dim, int) else None for dim in value._dims]


def type_of(dims: Sequence[Dim], dtype: str) -> ir.RankedTensorType:
    """The tensor type of these dimensions."""
    return emit.tensor_type([dim if isinstance(dim, int) else None for dim in dims], dtype)


def output_dtype(caller: str, asked: Any, own: str) -> str:
    """The type of o: the inputs' type, or f32 when asked for."""
    if asked is None:
        return own
    try:
        dtype = dtypes.parse_dtype(asked)
    except ValueError:
        dtype = ""
    if dtype not in (own, "f32"):
        raise TraceError(f"{caller} expects out_dtype to be q's type {own} or f32, got {asked!r}")
    return dtype


def unify(caller: str, what: str, axis: int, named: dict[str, values.Value]) -> None:
    """Require one dimension of two operands to be equal; where it is dynamic this is checked at the call."""
    (left_name, left), (right_name, right) = named.items()
    dims, a, b = left._scope.trace.dims, left._dims[axis], right._dims[axis]
    if isinstance(a, int) and isinstance(b, int):
        return  # the shape rules have looked at these
    if isinstance(a, int) or isinstance(b, int):
        dynamic = right if isinstance(a, int) else left
        if isinstance(dynamic._ir, ir.BlockArgument):
            return  # an argument: its size is checked at the call
    elif dims.unify(a, b):
        return
    raise TraceError(
        f"{caller} expects {left_name} and {right_name} to have equal {what}, got "
        f"{arithmetic.shape_text(left)} and {arithmetic.shape_text(right)}, "
        "which can't be checked at the call; declare both dimensions with one name or one number"
    )
