"""Scalar terms: what the regions of an attention op compute, as expressions that can be reasoned about.

A term is a leaf (a constant, ln 2, or a symbol) or a function of terms. Terms with equal parts are one
object, so that `==` is identity and a shared part costs nothing. The constructors keep the IEEE meaning: they
drop a factor 1 or a summand 0, no more; laws of real numbers are applied in `normal` and `separation`."""

from __future__ import annotations

import enum
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakValueDictionary


class Depends(enum.IntEnum):
    """What the value of a symbol depends on, as far as streaming is concerned."""

    FIXED = 0
    """Nothing that changes while a row is streamed: the batch, the head, the row, captures."""
    ELEMENT = 1
    """The element of the row: its score, its position, captures read there."""
    VARYING = 2
    """What of the row has been seen: reductions, states."""


class Term:
    """An expression. Make terms with the functions of this module, never directly."""

    __slots__ = ("__weakref__", "args", "data", "digest", "element", "op", "size", "varying")

    op: str
    data: Any
    args: tuple[Term, ...]
    element: bool
    """Whether it depends on the element."""
    varying: bool
    """Whether it depends on what of the row has been seen."""
    size: int
    """The number of nodes, shared ones counted once for each use."""
    digest: int
    """The same in each run: orders terms."""

    def __repr__(self) -> str:
        from aecompiler.algebra.printing import formula

        return formula(self)


_TERMS: WeakValueDictionary[tuple, Term] = WeakValueDictionary()


def make(op: str, args: Iterable[Term] = (), data: Any = None) -> Term:
    """The term `op(args)`, with no simplification."""
    arguments = tuple(args)
    key = (op, data, arguments)
    found = _TERMS.get(key)
    if found is not None:
        return found
    term = Term()
    term.op, term.data, term.args = op, data, arguments
    # A reduction over a tile depends on what has been seen, and on no single element.
    reduction = op == "reduce"
    own = data[1] if op == "sym" else Depends.FIXED
    term.element = not reduction and (own == Depends.ELEMENT or any(arg.element for arg in arguments))
    term.varying = reduction or own == Depends.VARYING or any(arg.varying for arg in arguments)
    term.size = 1 + sum(arg.size for arg in arguments)
    term.digest = zlib.crc32(repr((op, data, [arg.digest for arg in arguments])).encode())
    _TERMS[key] = term
    return term


def order(term: Term) -> tuple[int, int]:
    """A key that sorts terms in the same way in each run, small ones first."""
    return term.size, term.digest


# ---- leaves --------------------------------------------------------------------------------------


def const(value: float) -> Term:
    """A constant."""
    value = float(value)
    return make("const", (), "nan" if math.isnan(value) else value + 0.0)


def symbol(
    name: str, depends: Depends, low: float = -math.inf, high: float = math.inf, *, key: Any = None
) -> Term:
    """A symbol with bounds; `key` tells symbols of one name apart."""
    return make("sym", (), (name, depends, low, high, key))


ZERO, ONE, TWO = const(0.0), const(1.0), const(2.0)
MINUS_INFINITY, PLUS_INFINITY = const(-math.inf), const(math.inf)
LN2 = make("ln2")
"""exp2(x) is exp(x ln 2), so that all powers are of one base."""


def value_of(term: Term) -> float | None:
    """The number that a constant is."""
    return float(term.data) if term.op == "const" else None


def name_of(term: Term) -> str:
    """The name of a symbol."""
    return term.data[0]


# ---- functions -----------------------------------------------------------------------------------


def add(a: Term, b: Term) -> Term:
    """a + b."""
    if a is ZERO:
        return b
    return a if b is ZERO else make("add", (a, b))


def sub(a: Term, b: Term) -> Term:
    """a - b."""
    if a is ZERO:
        return neg(b)
    return a if b is ZERO else make("sub", (a, b))


def neg(a: Term) -> Term:
    """-a."""
    if a.op == "neg":
        return a.args[0]
    value = value_of(a)
    return make("neg", (a,)) if value is None else const(-value)


def mul(a: Term, b: Term) -> Term:
    """a * b."""
    if a is ONE:
        return b
    return a if b is ONE else make("mul", (a, b))


def div(a: Term, b: Term) -> Term:
    """a / b."""
    return a if b is ONE else make("div", (a, b))


def exp(a: Term) -> Term:
    """e to the power of a."""
    return ONE if a is ZERO else make("exp", (a,))


def log(a: Term) -> Term:
    """The natural logarithm."""
    return ZERO if a is ONE else make("log", (a,))


def absolute(a: Term) -> Term:
    """|a|."""
    return make("abs", (a,))


def maximum(a: Term, b: Term) -> Term:
    """The larger one; NaN if one is NaN."""
    if a is MINUS_INFINITY or a is b:
        return b
    return a if b is MINUS_INFINITY else make("max", (a, b))


def minimum(a: Term, b: Term) -> Term:
    """The smaller one; NaN if one is NaN."""
    if a is PLUS_INFINITY or a is b:
        return b
    return a if b is PLUS_INFINITY else make("min", (a, b))


def sqrt(a: Term) -> Term:
    """The square root."""
    return make("sqrt", (a,))


def power(a: Term, b: Term) -> Term:
    """a to the power of b."""
    return a if b is ONE else make("powf", (a, b))


def function(name: str, *args: Term) -> Term:
    """A function of one number that has laws: tanh, expm1, log1p and so on."""
    return make(name, args)


def opaque(key: Any, args: Iterable[Term]) -> Term:
    """A function of which nothing is known but that equal arguments give equal values."""
    return make("fn", args, key)


def compare(predicate: str, a: Term, b: Term) -> Term:
    """A comparison of floats by an MLIR predicate: oeq, olt, une and so on."""
    return make("cmp", (a, b), predicate)


def select(condition: Term, a: Term, b: Term) -> Term:
    """a where the condition holds, else b."""
    return a if a is b else make("select", (condition, a, b))


def held(a: Term) -> Term:
    """a, which is computed as it stands: no law takes it apart but in proofs."""
    return make("held", (a,)) if a.args and a.op != "held" else a


def reduce(kind: str, a: Term) -> Term:
    """The reduction of a over the unmasked elements of a tile: max, min, sum or prod."""
    return make("reduce", (a,), kind)


IDENTITIES = {"max": MINUS_INFINITY, "min": PLUS_INFINITY, "sum": ZERO, "prod": ONE}
"""The value of a reduction over nothing."""

COMBINE: dict[str, Callable[[Term, Term], Term]] = {"max": maximum, "min": minimum, "sum": add, "prod": mul}
"""How the values of a reduction over two sets give that over their union."""

_BUILDERS: dict[str, Callable[..., Term]] = {
    "add": add,
    "sub": sub,
    "neg": neg,
    "mul": mul,
    "div": div,
    "exp": exp,
    "log": log,
    "max": maximum,
    "min": minimum,
    "select": select,
    "powf": power,
    "held": held,
}


def rebuild(term: Term, args: Iterable[Term]) -> Term:
    """The function of `term` on other arguments."""
    arguments = tuple(args)
    if arguments == term.args:
        return term
    builder = _BUILDERS.get(term.op)
    return builder(*arguments) if builder else make(term.op, arguments, term.data)


def transform(
    term: Term, change: Callable[[Term], Term | None], memo: dict[Term, Term] | None = None
) -> Term:
    """Replace the outermost parts for which `change` gives a term, each of them once."""
    known = {} if memo is None else memo

    def visit(part: Term) -> Term:
        if part not in known:
            new = change(part)
            known[part] = rebuild(part, map(visit, part.args)) if new is None else new
        return known[part]

    return visit(term)


def substitute(term: Term, mapping: Mapping[Term, Term]) -> Term:
    """Replace parts of a term."""
    return transform(term, mapping.get) if mapping else term


def parts(*terms: Term) -> list[Term]:
    """All parts of terms, each once, arguments before what is made of them."""
    found: dict[Term, None] = {}

    def visit(part: Term) -> None:
        if part not in found:
            for arg in part.args:
                visit(arg)
            found[part] = None

    for term in terms:
        visit(term)
    return list(found)


def symbols(*terms: Term) -> list[Term]:
    """The symbols in terms, each once, in the order of first use."""
    return [part for part in parts(*terms) if part.op == "sym"]


def total(terms: Iterable[Term]) -> Term:
    """The sum of terms."""
    result = ZERO
    for term in terms:
        number = value_of(term)
        if result is not ZERO and term.op == "neg":
            result = sub(result, term.args[0])
        elif result is not ZERO and number is not None and number < 0:
            result = sub(result, const(-number))
        else:
            result = add(result, term)
    return result
