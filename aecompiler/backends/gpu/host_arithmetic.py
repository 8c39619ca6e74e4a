"""Scalar arithmetic between kernels, as Python expressions that compute what the `arith` dialect says.

A value of integer type is held as a Python int with its sign (an i1 as 0 or 1, or the bool), an index as one
of 64 bits, a float as a Python float that the type can hold. Where upstream leaves a result undefined the
rules of the dialect hold: division by zero gives 0 and remainder by zero the dividend, a shift by the width
or more shifts everything out, a float out of range converts to the nearest integer and NaN to 0.

`expression` writes the code of one operation; what it calls is in `FUNCTIONS`. This module needs neither MLIR
nor torch.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

PREDICATES: dict[str, tuple[str, ...]] = {
    "arith.cmpi": ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"),
    "arith.cmpf": (
        *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
        *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
    ),
}
"""The names of predicates by the numbers that stand in attributes."""

_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

# {a} and {b} are signed, {ua} and {ub} unsigned, {w} is the width. Those in _EXACT stay within the type.
_WRAPPING = {
    "arith.addi": "{a} + {b}",
    "arith.subi": "{a} - {b}",
    "arith.muli": "{a} * {b}",
    "arith.divsi": "divide_truncating({a}, {b})",
    "arith.divui": "divide_floor({ua}, {ub})",
    "arith.floordivsi": "divide_floor({a}, {b})",
    "arith.ceildivsi": "-divide_floor(-{a}, {b})",
    "arith.ceildivui": "-divide_floor(-{ua}, {ub})",
    "arith.remui": "remainder({ua}, {ub})",
    "arith.shli": "shift_left({a}, {ub}, {w})",
    "arith.shrui": "{ua} >> {ub}",
    "arith.minui": "min({ua}, {ub})",
    "arith.maxui": "max({ua}, {ub})",
    "arith.trunci": "{a}",
    "arith.extsi": "{a}",
    "arith.extui": "{ua}",
    "arith.index_cast": "{a}",
    "arith.index_castui": "{ua}",
}
_EXACT = {
    "arith.remsi": "remainder_truncating({a}, {b})",
    "arith.shrsi": "{a} >> {ub}",
    "arith.andi": "{a} & {b}",
    "arith.ori": "{a} | {b}",
    "arith.xori": "{a} ^ {b}",
    "arith.minsi": "min({a}, {b})",
    "arith.maxsi": "max({a}, {b})",
}
_FLOAT = {
    "arith.addf": "{a} + {b}",
    "arith.subf": "{a} - {b}",
    "arith.mulf": "{a} * {b}",
    "arith.divf": "divide_floats({a}, {b})",
    "arith.negf": "-{a}",
    "arith.extf": "{a}",
    "arith.truncf": "{a}",
    "arith.sitofp": "float({a})",
    "arith.uitofp": "float({ua})",
}
_TO_INTEGER = {"arith.fptosi": "to_signed({a}, {t})", "arith.fptoui": "to_unsigned({a}, {t})"}

OPERATIONS = frozenset(
    {*_WRAPPING, *_EXACT, *_FLOAT, *_TO_INTEGER, "arith.select", "arith.cmpi", "arith.cmpf"}
)
"""The operations that `expression` knows."""


def width(type_: str) -> int:
    """The bits of an integer type or an index."""
    return 64 if type_ == "index" else int(type_[1:])


def expression(name: str, operands: Sequence[str], from_: str, to: str, predicate: str | None = None) -> str:
    """Python code for an operation; `operands` are names or numbers, `from_` is the type of the last one."""
    if name == "arith.select":
        condition, if_true, if_false = operands
        return f"{if_true} if {condition} else {if_false}"
    if name == "arith.cmpf":
        return _compare_floats(predicate or "", *operands)
    if name in _FLOAT and from_[0] not in "i":
        code = _FLOAT[name].format(a=operands[0], b=operands[-1])
        return code if to == "f64" else f"round_{to}({code})"
    if name in _TO_INTEGER:
        return _wrap(_TO_INTEGER[name].format(a=operands[0], t=width(to)), width(to))
    bits = width(from_)
    places = {
        "w": bits,
        "a": _signed(operands[0], bits),
        "b": _signed(operands[-1], bits),
        "ua": _unsigned(operands[0], bits),
        "ub": _unsigned(operands[-1], bits),
    }
    if name == "arith.cmpi":
        sign, comparison = ("", predicate) if predicate in ("eq", "ne") else (predicate[0], predicate[1:])  # type: ignore[index]
        a, b = ("ua", "ub") if sign == "u" else ("a", "b")
        return f"{places[a]} {_COMPARE[comparison]} {places[b]}"  # type: ignore[index]
    if name in _FLOAT:
        code = _FLOAT[name].format(**places)
        return code if to == "f64" else f"round_{to}({_integer_to_float(places, name)})"
    if name in _EXACT:
        code = _EXACT[name].format(**places)
        return f"({code}) & 1" if bits == 1 else code
    return _wrap(_WRAPPING[name].format(**places), width(to))


def _integer_to_float(places: dict[str, Any], name: str) -> str:
    # From 64 bits to f32 in one rounding: through f64 there would be two.
    return f"to_odd({places['ua' if name == 'arith.uitofp' else 'a']})"


def _wrap(code: str, bits: int) -> str:
    """Code for the low bits of an integer."""
    if bits == 1:
        return f"({code}) & 1"
    return f"(({code}) + {1 << (bits - 1)} & {(1 << bits) - 1}) - {1 << (bits - 1)}"


def _signed(name: str, bits: int) -> str:
    return f"(-{name})" if bits == 1 else name


def _unsigned(name: str, bits: int) -> str:
    return name if bits == 1 else f"({name} & {(1 << bits) - 1})"


def _compare_floats(predicate: str, a: str, b: str) -> str:
    if predicate in ("true", "false"):
        return str(predicate == "true")
    ordered = f"({a} == {a} and {b} == {b})"
    if predicate == "ord":
        return ordered
    if predicate == "uno":
        return f"not {ordered}"
    comparison = f"{a} {_COMPARE[predicate[1:]]} {b}"
    if predicate[0] == "o":
        return f"{ordered} and {comparison}"
    return f"not {ordered} or {comparison}"


# ---- what the code calls ----


def _divide_floor(a: int, b: int) -> int:
    return a // b if b else 0


def _divide_truncating(a: int, b: int) -> int:
    if not b:
        return 0
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: int, b: int) -> int:
    return a % b if b else a


def _remainder_truncating(a: int, b: int) -> int:
    return a - b * _divide_truncating(a, b)


def _shift_left(a: int, b: int, bits: int) -> int:
    return a << b if b < bits else 0


def _divide_floats(a: float, b: float) -> float:
    if b:
        return a / b
    if a != a or b != b or not a:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _to_odd(number: int) -> float:
    """An integer as an f64 that rounds on as the integer would: an inexact one ends with an odd bit."""
    excess = abs(number).bit_length() - 53
    if excess > 0:
        magnitude = abs(number)
        kept = magnitude >> excess << excess
        if kept != magnitude:
            kept |= 1 << excess
        number = kept if number > 0 else -kept
    return float(number)


def _clamp_float(value: float, low: int, high: int) -> int:
    if value != value:
        return 0
    if value <= low:
        return low
    return high if value >= high else int(value)


def _to_signed(value: float, bits: int) -> int:
    return _clamp_float(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _to_unsigned(value: float, bits: int) -> int:
    return _clamp_float(value, 0, (1 << bits) - 1)


def round_f32(value: float) -> float:
    """To the nearest f32, ties to even; infinite beyond the range."""
    return ctypes.c_float(value).value


def round_f16(value: float) -> float:
    """To the nearest f16, ties to even; infinite beyond the range."""
    try:
        return struct.unpack("<e", struct.pack("<e", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def round_bf16(value: float) -> float:
    """To the nearest bf16, ties to even; infinite beyond the range."""
    if value != value or math.isinf(value) or not value:
        return value
    exponent = max(math.frexp(value)[1] - 8, -133)  # of the last bit that is kept
    rounded = math.ldexp(round(math.ldexp(value, -exponent)), exponent)
    return math.copysign(math.inf, value) if abs(rounded) >= 2.0**128 else rounded


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "divide_floor": _divide_floor,
    "divide_truncating": _divide_truncating,
    "remainder": _remainder,
    "remainder_truncating": _remainder_truncating,
    "shift_left": _shift_left,
    "divide_floats": _divide_floats,
    "to_odd": _to_odd,
    "to_signed": _to_signed,
    "to_unsigned": _to_unsigned,
    "round_f32": round_f32,
    "round_f16": round_f16,
    "round_bf16": round_bf16,
}
"""What code of `expression` calls, by name."""
