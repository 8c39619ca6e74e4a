"""Normalisers as cascades of reductions, and the fewest passes over the keys that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aecompiler.algebra import terms as t
from aecompiler.algebra.intervals import bounds, nonnegative
from aecompiler.algebra.moments import Moments
from aecompiler.algebra.normal import simplify
from aecompiler.algebra.overflow import check_powers
from aecompiler.algebra.powers import is_finite
from aecompiler.algebra.separation import Inseparable, Pair, close, scaled, scales_powers, separate
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term


@dataclass(frozen=True)
class Reduction:
    """`symbol` is the reduction of `kind` over `value`, which may use earlier symbols."""

    symbol: Term
    kind: str
    value: Term

    @property
    def identity(self) -> Term:
        """Its value over nothing."""
        return t.IDENTITIES[self.kind]


@dataclass(frozen=True)
class Normalizer:
    """What a normalize region computes: reductions in order, the weight of an element, extras of the row."""

    reductions: tuple[Reduction, ...]
    weight: Term
    extras: tuple[Term, ...]

    @property
    def outputs(self) -> tuple[Term, ...]:
        """The weight and the extras."""
        return (self.weight, *self.extras)

    def at_identity(self, term: Term) -> Term:
        """`term` for a row without an element."""
        return t.substitute(term, {each.symbol: each.identity for each in self.reductions})


class CascadeError(Exception):
    """The cascade needs more passes than are allowed; `reduction` is its number, None for the weight."""

    def __init__(self, message: str, reduction: int | None):
        super().__init__(message)
        self.reduction = reduction


@dataclass(frozen=True)
class Accumulator:
    """A sum of v with the weights A(s) exp(-ref), which contributes it times a coefficient to the output."""

    weight: Term
    ref: Term
    coefficient: Term


@dataclass
class Step:
    """One pass over the keys."""

    moments: Moments
    stats: dict[Term, Term] = field(default_factory=dict)
    """Row terms that earlier passes have found, in symbols of reductions, and the symbols for them."""
    closed: dict[Term, Term] = field(default_factory=dict)
    """Each reduction of this pass in moments."""
    products: dict[Term, tuple[Pair, ...]] = field(default_factory=dict)
    """What the values of sums that depend on the row were separated into."""
    reasons: dict[int, Inseparable] = field(default_factory=dict)
    """Why reductions are left to later passes."""
    why_not_last: Inseparable | None = None
    accumulators: tuple[Accumulator, ...] = ()
    """Of the last pass: the sums of v with the weights, separated."""
    outputs: tuple[Term, ...] = ()
    """Of the last pass: the extras in moments. Of others: the row terms that later passes read."""
    last: bool = False

    def value(self, term: Term) -> Term:
        """`term` with statistics and reductions of this pass filled in."""
        return t.substitute(t.substitute(term, self.stats), self.closed)


class Planner:
    """Puts each reduction into the earliest pass in which it separates."""

    def __init__(self, normalizer: Normalizer):
        self.normalizer = normalizer
        self.live = live_reductions(normalizer)
        self.number = {each.symbol: n for n, each in enumerate(normalizer.reductions)}

    def first(self, moments: Moments) -> Step:
        """The first pass."""
        return self._pass(Step(moments), [r for r in self.normalizer.reductions if r.symbol in self.live])

    def following(self, before: Step, moments: Moments) -> Step:
        """The pass after `before`, which must not be the last."""
        left = [each for each in self.normalizer.reductions if self.number[each.symbol] in before.reasons]
        wanted = [each.value for each in left] + list(self.normalizer.outputs)
        unresolved = {each.symbol for each in left}
        stats = dict(before.stats)
        found: list[Term] = []
        for part in _row_parts(wanted, unresolved, stats):
            value = before.value(part)
            low, high = bounds(value)
            name = f"stat{len(stats)}"
            stats[part] = t.symbol(name, Depends.FIXED, low, high, key="stat")
            found.append(part)
        before.outputs = tuple(found)
        return self._pass(Step(moments, stats), left)

    def _pass(self, step: Step, reductions: Iterable[Reduction]) -> Step:
        unresolved: set[Term] = set()
        known = list(reductions)
        step.moments.values = tuple(
            step.value(term) for term in (*(each.value for each in known), *self.normalizer.outputs)
        )
        for each in known:
            value = step.value(each.value)
            try:
                waiting = unresolved.intersection(t.symbols(value))
                if waiting:
                    raise Inseparable(
                        each.value, f"{t.name_of(next(iter(waiting)))}, which a later pass finds"
                    )
                closed = step.moments.deviations(value) if each.kind == "sum" else None
                if closed is None:
                    closed = close(each.kind, value, step.moments)
                    if each.kind == "sum" and value.varying:
                        step.products[each.symbol] = tuple(separate(value))
                if value.varying:
                    # A product that is a power is as large as it was.
                    itself = each.kind == "prod" and closed.op == "exp"
                    check_powers(closed.args if itself else [closed], value, step.moments)
                if each.kind == "sum" and nonnegative(value) and not nonnegative(closed):
                    # Rounding must not make a sum of squares negative.
                    closed = t.maximum(closed, t.ZERO)
                step.closed[each.symbol] = closed
            except Inseparable as reason:
                step.reasons[self.number[each.symbol]] = reason
                unresolved.add(each.symbol)
        outputs = [step.value(term) for term in self.normalizer.outputs]
        if unresolved.intersection(t.symbols(*outputs)):
            return step
        try:
            weight, *extras = outputs
            pairs = separate(weight)
            step.accumulators = tuple(_accumulated(pairs, step.moments))
            step.outputs = tuple(extras)
            if weight.varying:
                _check_guards(pairs, weight)
                check_powers((each.coefficient for each in step.accumulators), weight, step.moments)
            for extra in extras:
                check_powers([simplify(extra)], extra, step.moments)
        except Inseparable as reason:
            step.why_not_last = reason
        else:
            step.last = True
        return step


def _accumulated(pairs: Iterable[Pair], moments: Moments) -> Iterable[Accumulator]:
    for a, b in pairs or ((ZERO, ONE),):
        ref = ZERO if b is ONE else moments.reference(a, not scales_powers(b))
        yield Accumulator(a, ref, simplify(scaled(b, t.exp(ref))))


def _check_guards(pairs: Iterable[Pair], weight: Term) -> None:
    """A weight that a choice of the row leaves out counts 0 times, which an infinite one would make NaN."""
    for a, b in pairs:
        if any(part.op == "select" and ZERO in part.args[1:] for part in t.parts(b)) and not is_finite(a):
            raise Inseparable(weight, f"a value {a!r} that is finite where it is not chosen")


def live_reductions(normalizer: Normalizer) -> set[Term]:
    """The symbols of the reductions that the outputs need."""
    values = {each.symbol: each.value for each in normalizer.reductions}
    live: set[Term] = set()
    pending = [part for part in t.symbols(*normalizer.outputs) if part in values]
    while pending:
        symbol = pending.pop()
        if symbol not in live:
            live.add(symbol)
            pending += [part for part in t.symbols(values[symbol]) if part in values]
    return live


def _row_parts(terms: Sequence[Term], unresolved: set[Term], stats: Mapping[Term, Term]) -> list[Term]:
    """The outermost parts that depend on the row alone and are known now, without those known before."""
    found: dict[Term, None] = {}
    seen: set[Term] = set()

    def visit(part: Term) -> None:
        if part in seen or part in stats:
            return
        seen.add(part)
        is_number = part.op not in ("cmp", "fn")  # of others the type is not known here
        if is_number and part.varying and not part.element and unresolved.isdisjoint(t.symbols(part)):
            found[part] = None
            return
        for arg in part.args:
            visit(arg)

    for term in terms:
        visit(term)
    return list(found)
