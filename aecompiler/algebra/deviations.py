"""Deviations: polynomials in x - a, for a value x of the element and a number a near it.

Taylor's theorem for a polynomial f is exact: f(x, r) = sum_k f_k(a, r) (x - a)^k, whatever a is. Each f_k is
made as f is, so that a difference of f stays one: (x - r)^2 = (x - a)^2 + 2 (a - r) (x - a) + (a - r)^2. With
a close to the x, none of the summands is much larger than what they sum up to; sums of x^2, x and 1 are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aecompiler.algebra import terms as t
from aecompiler.algebra.normal import normal, simplify
from aecompiler.algebra.scaling import has_power
from aecompiler.algebra.separation import MAX_PAIRS, Inseparable, product, quotient, separate
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term

MAX_DEGREE = 4
"""The most deviations in a product; sums of higher powers are gathered as they are."""


@dataclass(frozen=True)
class Product:
    """`weight` * `factor` * the deviations of `bases`: a weight of the element, a factor of the row."""

    bases: tuple[Term, ...]
    weight: Term
    factor: Term

    @property
    def term(self) -> Term:
        """The product as one term."""
        value = self.weight
        for base in self.bases:
            value = t.mul(value, t.sub(base, anchor_of(base)))
        return t.mul(self.factor, value)


def anchor_of(base: Term) -> Term:
    """The symbol for the number that is subtracted from `base`."""
    return t.symbol("a", Depends.VARYING, key=("anchor", base))


def deviations(term: Term) -> list[Product] | None:
    """The products that sum up to `term`, about any anchors; None if no two deviations are multiplied.

    Raises `Inseparable` as `separate` does.
    """
    if not (term.element and term.varying):
        return None
    bases = _bases(term)
    products = _expanded(term, bases) if bases else []
    degree = max((len(each.bases) for each in products), default=0)
    return products if 2 <= degree <= MAX_DEGREE else None


def _bases(term: Term) -> list[Term]:
    """The values of the element from which something of the row is subtracted, or to which it is added."""
    found: dict[Term, None] = {}

    def visit(part: Term, in_sum: bool) -> None:
        if not part.varying:
            if part.element and in_sum and not has_power(part):
                found[part] = None
        elif part.element and part.op in _RULES:
            if part.op == "powf" and _whole(part) is None:
                return
            arguments = part.args[1:] if part.op == "select" else part.args
            for arg in arguments:
                visit(arg, in_sum or part.op in ("add", "sub"))

    visit(term, False)
    return list(found)


def _expanded(term: Term, bases: list[Term]) -> list[Product]:
    if not term.element:
        return [Product((), ONE, term)]
    if not term.varying:
        if term in bases:
            return [Product((term,), ONE, ONE), Product((), ONE, anchor_of(term))]
        return [Product((), term, ONE)]
    rule = _RULES.get(term.op)
    found = None if rule is None else rule(term, bases)
    if found is None:
        found = [Product((), a, b) for a, b in separate(term)]
    if len(found) > MAX_PAIRS:
        raise Inseparable(term, f"fewer than {len(found)} products")
    return found


def _joined(products: Iterable[Product]) -> list[Product]:
    """One product for those that differ in their factors only. A sum with an anchor is held together."""
    groups: dict[tuple, list[Product]] = {}
    for each in products:
        groups.setdefault((each.bases, frozenset(normal(each.weight, True).items())), []).append(each)
    result = []
    for members in groups.values():
        first = members[0]
        factor = t.total(each.factor for each in members)
        if len(members) > 1:
            factor = t.held(factor) if _has_anchor(factor) else simplify(factor)
        if factor is not ZERO:
            result.append(Product(first.bases, first.weight, factor))
    return result


def _has_anchor(term: Term) -> bool:
    """Whether an anchor is in the term that nothing is subtracted from yet."""
    if term.op == "sym":
        return isinstance(term.data[4], tuple) and term.data[4][0] == "anchor"
    return term.op != "held" and any(map(_has_anchor, term.args))


def _sum(term: Term, bases: list[Term]) -> list[Product]:
    left, right = (_expanded(arg, bases) for arg in term.args)
    return _joined([*left, *(_negated(right) if term.op == "sub" else right)])


def _negated(products: list[Product]) -> list[Product]:
    return [Product(each.bases, each.weight, t.neg(each.factor)) for each in products]


def _multiplied(left: list[Product], right: list[Product]) -> list[Product]:
    if len(left) * len(right) > 4 * MAX_PAIRS:
        raise Inseparable(left[0].factor, "fewer products")
    return _joined(
        Product(
            tuple(sorted((*a.bases, *b.bases), key=t.order)),
            product(a.weight, b.weight),
            product(a.factor, b.factor),
        )
        for a in left
        for b in right
    )


def _product(term: Term, bases: list[Term]) -> list[Product]:
    return _multiplied(*(_expanded(arg, bases) for arg in term.args))


def _quotient(term: Term, bases: list[Term]) -> list[Product] | None:
    above, below = term.args
    if below.element and below.varying:
        return None
    products = _expanded(above, bases)
    if below.element:
        return [Product(each.bases, quotient(each.weight, below), each.factor) for each in products]
    return [Product(each.bases, each.weight, quotient(each.factor, below)) for each in products]


def _whole(term: Term) -> int | None:
    """The exponent of a power that is a product of a few factors."""
    exponent = t.value_of(term.args[1])
    return int(exponent) if exponent in (2.0, 3.0, 4.0) else None


def _power(term: Term, bases: list[Term]) -> list[Product] | None:
    exponent = _whole(term)
    if exponent is None:
        return None
    base = result = _expanded(term.args[0], bases)
    for _ in range(exponent - 1):
        result = _multiplied(result, base)
    return result


def _choice(term: Term, bases: list[Term]) -> list[Product] | None:
    condition, *_ = term.args
    if condition.element and condition.varying:
        return None
    sides = [_expanded(arg, bases) for arg in term.args[1:]]
    result = []
    for position, products in enumerate(sides):
        for each in products:
            chosen = each.weight if condition.element else each.factor
            new = t.select(condition, *((chosen, ZERO) if position == 0 else (ZERO, chosen)))
            pair = (new, each.factor) if condition.element else (each.weight, new)
            result.append(Product(each.bases, *pair))
    return result


_RULES = {
    "add": _sum,
    "sub": _sum,
    "neg": lambda term, bases: _negated(_expanded(term.args[0], bases)),
    "mul": _product,
    "div": _quotient,
    "powf": _power,
    "select": _choice,
}
