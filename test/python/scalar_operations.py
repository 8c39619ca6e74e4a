"""Operations on numbers and on tensors of them, element by element, as numpy computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from aecompiler.bindings import ir


def unsigned(value: np.ndarray) -> np.ndarray:
    if value.dtype == np.bool_:
        return value.astype(np.uint8)
    return value.view(np.dtype(f"u{value.dtype}"))


def saturated(value: np.ndarray, dtype: Any) -> np.ndarray:
    limits = np.iinfo(dtype)
    wide = np.nan_to_num(np.trunc(value.astype(np.float64)), nan=0.0, posinf=1e300, neginf=-1e300)
    return np.where(wide >= limits.max, limits.max, np.where(wide <= limits.min, limits.min, wide)).astype(
        dtype
    )


_ORDERS = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_COMPARE: dict[str, Callable] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def cmpi(op: ir.Operation, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    name = _ORDERS[ir.IntegerAttr(op.attributes["predicate"]).value]
    if name[0] == "u":
        a, b = unsigned(a), unsigned(b)
    return _COMPARE[name[-2:]](a, b)


_FLOATS = (
    *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
    *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
)


def cmpf(op: ir.Operation, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    name = _FLOATS[ir.IntegerAttr(op.attributes["predicate"]).value]
    unordered = np.isnan(a) | np.isnan(b)
    if name in ("ord", "uno"):
        return unordered == (name == "uno")
    if name in ("true", "false"):
        return np.full(np.shape(a), name == "true")
    found = _COMPARE[name[1:]](a, b)
    return found | unordered if name[0] == "u" else found & ~unordered


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Toward zero; anything for a division by 0."""
    a = np.asarray(a)
    b = np.where(b == 0, 1, b).astype(a.dtype)
    down = a // b
    return (down + ((down * b != a) & ((a < 0) != (b < 0)))).astype(a.dtype)


def _remainder(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a - _quotient(a, b) * b


def _without_sign(function: Callable) -> Callable:
    def apply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        dtype = np.asarray(a).dtype
        return function(unsigned(np.asarray(a)), unsigned(np.asarray(b))).view(dtype)

    return apply


def _shift(function: Callable) -> Callable:
    return lambda a, b: function(a, b & (np.asarray(a).dtype.itemsize * 8 - 1))


ELEMENTWISE: dict[str, Callable] = {
    **{
        f"arith.{name}{kind}": function
        for name, function in {"add": np.add, "sub": np.subtract, "mul": np.multiply}.items()
        for kind in "if"
    },
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "arith.divsi": _quotient,
    "arith.remsi": _remainder,
    "arith.divui": _without_sign(lambda a, b: a // np.maximum(b, 1)),
    "arith.remui": _without_sign(lambda a, b: a % np.maximum(b, 1)),
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.minui": _without_sign(np.minimum),
    "arith.maxui": _without_sign(np.maximum),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": _shift(np.left_shift),
    "arith.shrsi": _shift(np.right_shift),
    "arith.shrui": _shift(_without_sign(np.right_shift)),
    # the host's
    "arith.ceildivui": _without_sign(lambda a, b: a // np.maximum(b, 1) + (a % np.maximum(b, 1) != 0)),
    "arith.ceildivsi": lambda a, b: -(-a // b),
    "arith.floordivsi": lambda a, b: a // b,
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.log": np.log,
    "math.log2": np.log2,
    "math.sqrt": np.sqrt,
    "math.rsqrt": lambda a: (1 / np.sqrt(a)).astype(np.asarray(a).dtype),
    "math.sin": np.sin,
    "math.cos": np.cos,
    "math.erf": lambda a: np.vectorize(math.erf, otypes=[np.float64])(a),
    "math.floor": np.floor,
    "math.ceil": np.ceil,
    "math.absf": np.abs,
    "math.fma": lambda a, b, c: np.asarray(a, np.float64) * b + c,  # rounded once, but for f64
}

LIBRARY: dict[str, Callable] = {
    **{
        name: getattr(np, name) for name in ("tanh", "sinh", "cosh", "tan", "expm1", "log1p", "log10", "cbrt")
    },
    **{name: getattr(np, name) for name in ("rint", "trunc", "copysign")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "atan2": np.arctan2,
    "pow": np.power,
    "erfc": lambda a: np.vectorize(math.erfc, otypes=[np.float64])(a),
    "round": lambda a: np.copysign(np.floor(np.abs(a) + 0.5), a),
}
