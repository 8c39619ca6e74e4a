"""Element types by name, and how they combine."""

from __future__ import annotations

import sys
from typing import Any

from aecompiler.bindings import ir

FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("i8", "i16", "i32", "i64", "index")
BOOL = "i1"
ALL = (*FLOATS, BOOL, *INTEGERS)

_ALIASES = {
    "float16": "f16",
    "half": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float": "f32",
    "float64": "f64",
    "double": "f64",
    "bool": "i1",
    "bool_": "i1",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "int": "i64",
}
LARGEST = {
    "f16": 65504.0,
    "bf16": 3.3895313892515355e38,
    "f32": 3.4028234663852886e38,
    "f64": sys.float_info.max,
}
_RANGES = {"i8": 7, "i16": 15, "i32": 31, "i64": 63, "index": 63}


def parse_dtype(dtype: Any) -> str:
    """The name of an element type given as a name, a torch dtype, a numpy dtype or a Python type.

    Raises ValueError for anything else.
    """
    if not getattr(dtype, "isnative", True):
        raise ValueError(f"expects dtype to be of the machine's byte order, got {dtype!r}")
    name = (
        dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
    )
    name = str(name or dtype).removeprefix("torch.")
    name = _ALIASES.get(name, name)
    if name not in ALL:
        raise ValueError(f"expects dtype to be one of {', '.join(ALL)}, got {dtype!r}")
    return name


def is_float(dtype: str) -> bool:
    """Whether `dtype` is a floating-point type."""
    return dtype in FLOATS


def is_integer(dtype: str) -> bool:
    """Whether `dtype` is an integer or index type; booleans are neither."""
    return dtype in INTEGERS


def is_half(dtype: str) -> bool:
    """Whether `dtype` is a 16-bit floating-point type."""
    return dtype in ("f16", "bf16")


def accumulator(dtype: str) -> str:
    """The type that scores, reductions and states have for q, k and v of `dtype`."""
    return "f64" if dtype == "f64" else "f32"


def promote(left: str, right: str) -> str:
    """The type of a result of `left` and `right`.

    Floats over integers, wider over narrower, index over integers.
    """
    if left == right:
        return left
    if is_float(left) and is_float(right):
        return "f32" if is_half(left) and is_half(right) else max(left, right, key=FLOATS.index)
    if is_float(left) or is_float(right):
        return left if is_float(left) else right
    order = (BOOL, *INTEGERS)
    return max(left, right, key=order.index)


def in_range(value: int, dtype: str) -> bool:
    """Whether an integer is a value of the integer type `dtype`."""
    limit = 1 << _RANGES[dtype]
    return -limit <= value < limit


def ir_type(dtype: str) -> ir.Type:
    """The MLIR scalar type of `dtype`, in the current context."""
    match dtype:
        case "f16":
            return ir.F16Type.get()
        case "bf16":
            return ir.BF16Type.get()
        case "f32":
            return ir.F32Type.get()
        case "f64":
            return ir.F64Type.get()
        case "index":
            return ir.IndexType.get()
    return ir.IntegerType.get_signless(int(dtype[1:]))


def dtype_of(type_: ir.Type) -> str:
    """The name of the element type of an MLIR tensor or scalar type."""
    element = type_.element_type if isinstance(type_, ir.RankedTensorType) else type_
    return str(element)
