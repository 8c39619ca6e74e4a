"""Tables of floating-point operations, conversions and comparisons of values in lanes.

Transcendental functions are correctly rounded here, up to numpy's error; the hardware's have an error of
about one unit in the last place. Denormal numbers are kept, as the modes say that LLVM chooses for compute
kernels (others are refused, `metadata.check_modes`), but for special functions in f32, which take and give 0
for them (AMD's ISA documents).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

F, D, H, U, S = np.float32, np.float64, np.float16, np.uint32, np.int32
_TINY = F(2.0**-126)


def to_bfloat16(value: Any) -> Any:
    """The bits of f32 values rounded to bf16, to nearest even, as uint32."""
    bits = np.ascontiguousarray(value, F).view(U)
    rounded = bits + U(0x7FFF) + (bits >> U(16) & U(1)) >> U(16)
    return np.where(np.isnan(value), bits >> U(16) | U(0x40), rounded)


def to_half(value: Any) -> Any:
    """The bits of values rounded to f16, as uint32."""
    return np.asarray(value, H).view(np.uint16).astype(U)


def half_toward_zero(value: Any) -> Any:
    """The bits of f32 values rounded to f16 toward zero, as uint32."""
    value = np.asarray(value, F)
    half = value.astype(H)
    beyond = np.abs(half.astype(F)) > np.abs(value)
    return np.where(beyond, np.nextafter(half, H(0)), half).view(np.uint16).astype(U)


def fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with the product exact: f32 operands, f64 arithmetic, one more rounding than the hardware."""
    return np.asarray(a).astype(D) * b + c


def _halves(value: Any) -> tuple[Any, Any]:
    """An f64 as the sum of two numbers of half as many bits, in extended precision."""
    value = np.asarray(value, D)
    high = (value.view(np.uint64) & np.uint64(~((1 << 27) - 1) & (1 << 64) - 1)).view(D)
    return high.astype(np.longdouble), (value - high).astype(np.longdouble)


def _fma_double(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with the product exact (Dekker): code computes errors of products as fma(a, b, -(a * b)).

    The sum has 11 bits more than f64: there is one more rounding than in the hardware.
    """
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    product = np.asarray(a).astype(np.longdouble) * b
    error = a_high * b_high - product + a_high * b_low + a_low * b_high + a_low * b_low
    total = product + c
    back = total - product
    rest = (product - (total - back)) + (c - back)
    return np.where(np.isfinite(total), total + (rest + error), total).astype(D)


def _to_integer(value: Any, low: int, high: int, number: type) -> Any:
    """Truncated towards zero and saturated; NaN gives 0."""
    value = np.nan_to_num(np.asarray(value).astype(D), nan=0.0, posinf=high, neginf=low)
    return np.clip(np.trunc(value), low, high).astype(np.int64).astype(number)


def _to_u32(value: Any) -> Any:
    return _to_integer(value, 0, 2**32 - 1, U)


def _to_i32(value: Any) -> Any:
    return _to_integer(value, -(2**31), 2**31 - 1, S)


def _to_i16(value: Any) -> Any:
    return _to_integer(value, -(2**15), 2**15 - 1, np.int16)


def _to_u16(value: Any) -> Any:
    return _to_integer(value, 0, 2**16 - 1, np.uint16)


def _byte(number: int) -> Callable:
    return lambda a: (a >> U(8 * number) & U(255)).astype(F)


def _median(a: Any, b: Any, c: Any) -> Any:
    """The middle one; with a NaN among them the smallest of the others (CDNA3 ISA, V_MED3_F32)."""
    undefined = np.isnan(a) | np.isnan(b) | np.isnan(c)
    middle = np.fmax(np.fmin(a, b), np.fmin(np.fmax(a, b), c))
    return np.where(undefined, np.fmin(np.fmin(a, b), c), middle)


def _mantissa(value: Any) -> Any:
    return np.where(np.isfinite(value), np.frexp(value)[0], value)


def _exponent(value: Any) -> Any:
    return np.where(np.isfinite(value), np.frexp(value)[1], 0).astype(S)


def _minimum_nan(a: Any, b: Any) -> Any:
    return np.minimum(a, b)


def _maximum_nan(a: Any, b: Any) -> Any:
    return np.maximum(a, b)


_PIECE = 53
"""The bits of 2 / pi that a step of reducing an angle multiplies by."""


@functools.cache
def _two_over_pi() -> int:
    """The first 1201 bits of 2 / pi behind its point, by Machin's formula for pi."""
    bits = 1201
    one = 1 << bits + 64

    def arctangent(inverse: int) -> int:
        total, power, n = 0, one // inverse, 1
        while power:
            total += power // n if n % 4 == 1 else -(power // n)
            power, n = power // inverse**2, n + 2
        return total

    pi = 4 * (4 * arctangent(5) - arctangent(239))
    return (2 * one << bits) // pi


def _piece_of_two_over_pi(value: float, number: int) -> float:
    """v_trig_preop_f64: the bits of 2 / pi that matter for a piece of an angle (CDNA3 ISA)."""
    exponent = int(np.float64(value).view(np.uint64)) >> 52 & 0x7FF
    shift = (number & 31) * _PIECE + max(exponent - 1077, 0)
    bits = (_two_over_pi() << shift & (1 << 1201) - 1) >> 1201 - _PIECE
    return math.ldexp(bits, -_PIECE - shift + (128 if exponent >= 1968 else 0))


def _pieces_of_two_over_pi(values: Any, numbers: Any) -> Any:
    pairs = zip(np.broadcast_to(values, 64), np.broadcast_to(numbers, 64), strict=True)
    return np.array([_piece_of_two_over_pi(value, int(number)) for value, number in pairs], D)


_NO_LANES = np.zeros(64, bool)


@dataclass(frozen=True)
class _Division:
    """Where the steps of a division take special care, for a float type: powers of two."""

    type: Any
    smallest: int
    """The smallest normal number."""
    far: int
    """How far apart the sizes of a numerator and a denominator may be."""
    shift: int
    """What is scaled by."""
    low: int
    """Up to where numerators are scaled."""
    underflow: int
    """How far a numerator is below its denominator where their quotient is 0."""


_DIVISIONS = {"f": _Division(F, -126, 96, 64, -103, 150), "d": _Division(D, -1022, 768, 128, -969, 1075)}


def _ordinary(denominator: Any, numerator: Any) -> bool:
    """Whether both are so far from the ends of f32's range that their quotient takes no special care."""
    sizes = np.abs(np.broadcast_arrays(denominator, numerator))
    return bool(sizes.min() > 2.0**-40 and sizes.max() < 2.0**40)


def div_fixup(kind: str) -> Callable[[Any, Any, Any], Any]:
    """v_div_fixup_f32, _f64: the quotient with its sign, and the special cases of a division."""
    rules = _DIVISIONS[kind]
    number = rules.type

    def fixed(quotient: Any, denominator: Any, numerator: Any) -> Any:
        denominator, numerator = np.asarray(denominator, number), np.asarray(numerator, number)
        if _ordinary(denominator, numerator):
            return np.copysign(quotient, denominator * numerator)
        negative = np.signbit(denominator) ^ np.signbit(numerator)
        result = np.where(negative, -np.abs(quotient), np.abs(quotient))
        infinite = np.where(negative, number(-np.inf), number(np.inf))
        zero = np.where(negative, number(-0.0), number(0.0))
        result = np.where(np.isnan(quotient), infinite, result)  # it has left the range on its way
        gap = np.frexp(numerator)[1] - np.frexp(denominator)[1]
        result = np.where(gap < -rules.underflow, zero, result)
        result = np.where((denominator == 0) | np.isinf(numerator), infinite, result)
        result = np.where(np.isinf(denominator) | (numerator == 0), zero, result)
        undefined = (denominator == 0) & (numerator == 0) | np.isinf(denominator) & np.isinf(numerator)
        return np.where(undefined | np.isnan(denominator) | np.isnan(numerator), number(np.nan), result)

    return fixed


def div_scale(kind: str, value: Any, denominator: Any, numerator: Any) -> tuple[Any, Any]:
    """v_div_scale_f32, _f64: `value` (one of the others), scaled where a division would leave the range.

    Returns it and a mask of lanes whose quotient v_div_fmas scales back.
    """
    if _ordinary(denominator, numerator):
        return value, _NO_LANES
    rules = _DIVISIONS[kind]
    number = rules.type
    value, denominator, numerator = (np.broadcast_to(x, 64) for x in (value, denominator, numerator))
    tiny = number(2.0**rules.smallest)
    gap = np.frexp(numerator)[1] - np.frexp(denominator)[1]
    inverse_denormal = np.abs(number(1) / denominator) < tiny
    quotient_denormal = np.abs(numerator / denominator) < tiny
    of_denominator, of_numerator = value == denominator, value == numerator
    up, down = value * number(2.0**rules.shift), value * number(2.0**-rules.shift)
    cases = [
        ((numerator == 0) | (denominator == 0), np.full(64, np.nan, number), False),
        (gap >= rules.far, np.where(of_denominator, up, value), True),
        (np.abs(denominator) < tiny, up, False),
        (inverse_denormal & quotient_denormal, np.where(of_denominator, down, value), True),
        (inverse_denormal, down, False),
        (quotient_denormal, np.where(of_numerator, up, value), True),
        (np.abs(numerator) < number(2.0**rules.low), up, False),
    ]
    result = np.select([case[0] for case in cases], [case[1] for case in cases], value)
    scaled = np.select([case[0] for case in cases], [np.full(64, case[2]) for case in cases], False)
    return result.astype(number), scaled


def div_fmas(kind: str, a: Any, b: Any, c: Any, scaled: np.ndarray | None) -> Any:
    """v_div_fmas_f32, _f64: a * b + c, scaled back where v_div_scale has scaled."""
    rules = _DIVISIONS[kind]
    result = (_fma_double if kind == "d" else fma)(a, b, c)
    if scaled is None:
        return result
    back = np.where(np.abs(c) >= 1, 2.0**rules.shift, 2.0**-rules.shift)
    return np.where(scaled, result * back, result).astype(rules.type)


def _flushing(function: Callable) -> Callable:
    """`function` with 0 for denormal numbers before and after it, as special functions in f32 have it."""

    def flushed(a: Any) -> Any:
        a = np.asarray(a, F)
        return np.where(np.abs(a) < _TINY, np.copysign(F(0), a), a)

    return lambda a: flushed(function(flushed(a)))


def _unary(suffix: str, kind: str) -> dict[str, tuple[str, Callable]]:
    """Operations of one source for one float type."""
    number: Any = {"f": F, "h": H, "d": D}[kind]
    functions: dict[str, Callable] = {
        "exp": np.exp2,
        "log": np.log2,
        "rcp": lambda a: number(1) / a,
        "sqrt": np.sqrt,
        "rsq": lambda a: number(1) / np.sqrt(a),
        "rndne": np.rint,
        "floor": np.floor,
        "ceil": np.ceil,
        "trunc": np.trunc,
        "fract": lambda a: np.minimum(a - np.floor(a), np.nextafter(number(1), number(0))),
        "sin": lambda a: np.sin(2 * np.pi * np.asarray(a).astype(D)).astype(number),
        "cos": lambda a: np.cos(2 * np.pi * np.asarray(a).astype(D)).astype(number),
        "frexp_mant": _mantissa,
    }
    if kind == "f":
        functions |= {name: _flushing(functions[name]) for name in ("exp", "log", "rcp", "sqrt", "rsq")}
    return {f"v_{name}_{suffix}": (f"{kind}={kind}", function) for name, function in functions.items()}


def _binary(suffix: str, kind: str) -> dict[str, tuple[str, Callable]]:
    """Operations of two and three sources for one float type."""
    two: dict[str, Callable] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "subrev": lambda a, b: b - a,
        "mul": lambda a, b: a * b,
        "mul_legacy": lambda a, b: np.where((a == 0) | (b == 0), 0, a * b),
        "max": np.fmax,
        "min": np.fmin,
    }
    fused = _fma_double if kind == "d" else fma
    three: dict[str, Callable] = {
        "fma": fused,
        "fmac": fused,
        "mac": fused,
        "mad": lambda a, b, c: a * b + c,
        "max3": lambda a, b, c: np.fmax(np.fmax(a, b), c),
        "min3": lambda a, b, c: np.fmin(np.fmin(a, b), c),
        "med3": _median,
        "maximum3": lambda a, b, c: _maximum_nan(_maximum_nan(a, b), c),
        "minimum3": lambda a, b, c: _minimum_nan(_minimum_nan(a, b), c),
    }
    if kind == "h":
        three |= {name: (lambda a, b, c: fma(a, b, c).astype(H)) for name in ("fma", "fmac", "mac")}
    table = {f"v_{name}_{suffix}": (f"{kind}={kind * 2}", function) for name, function in two.items()}
    return table | {
        f"v_{name}_{suffix}": (f"{kind}={kind * 3}", function) for name, function in three.items()
    }


FLOATS: dict[str, tuple[str, Callable]] = {
    **_unary("f32", "f"),
    **_unary("f16", "h"),
    **_unary("f64", "d"),
    **_binary("f32", "f"),
    **_binary("f16", "h"),
    **_binary("f64", "d"),
    "v_rcp_iflag_f32": ("f=f", _flushing(lambda a: F(1) / a)),
    "v_fmamk_f32": ("f=fff", lambda a, k, b: fma(a, k, b)),
    "v_fmaak_f32": ("f=fff", fma),
    "v_madmk_f32": ("f=fff", lambda a, k, b: a * k + b),
    "v_madak_f32": ("f=fff", lambda a, b, k: a * b + k),
    "v_ldexp_f32": ("f=fi", lambda a, b: np.ldexp(a, b)),
    "v_ldexp_f16": ("h=hs", lambda a, b: np.ldexp(a, b.astype(S)).astype(H)),
    "v_ldexp_f64": ("d=di", lambda a, b: np.ldexp(a, b)),
    "v_frexp_exp_i32_f32": ("i=f", _exponent),
    "v_frexp_exp_i32_f64": ("i=d", _exponent),
    "v_cvt_f32_i32": ("f=i", lambda a: a.astype(F)),
    "v_cvt_f32_u32": ("f=u", lambda a: a.astype(F)),
    "v_cvt_i32_f32": ("i=f", _to_i32),
    "v_cvt_u32_f32": ("u=f", _to_u32),
    "v_cvt_rpi_i32_f32": ("i=f", lambda a: _to_i32(np.floor(a + F(0.5)))),
    "v_cvt_flr_i32_f32": ("i=f", lambda a: _to_i32(np.floor(a))),
    "v_cvt_f16_f32": ("h=f", lambda a: a.astype(H)),
    "v_cvt_f32_f16": ("f=h", lambda a: a.astype(F)),
    "v_cvt_f32_bf16": ("f=t", lambda a: (a.astype(U) << U(16)).view(F)),
    "v_cvt_f64_f32": ("d=f", lambda a: a.astype(D)),
    "v_cvt_f32_f64": ("f=d", lambda a: a.astype(F)),
    "v_cvt_f64_i32": ("d=i", lambda a: a.astype(D)),
    "v_cvt_f64_u32": ("d=u", lambda a: a.astype(D)),
    "v_cvt_i32_f64": ("i=d", _to_i32),
    "v_cvt_u32_f64": ("u=d", _to_u32),
    "v_cvt_f16_i16": ("h=s", lambda a: a.astype(H)),
    "v_cvt_f16_u16": ("h=t", lambda a: a.astype(H)),
    "v_cvt_i16_f16": ("s=h", _to_i16),
    "v_cvt_u16_f16": ("t=h", _to_u16),
    **{f"v_cvt_f32_ubyte{n}": ("f=u", _byte(n)) for n in range(4)},
    "v_cvt_pk_bf16_f32": ("u=ff", lambda a, b: to_bfloat16(a) | to_bfloat16(b) << U(16)),
    "v_cvt_pk_f16_f32": ("u=ff", lambda a, b: to_half(a) | to_half(b) << U(16)),
    "v_cvt_pkrtz_f16_f32": ("u=ff", lambda a, b: half_toward_zero(a) | half_toward_zero(b) << U(16)),
    "v_div_fixup_f32": ("f=fff", div_fixup("f")),
    "v_div_fixup_f64": ("d=ddd", div_fixup("d")),
    "v_trig_preop_f64": ("d=du", _pieces_of_two_over_pi),
    "v_dot2_f32_f16": ("f=uuf", lambda a, b, c: _dot_halves(a, b, c)),
    "v_dot2c_f32_f16": ("f=uuf", lambda a, b, c: _dot_halves(a, b, c)),
}


def _dot_halves(a: Any, b: Any, c: Any) -> Any:
    """The sum of the products of the two f16 halves of each word, and c."""
    a, b = (np.ascontiguousarray(np.broadcast_to(x, 64)).view(H).astype(F).reshape(64, 2) for x in (a, b))
    return (a * b).sum(1) + c


# Comparisons: name of the condition -> function; "f" conditions are false for NaN unless their name has an n.

_ORDERED: dict[str, Callable] = {
    "lt": np.less,
    "eq": np.equal,
    "le": np.less_equal,
    "gt": np.greater,
    "lg": lambda a, b: (a < b) | (a > b),
    "ge": np.greater_equal,
    "o": lambda a, b: ~(np.isnan(a) | np.isnan(b)),
}


def _negated(function: Callable) -> Callable:
    return lambda a, b: ~function(a, b)


FLOAT_CONDITIONS: dict[str, Callable] = {
    **_ORDERED,
    "u": _negated(_ORDERED["o"]),
    "nge": _negated(_ORDERED["ge"]),
    "nlg": _negated(_ORDERED["lg"]),
    "ngt": _negated(_ORDERED["gt"]),
    "nle": _negated(_ORDERED["le"]),
    "neq": _negated(_ORDERED["eq"]),
    "nlt": _negated(_ORDERED["lt"]),
}
INTEGER_CONDITIONS: dict[str, Callable] = {
    **{name: _ORDERED[name] for name in ("lt", "eq", "le", "gt", "ge")},
    "ne": np.not_equal,
    "lg": np.not_equal,
}


def _is_quiet(value: Any) -> Any:
    """Whether the first bit of the mantissa is set, which tells quiet NaNs from signalling ones."""
    value = np.asarray(value)
    return value.view(f"u{value.itemsize}") >> np.finfo(value.dtype).nmant - 1 & 1 != 0


def float_class(value: Any, classes: Any) -> Any:
    """v_cmp_class: whether `value` is in one of the ten classes of a mask of bits."""
    tiny = np.finfo(np.asarray(value).dtype).tiny
    negative, size = np.signbit(value), np.abs(value)
    zero, infinite, nan = size == 0, np.isinf(value), np.isnan(value)
    denormal = ~zero & (size < tiny)
    normal = ~(zero | infinite | nan | denormal)
    quiet = _is_quiet(value)
    result = nan & quiet & ((classes & 2) != 0) | nan & ~quiet & ((classes & 1) != 0)
    for bit, kind, sign in (
        *((2, infinite, True), (3, normal, True), (4, denormal, True), (5, zero, True)),
        *((6, zero, False), (7, denormal, False), (8, normal, False), (9, infinite, False)),
    ):
        result = result | kind & (negative == sign) & ((classes >> bit & 1) != 0)
    return result
