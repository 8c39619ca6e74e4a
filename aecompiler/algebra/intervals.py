"""Bounds of terms as real numbers: their signs, and whether a power of them can overflow.

Infinities and NaN are left out: bounds hold where the term is finite. A bound may be infinite, which says
nothing. `TINY` as a lower bound says that the term is positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from aecompiler.algebra.terms import Term

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
TINY = math.ulp(0.0)

_RANGES: dict[str, Bounds] = {
    "tanh": (-1.0, 1.0),
    "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "atan": (-2.0, 2.0),
    "erfc": (0.0, 2.0),
    "cosh": (1.0, math.inf),
}

INCREASING: dict[str, Callable[[float], float]] = {
    "exp": lambda x: max(math.exp(x), TINY) if x < 709 else math.inf,
    "expm1": lambda x: math.expm1(x) if x < 709 else math.inf,
    "log": lambda x: math.log(x) if x > 0 else -math.inf,
    "log1p": lambda x: math.log1p(x) if x > -1 else -math.inf,
    "sqrt": lambda x: math.sqrt(x) if x > 0 else 0.0,
    "tanh": math.tanh,
    "erf": math.erf,
    "sinh": lambda x: math.sinh(x) if abs(x) < 709 else math.copysign(math.inf, x),
    "atan": math.atan,
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x),
    "floor": lambda x: x if math.isinf(x) else float(math.floor(x)),
    "ceil": lambda x: x if math.isinf(x) else float(math.ceil(x)),
}
"""Functions that never decrease, on the numbers."""


def positive(term: Term) -> bool:
    """Whether the term is more than 0."""
    return bounds(term)[0] > 0


def nonnegative(term: Term) -> bool:
    """Whether the term is at least 0."""
    return bounds(term)[0] >= 0


@lru_cache(maxsize=8192)
def bounds(term: Term) -> Bounds:
    """The least and the greatest value, as far as that is known."""
    low, high = _bounds(term)
    low, high = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
    return (low, high) if low <= high else ANY


def _bounds(term: Term) -> Bounds:
    op, args = term.op, term.args
    if op == "const":
        value = float(term.data)
        return ANY if math.isnan(value) else (value, value)
    if op == "ln2":
        return math.log(2), math.log(2)
    if op == "sym":
        return term.data[2], term.data[3]
    if op in INCREASING:
        low, high = bounds(args[0])
        least, most = _RANGES.get(op, ANY)
        return max(INCREASING[op](low), least), min(INCREASING[op](high), most)
    if op in _RANGES:
        return _RANGES[op]
    rule = _RULES.get(op)
    return rule(term) if rule else ANY


def _add(term: Term) -> Bounds:
    (a, b), (c, d) = map(bounds, term.args)
    return a + c, b + d


def _sub(term: Term) -> Bounds:
    x, y = term.args
    (a, b), (c, d) = bounds(x), bounds(y)
    low, high = a - d, b - c
    # x - max(x, ...) is at most 0, x - min(x, ...) at least 0.
    if y.op == "max" and x in y.args:
        high = min(high, 0.0)
    if y.op == "min" and x in y.args:
        low = max(low, 0.0)
    return low, high


def _neg(term: Term) -> Bounds:
    low, high = bounds(term.args[0])
    return -high, -low


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _mul(term: Term) -> Bounds:
    x, y = term.args
    (a, b), (c, d) = bounds(x), bounds(y)
    corners = [_times(p, q) for p in (a, b) for q in (c, d)]
    low, high = min(corners), max(corners)
    if x is y:
        low = max(low, 0.0)
    if a > 0 and c > 0:
        low = max(low, TINY)
    return low, high


def _div(term: Term) -> Bounds:
    if term.args[0] is term.args[1]:
        return 1.0, 1.0
    (a, b), (c, d) = map(bounds, term.args)
    if c < 0 < d:
        return ANY
    if d <= 0:
        a, b, c, d = -b, -a, -d, -c
    # The divisor is in [c, d] with c >= 0; a division by 0 is left out.
    inverse_low, inverse_high = (0.0 if d == math.inf else 1 / d if d else 0.0), (1 / c if c else math.inf)
    corners = [_times(p, q) for p in (a, b) for q in (inverse_low, inverse_high)]
    low, high = min(corners), max(corners)
    return (max(low, TINY) if a > 0 else max(low, 0.0) if a >= 0 else low), high


def _max(term: Term) -> Bounds:
    (a, b), (c, d) = map(bounds, term.args)
    return max(a, c), max(b, d)


def _min(term: Term) -> Bounds:
    (a, b), (c, d) = map(bounds, term.args)
    return min(a, c), min(b, d)


def _abs(term: Term) -> Bounds:
    low, high = bounds(term.args[0])
    if low >= 0:
        return low, high
    return (0.0 if high >= 0 else -high), max(-low, high)


def _select(term: Term) -> Bounds:
    (a, b), (c, d) = map(bounds, term.args[1:])
    return min(a, c), max(b, d)


def _powf(term: Term) -> Bounds:
    base, exponent = term.args
    low, high = bounds(base)
    value = float(exponent.data) if exponent.op == "const" else math.nan
    if value > 0 and value % 2 == 0:
        return 0.0, math.inf
    if low >= 0:
        return (TINY if low > 0 else 0.0), (1.0 if high <= 1 and value > 0 else math.inf)
    return ANY


def _rsqrt(term: Term) -> Bounds:
    low, high = bounds(term.args[0])
    return (TINY if high == math.inf else 1 / math.sqrt(max(high, TINY))), (
        1 / math.sqrt(low) if low > 0 else math.inf
    )


def _reduce(term: Term) -> Bounds:
    """Of a tile that has an element."""
    low, high = bounds(term.args[0])
    return reduced(term.data, low, high)


def reduced(kind: str, low: float, high: float) -> Bounds:
    """The bounds of a reduction over at least one value within `low` and `high`."""
    if kind in ("max", "min"):
        return low, high
    if kind == "sum":
        return (low if low >= 0 else -math.inf), (high if high <= 0 else math.inf)
    return (0.0, 1.0) if low >= 0 and high <= 1 else ((0.0, math.inf) if low >= 0 else ANY)


def _sum(term: Term) -> Bounds:
    """Of a sum over an index, which may have no summand."""
    low, high = bounds(term.args[1])
    return (0.0 if low >= 0 else -math.inf), (0.0 if high <= 0 else math.inf)


_RULES: dict[str, Callable[[Term], Bounds]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "max": _max,
    "min": _min,
    "abs": _abs,
    "select": _select,
    "powf": _powf,
    "rsqrt": _rsqrt,
    "reduce": _reduce,
    "sum": _sum,
    "held": lambda term: bounds(term.args[0]),
    "float": lambda term: bounds(term.args[0]),
}
