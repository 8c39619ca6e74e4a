"""The functions that programs are written with. On Python numbers alone they compute at once."""

from __future__ import annotations

import builtins
import math as python_math
from collections.abc import Callable
from math import isfinite
from typing import Any

from aecompiler.bindings import arith, math
from aecompiler.builder import arithmetic, dtypes, emit, tensors, values
from aecompiler.builder.errors import TraceError
from aecompiler.builder.numbers import plain_number
from aecompiler.builder.tracing import current_scope

__all__ = [
    "abs",
    "cast",
    "ceil",
    "clamp",
    "concat",
    "cos",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "log",
    "log1p",
    "log2",
    "max",
    "maximum",
    "min",
    "minimum",
    "outer",
    "rsqrt",
    "sigmoid",
    "sin",
    "sqrt",
    "sum",
    "tanh",
    "transpose",
    "where",
]


def _float_function(name: str, x: Any, kernel: emit.Kernel, python: Callable[[float], float]) -> Any:
    x = arithmetic.operand(x)
    if isinstance(x, values.Value):
        return arithmetic.unary(lambda dtype: kernel, x, floating=True)
    try:
        return python(x)
    except OverflowError:
        return python_math.inf
    except (ValueError, ZeroDivisionError):
        raise TraceError(f"aec.{name} is not defined at {x}") from None


def exp(x: Any) -> Any:
    """The exponential function."""
    return _float_function("exp", x, math.exp, python_math.exp)


def exp2(x: Any) -> Any:
    """2 to the power of x."""
    return _float_function("exp2", x, math.exp2, lambda x: 2.0**x)


def expm1(x: Any) -> Any:
    """exp(x) - 1, accurate near 0."""
    return _float_function("expm1", x, math.expm1, python_math.expm1)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return _float_function("log", x, math.log, python_math.log)


def log2(x: Any) -> Any:
    """The logarithm to base 2."""
    return _float_function("log2", x, math.log2, python_math.log2)


def log1p(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return _float_function("log1p", x, math.log1p, python_math.log1p)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return _float_function("tanh", x, math.tanh, python_math.tanh)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + exp(-arithmetic.operand(x)))


def erf(x: Any) -> Any:
    """The error function."""
    return _float_function("erf", x, math.erf, python_math.erf)


def sqrt(x: Any) -> Any:
    """The square root."""
    return _float_function("sqrt", x, math.sqrt, python_math.sqrt)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return _float_function("rsqrt", x, math.rsqrt, lambda x: 1.0 / python_math.sqrt(x))


def sin(x: Any) -> Any:
    """The sine."""
    return _float_function("sin", x, math.sin, python_math.sin)


def cos(x: Any) -> Any:
    """The cosine."""
    return _float_function("cos", x, math.cos, python_math.cos)


def _keeping_integers(x: Any, kernel: emit.Kernel, python: Callable[[float], float]) -> Any:
    x = arithmetic.operand(x)
    if not isinstance(x, values.Value):
        return float(python(x))
    return x if dtypes.is_integer(x.dtype) else arithmetic.unary(lambda dtype: kernel, x, floating=True)


def floor(x: Any) -> Any:
    """The largest whole number that is not above x, as a float; integers stay as they are."""
    return _keeping_integers(x, math.floor, python_math.floor)


def ceil(x: Any) -> Any:
    """The smallest whole number that is not below x, as a float; integers stay as they are."""
    return _keeping_integers(x, math.ceil, python_math.ceil)


def abs(x: Any) -> Any:
    """The absolute value."""
    x = arithmetic.operand(x)
    if not isinstance(x, values.Value):
        return builtins.abs(x)
    return arithmetic.unary(
        lambda dtype: math.absf if dtypes.is_float(dtype) else math.absi, x, floating=False
    )


def maximum(a: Any, b: Any) -> Any:
    """The larger of two values, element by element; NaN if one of them is NaN."""
    a, b = arithmetic.operand(a), arithmetic.operand(b)
    if not isinstance(a, values.Value) and not isinstance(b, values.Value):
        return builtins.max(a, b)
    return arithmetic.binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two values, element by element; NaN if one of them is NaN."""
    a, b = arithmetic.operand(a), arithmetic.operand(b)
    if not isinstance(a, values.Value) and not isinstance(b, values.Value):
        return builtins.min(a, b)
    return arithmetic.binary("minimum", a, b)


def clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    """x, at least `low` and at most `high`; None leaves a side open."""
    if low is not None:
        x = maximum(x, low)
    return x if high is None else minimum(x, high)


def where(cond: Any, a: Any, b: Any) -> Any:
    """a where `cond` is true and b elsewhere.

    Both are computed. Raises TraceError unless `cond` is boolean.
    """
    cond, a, b = arithmetic.operand(cond), arithmetic.operand(a), arithmetic.operand(b)
    if isinstance(cond, bool):
        cond_dtype = dtypes.BOOL
    else:
        cond_dtype = cond.dtype if isinstance(cond, values.Value) else type(cond).__name__
    if cond_dtype != dtypes.BOOL:
        raise TraceError(
            f"aec.where expects a boolean condition, got {cond_dtype}; compare it, for example `x != 0`"
        )
    if (
        not isinstance(cond, values.Value)
        and not isinstance(a, values.Value)
        and not isinstance(b, values.Value)
    ):
        return a if cond else b
    scope = current_scope()
    if any(isinstance(x, values.Value) for x in (a, b)):
        kinds = {
            x.dtype == dtypes.BOOL if isinstance(x, values.Value) else isinstance(x, bool) for x in (a, b)
        }
        if len(kinds) == 2:
            raise TraceError("aec.where expects two numbers or two booleans, got one of each")
        dtype = arithmetic.result_dtype(scope, (a, b))
    elif isinstance(a, bool) and isinstance(b, bool):
        dtype = dtypes.BOOL
    elif isinstance(a, float) or isinstance(b, float):
        dtype = scope.acc
    else:
        dtype = "index"
    return arithmetic.elementwise(arith.select, (cond, a, b), (dtypes.BOOL, dtype, dtype), dtype)


def cast(x: Any, dtype: Any) -> values.Value:
    """x as another type. Floats round, or truncate towards zero to an integer; anything to i1 is `x != 0`.

    Raises TraceError for an unknown type. Rounding to 16 bits is real: arithmetic in regions is done in the
    precision of the score, so that a cast to f16 there rounds and is widened again.
    """
    try:
        target = dtypes.parse_dtype(dtype)
    except ValueError as error:
        raise TraceError(f"aec.cast {error}") from None
    x = arithmetic.operand(x)
    if not isinstance(x, values.Value):
        scope = current_scope()
        if isinstance(x, float) and not isfinite(x) and not dtypes.is_float(target):
            raise TraceError(f"aec.cast of {x} to {target} is not defined")
        value = int(x) if isinstance(x, float) and dtypes.is_integer(target) else x
        built = emit.constant(arithmetic.number(value, target), target, scope.trace.location())
        return values.Value(built, target, (), scope)
    if x.dtype == target:
        return x
    source = x.dtype
    return arithmetic.elementwise(
        lambda a, *, loc: emit.cast(a, source, target, loc), (x,), (source,), target
    )


def outer(a: Any, b: Any) -> values.Value:
    """The outer product of two vectors: element (i, j) is a[i] * b[j]."""
    return tensors.outer(a, b)


def sum(x: Any, axis: Any = None, *, keepdims: bool = False) -> values.Value:
    """The sum of a tensor over `axis` (an int or several; default: all), or of a normaliser's row."""
    return tensors.reduction("sum", x, axis, keepdims=keepdims)


def max(x: Any, other: Any = None, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The maximum of a tensor over `axis` (an int or several; default: all), or of a normaliser's row.

    With a second value the larger of the two, as `maximum`. Raises TraceError for a tensor and an int, which
    might be an axis.
    """
    return _extremum("max", x, other, axis, keepdims)


def min(x: Any, other: Any = None, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The minimum of a tensor over `axis` (an int or several; default: all), or of a normaliser's row.

    With a second value the smaller of the two, as `minimum`. Raises TraceError for a tensor and an int, which
    might be an axis.
    """
    return _extremum("min", x, other, axis, keepdims)


def _extremum(name: str, x: Any, other: Any, axis: Any, keepdims: bool) -> Any:
    if other is None:
        return tensors.reduction(name, x, axis, keepdims=keepdims)
    if axis is not None or keepdims:
        raise TraceError(f"aec.{name} of two values takes no axis and no keepdims; use aec.{name}imum")
    is_tensor = isinstance(x, values.Value) and x.ndim > 0
    if is_tensor and (isinstance(other, (tuple, list)) or isinstance(plain_number(other), int)):
        raise TraceError(
            f"aec.{name} of a tensor and {other!r} may mean an axis or a number; "
            f"write axis={other!r}, or aec.{name}imum(a, b)"
        )
    return (maximum if name == "max" else minimum)(x, other)


def transpose(x: Any, permutation: Any) -> values.Value:
    """The tensor with its dimensions reordered.

    Dimension n of the result is dimension `permutation[n]` of x.
    """
    return tensors.transpose(x, permutation)


def concat(parts: Any, axis: int = -1) -> values.Value:
    """Tensors one after the other along `axis`, which must be static there; the other sizes must be equal."""
    return tensors.concat(parts, axis)
