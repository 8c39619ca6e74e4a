"""What a term is when some of its parts are known, by IEEE arithmetic with infinities and NaN.

This is how rows without an element are decided: with every reduction at its identity.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.terms import Term


def fold(term: Term, known: Mapping[Term, Term] | None = None, exact: bool = False) -> Term:
    """`term` with the parts in `known` replaced, computed as far as the values decide it.

    `exact`: what would be rounded stays as it is; 1 / 3 is the same number wherever it stands.
    """
    memo: dict[Term, Term] = dict(known or {})

    def visit(part: Term) -> Term:
        if part not in memo:
            new = t.rebuild(part, [visit(arg) for arg in part.args])
            memo[part] = new if exact and _rounds(new) else _fold(new)
        return memo[part]

    return visit(term)


def is_finite(term: Term) -> bool:
    """Whether the term is a finite number."""
    value = t.value_of(term)
    return value is not None and math.isfinite(value)


def is_nan(term: Term) -> bool:
    """Whether the term is the constant NaN."""
    value = t.value_of(term)
    return value is not None and math.isnan(value)


def _fold(term: Term) -> Term:
    if not term.args or term.op == "reduce":
        return term
    values = [_number(arg) for arg in term.args]
    if term.op == "select":
        condition = term.args[0]
        if condition in (TRUE, FALSE):
            return term.args[1 if condition is TRUE else 2]
        return term
    if term.op == "fn":
        return _connective(term)
    if term.op in _LINEAR and all(arg.op != "const" for arg in term.args):
        return term  # ln 2 stays a symbol in what may become an exponent of 2
    known = [value for value in values if value is not None]
    if term.op == "cmp":
        return (TRUE if holds(term.data, *known) else FALSE) if len(known) == len(values) else term
    if any(math.isnan(value) for value in known):
        return t.const(math.nan)
    result = compute(term.op, *known) if len(known) == len(values) else None
    return term if result is None else t.const(result)


def _rounds(term: Term) -> bool:
    """Whether the term is an operation on numbers whose result is no float."""
    values = [_number(arg) for arg in term.args]
    known = [value for value in values if value is not None]
    if term.op not in _COMPUTE or len(known) != len(values) or not all(map(math.isfinite, known)):
        return False
    if t.LN2 in term.args:
        return 0.0 not in known
    result = compute(term.op, *known)
    if result is None or not math.isfinite(result):
        return False
    if term.op in _RATIONAL:
        return Fraction(result) != _RATIONAL[term.op](*map(Fraction, known))
    return term.op not in _SELECTING and not (result in (0.0, 1.0) and set(known) <= {0.0, 1.0})


def compute(op: str, *values: float) -> float | None:
    """What an operation of terms makes of numbers; None where that is not known."""
    if any(map(math.isnan, values)):
        return math.nan
    return None if op not in _COMPUTE else _COMPUTE[op](*values)


_LINEAR = frozenset({"add", "sub", "mul", "neg"})
_SELECTING = frozenset({"neg", "abs", "max", "min", "held"})
_RATIONAL: dict[str, Callable[..., Fraction]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}


def _number(term: Term) -> float | None:
    """The value of a constant, of ln 2 or of -ln 2, which stay symbols."""
    if term is t.LN2:
        return math.log(2)
    if term.op in _LINEAR and all(arg is t.LN2 for arg in term.args):
        return compute(term.op, *[math.log(2)] * len(term.args))
    return t.value_of(term)


TRUE, FALSE = t.make("true"), t.make("false")
"""Conditions that are decided."""


def _connective(term: Term) -> Term:
    """`and`, `or` and `xor` of conditions, where one is decided."""
    name = term.data[0] if isinstance(term.data, tuple) else term.data
    if name not in ("arith.andi", "arith.ori", "arith.xori") or len(term.args) != 2:
        return term
    for one, other in (term.args, term.args[::-1]):
        if one is TRUE:
            return {"arith.andi": other, "arith.ori": TRUE}.get(name, term)
        if one is FALSE:
            return {"arith.andi": FALSE}.get(name, other)
    return term


def holds(predicate: str, a: float, b: float) -> bool:
    """Whether an MLIR comparison of floats holds."""
    unordered = math.isnan(a) or math.isnan(b)
    if predicate in ("ord", "uno"):
        return unordered == (predicate == "uno")
    if unordered:
        return predicate.startswith("u")
    return {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[predicate[1:]]


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _exp(a: float) -> float:
    try:
        return math.exp(a)
    except OverflowError:
        return math.inf


def _log(a: float) -> float:
    if a == 0:
        return -math.inf
    return math.nan if a < 0 else math.log(a)


def _power(a: float, b: float) -> float:
    try:
        result = a**b
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf if a > 0 or b % 2 == 0 else -math.inf
    return math.nan if isinstance(result, complex) else result


def _guarded(function: Callable[[float], float]) -> Callable[[float], float]:
    def guarded(a: float) -> float:
        try:
            return function(a)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return guarded


_COMPUTE: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "neg": lambda a: -a,
    "abs": abs,
    "held": lambda a: a,
    "exp": _exp,
    "log": _log,
    "max": max,
    "min": min,
    "powf": _power,
    "sqrt": _guarded(math.sqrt),
    "rsqrt": lambda a: _divide(1.0, math.sqrt(a)) if a >= 0 else math.nan,
    "tanh": math.tanh,
    "expm1": _guarded(math.expm1),
    "log1p": lambda a: _log(1 + a),
}
