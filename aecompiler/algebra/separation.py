"""Separation: f(s, r) = sum_t A_t(s) * B_t(r), with s the element and r what of the row has been seen.

A reduction over a function that separates is a formula in *moments*, reductions over the A_t, which do not
depend on r: they can be gathered before r is known. `separate` finds the A_t and B_t of a sum; `extremum`
takes maxima and minima through a function, which needs monotony instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Protocol, TypeVar

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import INCREASING, bounds, nonnegative, positive
from aecompiler.algebra.normal import EXPANSIONS, equal, normal, simplify
from aecompiler.algebra.polynomials import (
    Monomial,
    Poly,
    as_number,
    check_size,
    depends,
    leading,
    number,
    to_term,
)
from aecompiler.algebra.powers import has_powers, plain
from aecompiler.algebra.terms import ONE, ZERO, Term

Pair = tuple[Term, Term]
"""A(element) and B(row): one summand A * B."""


class Moment(Protocol):
    """Gives the reduction of a kind over a function of the element alone.

    `as_written`: powers in the function are as large as they are in the normaliser.
    """

    def __call__(self, kind: str, value: Term, as_written: bool = False, /) -> Term:
        """The reduction as a term of the row."""


MAX_PAIRS = 32
_MINUS_ONE = t.const(-1.0)
_UNITY = number(Fraction(1))


class Inseparable(Exception):
    """A part of a term falls under no law; `law` says which one it would need."""

    def __init__(self, part: Term, law: str):
        super().__init__(f"{part!r} needs {law}")
        self.part, self.law = part, law


def separate(term: Term) -> list[Pair]:
    """The pairs (A, B) whose products sum up to `term`, with no two equal A and no two B that are multiples.

    A depends on nothing that varies, B on no element. Raises `Inseparable`.
    """
    check_size(term)
    return list(_known(_separate, term))


def _separate(term: Term) -> tuple[Pair, ...]:
    pairs = _grouped(_pairs(term))
    # What is no product with powers of the row is in range, or not, as it is written.
    return tuple((plain(a), b) for a, b in pairs) if term.varying else tuple(pairs)


T = TypeVar("T")


def _known(rule: Callable[[Term], T], term: Term) -> T:
    """What a rule makes of a term, found once: rules that try several laws ask for the same part often."""
    found = _result(rule, term)
    if isinstance(found, Inseparable):
        raise Inseparable(found.part, found.law)
    return found


@lru_cache(maxsize=8192)
def _result(rule: Callable[[Term], T], term: Term) -> T | Inseparable:
    try:
        return rule(term)
    except Inseparable as reason:
        return reason.with_traceback(None)


def varies(poly: Poly) -> bool:
    """Whether a normal form depends on what of the row has been seen."""
    return any(depends(monomial, lambda atom: atom.varying) for monomial in poly)


def _pairs(term: Term) -> list[Pair]:
    if not term.varying:
        return [(term, ONE)] if term.element else [(ONE, term)]
    if not term.element:
        return [(ONE, term)]
    if term.op in EXPANSIONS:
        return _pairs(EXPANSIONS[term.op](*term.args))
    rule = _RULES.get(term.op)
    if rule is None:
        raise Inseparable(
            term, f"a law for '{term.op if term.op != 'fn' else term.data[0]}' of a mixed value"
        )
    pairs = list(_known(rule, term))
    if len(pairs) > MAX_PAIRS:
        raise Inseparable(term, f"fewer than {len(pairs)} products")
    return pairs


# ---- products that merge powers ------------------------------------------------------------------


def product(a: Term, b: Term) -> Term:
    """a * b, with one exponential for two."""
    if a.op == "exp" and b.op == "exp":
        return t.exp(t.add(a.args[0], b.args[0]))
    if a.op == "mul" and b.op == "exp":
        for x, y in (a.args, a.args[::-1]):
            if x.op == "exp":
                return t.mul(product(x, b), y)
    if b.op in ("mul", "div") and a.op == "exp":
        return product(b, a) if b.op == "mul" else t.div(product(a, b.args[0]), b.args[1])
    if a.op == "div" and a.args[0] is ONE:
        return quotient(b, a.args[1])
    if _MINUS_ONE in (a, b):
        return t.neg(a if b is _MINUS_ONE else b)
    return t.mul(a, b)


def quotient(a: Term, b: Term) -> Term:
    """a / b, with one exponential for two."""
    if b.op == "exp":
        return product(a, t.exp(t.neg(b.args[0])))
    if b.op == "mul" and any(x.op == "exp" for x in b.args):
        return quotient(quotient(a, b.args[0]), b.args[1])
    return t.div(a, b)


def scaled(b: Term, value: Term) -> Term:
    """b * value; where b is a choice of the row, so is the product: the value not taken may be infinite."""
    if b.op != "select" or b.element:
        return product(b, value)
    return t.select(b.args[0], *(ZERO if each is ZERO else scaled(each, value) for each in b.args[1:]))


# ---- rules -----------------------------------------------------------------------------------------


def _grouped(pairs: Iterable[Pair]) -> list[Pair]:
    """Collect the A of one B, then the B of one A."""
    groups: list[tuple[Poly, Term, list[Pair]]] = []
    for a, b in pairs:
        fixed, varying = _fixed_factor(b)
        form = normal(varying, True)
        for known, _, members in groups:
            if known == form:
                members.append((a, fixed))
                break
        else:
            groups.append((form, varying, [(a, fixed)]))
    merged: list[Pair] = []
    for _, varying, members in groups:
        members = _joined(members)
        if len(members) == 1:
            a, fixed = members[0]
            _collect(merged, a, product(fixed, varying))
            continue
        _collect(merged, t.total(product(a, fixed) for a, fixed in members), varying)
    return [(a, b) for a, b in merged if b is not ZERO and a is not ZERO]


def _joined(members: list[Pair]) -> list[Pair]:
    """Add up the fixed factors of one A."""
    result: list[Pair] = []
    for a, fixed in members:
        for position, (known, other) in enumerate(result):
            if known is a:
                result[position] = (a, to_term(normal(t.add(other, fixed))))
                break
        else:
            result.append((a, fixed))
    return [pair for pair in result if pair[1] is not ZERO]


def _collect(merged: list[Pair], a: Term, b: Term) -> None:
    for position, (known, other) in enumerate(merged):
        if known is a or (known.element and a.element and equal(known, a)):
            joined = t.add(other, b)
            simple = simplify(joined) if joined.varying else joined
            merged[position] = (known, simple)
            return
    merged.append((a, b))


def _fixed_factor(b: Term) -> tuple[Term, Term]:
    """`b` as a factor that does not vary times one that holds all that does, with the sign of a sum."""
    if not b.varying:
        return b, ONE
    poly = normal(b)
    if not poly:
        return ZERO, ONE
    fixed, rest = _split_factor(poly)
    scale = rest[leading(rest)]
    if len(rest) > 1:
        scale = abs(scale) * (1 if fixed == _UNITY else _sign(rest))
    if scale == 1 and fixed == _UNITY:
        return ONE, b
    return (
        to_term({m: c * scale for m, c in fixed.items()}),
        to_term({m: c / scale for m, c in rest.items()}),
    )


def _split_factor(poly: Poly) -> tuple[Poly, Poly]:
    """A polynomial as a product of one that does not vary, as large as possible, and one that does."""
    parts: dict[Monomial, Poly] = {}
    for (factors, exponent), coefficient in poly.items():
        varying = frozenset(f for f in factors if f[0].varying)
        moving = frozenset(e for e in exponent if depends(e[0], lambda atom: atom.varying))
        fixed = (factors - varying, exponent - moving)
        parts.setdefault((varying, moving), {})[fixed] = coefficient
    first, *others = parts.values()
    if as_number(first) is not None:
        return _UNITY, poly
    scales = [Fraction(1)]
    for other in others:
        monomial = next(iter(first))
        ratio = other.get(monomial, Fraction(0)) / first[monomial]
        if not ratio or other != {m: c * ratio for m, c in first.items()}:
            break
        scales.append(ratio)
    else:
        return first, dict(zip(parts, scales, strict=True))
    all_fixed = [monomial for part in parts.values() for monomial in part]
    still = frozenset.intersection(*(factors for factors, _ in all_fixed))
    resting = frozenset.intersection(*(exponent for _, exponent in all_fixed))
    return {(still, resting): Fraction(1)}, {(m[0] - still, m[1] - resting): c for m, c in poly.items()}


def _sign(poly: Poly) -> int:
    """1 or -1: of `poly` and -`poly`, what is known not to be negative, or else has a positive first term."""
    low, high = bounds(to_term(poly))
    if low >= 0 or high <= 0:
        return 1 if low >= 0 else -1
    return 1 if poly[leading(poly)] > 0 else -1


def _add(term: Term) -> list[Pair]:
    return _pairs(term.args[0]) + _pairs(term.args[1])


def _negated(pairs: list[Pair]) -> list[Pair]:
    return [(a, t.neg(b)) for a, b in pairs]


def _sub(term: Term) -> list[Pair]:
    return _pairs(term.args[0]) + _negated(_pairs(term.args[1]))


def _mul(term: Term) -> list[Pair]:
    left, right = map(_pairs, term.args)
    return [(product(a, c), product(b, d)) for a, b in left for c, d in right]


def _div(term: Term) -> list[Pair]:
    above, below = term.args
    pairs = _pairs(above)
    if not below.element:
        return [(a, quotient(b, below)) for a, b in pairs]
    if not below.varying:
        return [(quotient(a, below), b) for a, b in pairs]
    c, d = _single(below, "a / b of a divisor that is one product A(s) * B(r)")
    return [(quotient(a, c), quotient(b, d)) for a, b in pairs]


def _single(term: Term, law: str) -> Pair:
    """The only pair of `term`."""
    pairs = separate(term)
    if len(pairs) != 1:
        raise Inseparable(term, law)
    return pairs[0]


def additive(term: Term) -> Pair:
    """E(element) and R(row) with `term` = E + R; constants are in R."""
    return _known(_additive, term)


def _additive(term: Term) -> Pair:
    law = "a sum of a part of s and a part of r"
    element, row = ZERO, ZERO
    for a, b in separate(term):
        poly = normal(b)
        if not a.element:
            row = t.add(row, product(a, b))
        elif not varies(poly):
            element = t.add(element, product(a, to_term(poly) if b.varying else b))
        else:
            raise Inseparable(t.mul(a, b), law)
    fixed, element = _fixed_summands(element)
    return element, simplify(t.add(row, fixed)) if row.varying else t.add(row, fixed)


def _fixed_summands(element: Term) -> Pair:
    """The summands of a function of the element that do not depend on it, and the rest."""
    if element.op not in ("add", "sub"):
        return ZERO, element
    poly = normal(element)
    fixed = {m: c for m, c in poly.items() if not depends(m, lambda atom: atom.element)}
    if not fixed:
        return ZERO, element
    return to_term(fixed), to_term({m: c for m, c in poly.items() if m not in fixed})


def _exp(term: Term) -> list[Pair]:
    element, row = additive(term.args[0])
    return [(t.exp(element), t.exp(row))]


def _log(term: Term) -> list[Pair]:
    a, b = _single(term.args[0], "log(a b) = log a + log b of one product")
    if nonnegative(b) and nonnegative(a):
        return [(_logarithm(a), ONE), (ONE, _logarithm(b))]
    raise Inseparable(term, "log(a b) = log a + log b, with a and b known to be at least 0")


def _logarithm(term: Term) -> Term:
    return term.args[0] if term.op == "exp" else t.log(term)


def _abs(term: Term) -> list[Pair]:
    a, b = _single(term.args[0], "|a b| = |a| |b| of one product")
    return [(t.absolute(a), b if nonnegative(b) else t.absolute(b))]


def _max(term: Term) -> list[Pair]:
    x, y = term.args
    if (found := _common_factor(term.op, x, y)) is not None:
        return found
    try:
        (e, r), (f, q) = additive(x), additive(y)
    except Inseparable:
        raise Inseparable(
            term, f"{term.op}(a + r, b + r) = {term.op}(a, b) + r or the same of a factor"
        ) from None
    (fixed_e, r), (fixed_f, q) = _fixed_part(r), _fixed_part(q)
    if equal(r, q):
        return [(t.rebuild(term, (t.add(e, fixed_e), t.add(f, fixed_f))), ONE), (ONE, r)]
    raise Inseparable(term, f"{term.op}(a + r, b + r) = {term.op}(a, b) + r or the same of a factor")


def _fixed_part(row: Term) -> Pair:
    """The summands of a row term that do not vary, and the others."""
    if not row.varying:
        return row, ZERO
    poly = normal(row)
    fixed = {m: c for m, c in poly.items() if not depends(m, lambda atom: atom.varying)}
    if not fixed:
        return ZERO, row
    return to_term(fixed), to_term({m: c for m, c in poly.items() if m not in fixed})


def _common_factor(op: str, x: Term, y: Term) -> list[Pair] | None:
    """max(a c, b c) = c max(a, b) for c >= 0, c min(a, b) for c <= 0."""
    found: list[Pair | None] = []
    for part in (x, y):
        pairs = [] if part is ZERO else separate(part)
        if not pairs:  # 0 has every factor
            found.append(None)
            continue
        if len(pairs) != 1:
            return None
        fixed, varying = _fixed_factor(pairs[0][1])
        found.append((product(pairs[0][0], fixed), varying))
    factors = [pair[1] for pair in found if pair is not None]
    if not factors or not all(equal(factor, factors[0]) for factor in factors):
        return None
    low, high = bounds(factors[0])
    if low < 0 < high:
        return None
    a, b = (ZERO if pair is None else pair[0] for pair in found)
    flipped = {"max": "min", "min": "max"}[op]
    return [(t.rebuild(t.make(op if low >= 0 else flipped, (x, y)), (a, b)), factors[0])]


def _root(term: Term) -> list[Pair]:
    a, b = _single(term.args[0], f"{term.op} of one product")
    if nonnegative(b) and nonnegative(a):
        rest = term.args[1:]
        return [(t.rebuild(term, (a, *rest)), t.rebuild(term, (b, *rest)))]
    raise Inseparable(term, f"{term.op} of a product whose factors are known to be at least 0")


def _powf(term: Term) -> list[Pair]:
    base, exponent = term.args
    k = t.value_of(exponent)
    if k is not None and k == int(k) and 2 <= k <= 4:
        result = base
        for _ in range(int(k) - 1):
            result = t.mul(result, base)
        return _pairs(result)
    if exponent.varying or exponent.element:
        raise Inseparable(term, "a power with a fixed exponent")
    return _root(term)


def _select(term: Term) -> list[Pair]:
    condition, x, y = term.args
    if condition.element and condition.varying:
        raise Inseparable(condition, "a condition of s alone or of r alone")
    if condition.element:
        found: list[Pair] = []
        rest = _pairs(y)
        for a, b in _pairs(x):
            twin = next((pair for pair in rest if pair[1] is b or equal(pair[1], b)), None)
            if twin is not None:
                rest.remove(twin)
            found.append((t.select(condition, a, twin[0] if twin else ZERO), b))
        return found + [(t.select(condition, ZERO, a), b) for a, b in rest]
    found, rest = [], _pairs(y)
    for a, b in _pairs(x):
        twin = next((pair for pair in rest if pair[0] is a), None)
        if twin is not None:
            rest.remove(twin)
        found.append((a, t.select(condition, b, twin[1] if twin else ZERO)))
    return found + [(a, t.select(condition, ZERO, b)) for a, b in rest]


_RULES: dict[str, Callable[[Term], list[Pair]]] = {
    "add": _add,
    "sub": _sub,
    "neg": lambda term: _negated(_pairs(term.args[0])),
    "mul": _mul,
    "div": _div,
    "exp": _exp,
    "log": _log,
    "abs": _abs,
    "max": _max,
    "min": _max,
    "sqrt": _root,
    "cbrt": _root,
    "powf": _powf,
    "select": _select,
}


# ---- reductions ----------------------------------------------------------------------------------


def close(kind: str, term: Term, moment: Moment) -> Term:
    """The reduction of `term` over a row that has an element, in moments. Raises `Inseparable`."""
    check_size(term)
    if kind == "sum":
        return _close_sum(term, moment)
    if kind == "prod":
        return _close_product(term, moment)
    return extremum(kind, term, moment)


def _close_sum(term: Term, moment: Moment) -> Term:
    if not term.varying and term.element:
        return moment("sum", term, True)
    return simplify(t.total(scaled(b, moment("sum", a, not scales_powers(b))) for a, b in separate(term)))


def scales_powers(term: Term) -> bool:
    """Whether a factor that varies holds a power, which may make other powers larger or smaller."""
    return any(depends((frozenset(), exponent), lambda atom: atom.varying) for _, exponent in normal(term))


def _close_product(term: Term, moment: Moment) -> Term:
    if not term.varying and term.element:
        return moment("prod", term, True)
    if term.op == "exp":
        return t.exp(_close_sum(term.args[0], moment))
    pairs = separate(term)
    if len(pairs) != 1:
        raise Inseparable(term, "a product over j of one product A(s) * B(r)")
    a, b = pairs[0]
    if b is ONE:
        return moment("prod", a)
    if positive(a) and positive(b):
        # Not as a product of the a times a power of b: both may be out of range where what they give is not.
        return t.exp(_close_sum(to_term(normal(t.add(t.log(a), t.log(b)))), moment))
    if a.element:
        raise Inseparable(term, "a product over j of factors known to be positive")
    return t.power(b, moment("sum", ONE))


_OTHER = {"max": "min", "min": "max"}


def extremum(kind: str, term: Term, moment: Moment) -> Term:
    """The largest or smallest value over a row that has an element, in moments. Raises `Inseparable`."""
    if not term.element:
        return term
    if not term.varying:
        return moment(kind, term, True)
    op, args = term.op, term.args
    if op in INCREASING:
        return t.rebuild(term, [extremum(kind, args[0], moment)])
    if op == kind or (op == _OTHER.get(kind) and not all(arg.element for arg in args)):
        return t.rebuild(term, [extremum(kind, arg, moment) for arg in args])
    if op == "abs" and kind == "max":
        highest, lowest = (extremum(each, args[0], moment) for each in ("max", "min"))
        return t.maximum(highest, t.neg(lowest))
    if op == "neg":
        return t.neg(extremum(_OTHER[kind], args[0], moment))
    if op == "select" and not args[0].element:
        return t.select(args[0], *(extremum(kind, arg, moment) for arg in args[1:]))
    if (found := _power(term)) is not None:
        factor, exponent = found
        return _monotone(factor, lambda each: t.exp(extremum(each, exponent, moment)), kind)
    pairs = separate(term)
    moving = [pair for pair in pairs if pair[0].element]
    if len(moving) != 1:
        raise Inseparable(term, f"{kind}_j (a(s) b(r) + c(r)) = b(r) {kind}_j a(s) + c(r)")
    ((a, b),) = moving
    rest = t.total(product(*pair) for pair in pairs if not pair[0].element)
    as_written = not scales_powers(b)
    return simplify(t.add(_monotone(b, lambda each: moment(each, a, as_written), kind), rest))


def _monotone(factor: Term, found: Callable[[str], Term], kind: str) -> Term:
    """The largest or smallest product with a factor of the row: of the largest or of the smallest value."""
    low, high = bounds(factor)
    if low >= 0 or high <= 0:
        return simplify(scaled(factor, found(kind if low >= 0 else _OTHER[kind])))
    up, down = (scaled(factor, found(each)) for each in (kind, _OTHER[kind]))
    return t.select(t.compare("oge", factor, ZERO), up, down)


def _power(term: Term) -> Pair | None:
    """c and f with `term` = c exp(f), where c is of the row: the largest power has the largest exponent."""
    if not has_powers(term):
        return None
    poly = normal(term)
    if len(poly) != 1:
        return None
    (((factors, exponent), scale),) = poly.items()
    if not exponent or any(base.element for base, _ in factors):
        return None
    return to_term({(factors, frozenset()): scale}), to_term(dict(exponent))
