"""From a normaliser to its streaming forms, one for each pass over the keys."""

from __future__ import annotations

import dataclasses
import math

from aecompiler.algebra import terms as t
from aecompiler.algebra.cascade import CascadeError, Normalizer, Planner, Step
from aecompiler.algebra.explanation import Explanation
from aecompiler.algebra.folding import fold, is_finite, is_nan
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.laws import LawError, check
from aecompiler.algebra.moments import ANCHOR, REFERENCE, Moments, State
from aecompiler.algebra.moving import merged, rescale, updated
from aecompiler.algebra.normal import simplify
from aecompiler.algebra.polynomials import TooLargeError
from aecompiler.algebra.propagation import propagates
from aecompiler.algebra.scaling import guarded, shifted
from aecompiler.algebra.separation import Inseparable
from aecompiler.algebra.streaming import DerivedPass, Options, StreamingForm, rename
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term


def derive(normalizer: Normalizer, score: Term, options: Options, max_passes: int) -> list[DerivedPass]:
    """The forms of the fewest passes, with all laws proved; `CascadeError` if that fails.

    `score` is the symbol of the score, which is not -inf at an element.
    """
    try:
        return _derived(normalizer, score, options, max_passes)
    except (TooLargeError, LawError):
        # Powers of sums about an anchor have more summands than those of the sums alone.
        options = dataclasses.replace(options, anchors=False)
    try:
        return _derived(normalizer, score, options, max_passes)
    except TooLargeError:
        raise CascadeError("unsupported: a normaliser whose formulas grow beyond all bounds", None) from None
    except LawError as error:
        raise CascadeError(
            f"unsupported: a normaliser with a law that is not proved, {error}", None
        ) from None


def _derived(normalizer: Normalizer, score: Term, options: Options, max_passes: int) -> list[DerivedPass]:
    steps = _planned(normalizer, options, max_passes)
    passes: list[DerivedPass] = []
    known: list[Term] = []
    for number, step in enumerate(steps):
        maker = _FormMaker(normalizer, score, step, options)
        maker.why.passes(number, len(steps))
        form = maker.last() if step.last else maker.statistics()
        maker.why.proved(check(form, maker.anchors, options.most))
        following = [] if step.last else steps[number + 1].stats.values()
        stats = [symbol for symbol in following if symbol not in known]
        known += stats
        passes.append(DerivedPass(form, tuple(stats), tuple(maker.why.lines)))
    return passes


def _planned(normalizer: Normalizer, options: Options, max_passes: int) -> list[Step]:
    planner = Planner(normalizer)
    steps = [_readable(planner.first(Moments(options)))]
    while not steps[-1].last:
        if len(steps) >= max_passes:
            raise _too_many(steps[-1], max_passes)
        steps.append(_readable(_following(planner, steps[-1], Moments(options))))
    return steps


def _readable(step: Step) -> Step:
    """The step, with reductions by their numbers in its reasons: the states in them have no names yet."""
    assert isinstance(step.moments, Moments)
    names = {value: symbol for symbol, value in step.closed.items() if value.args or value.op == "sym"}
    known: dict[Term, Term] = {}
    for symbol, state in step.moments.states.items():
        written = t.substitute(shifted(state.value, state.ref), known)
        known[symbol] = t.reduce(state.kind, written) if state.kind in t.IDENTITIES else written

    def named(reason: Inseparable) -> Inseparable:
        return Inseparable(t.substitute(t.substitute(reason.part, names), known), reason.law)

    step.reasons = {number: named(reason) for number, reason in step.reasons.items()}
    step.why_not_last = None if step.why_not_last is None else named(step.why_not_last)
    return step


def _following(planner: Planner, before: Step, moments: Moments) -> Step:
    """The next pass, which knows that a value is at most its maximum."""
    # The statistics are known once the pass is planned; what is bounded is asked while it is: plan twice.
    probe = planner.following(before, Moments(moments.options))
    ceilings = [
        (probe.stats[each.symbol], t.substitute(each.value, probe.stats))
        for each in planner.normalizer.reductions
        if each.kind == "max" and each.symbol in probe.stats
    ]
    known = [(most, value) for most, value in ceilings if not value.varying]
    moments.expect(known)
    return planner.following(before, moments)


def _too_many(step: Step, allowed: int) -> CascadeError:
    number, reason = next(iter(step.reasons.items()), (None, step.why_not_last))
    law = f": {reason.part!r} needs {reason.law}" if reason is not None else ""
    what = "the weight does" if number is None else f"reduction {number} does"
    more = f"{allowed} pass{'es' if allowed > 1 else ''}"
    return CascadeError(
        f"expects a normaliser of at most {more} over the keys; {what} not separate{law}", number
    )


class _FormMaker:
    """Makes the form of one planned pass."""

    def __init__(self, normalizer: Normalizer, score: Term, step: Step, options: Options):
        assert isinstance(step.moments, Moments)
        self.normalizer, self.score, self.step = normalizer, score, step
        self.moments, self.options = step.moments, options
        self.anchors: list[int] = []
        """The states that are anchors."""
        self.why = Explanation(normalizer, step, self.moments)

    def statistics(self) -> StreamingForm:
        """A pass before the last: its extras are the row terms that later passes read."""
        originals = list(self.step.outputs)
        extras = [simplify(self.step.value(part)) for part in originals]
        return self._form([], [], self._with_nan(extras, originals))

    def last(self) -> StreamingForm:
        """The last pass: the weighted sum of v, and the extras."""
        accumulators = [(each.weight, each.ref) for each in self.step.accumulators]
        coefficients = [each.coefficient for each in self.step.accumulators]
        if not any(self._carries_nan(a) for a, _ in accumulators):
            carried = self._with_nan([t.total(coefficients)], [self.normalizer.weight])
            if carried != [t.total(coefficients)]:
                coefficients[0] = self._or_nan(coefficients[0])
        extras = [simplify(extra) for extra in self.step.outputs]
        extras = self._with_nan(extras, list(self.normalizer.extras))
        return self._form(accumulators, coefficients, extras)

    def _with_nan(self, derived: list[Term], originals: list[Term]) -> list[Term]:
        """`derived`, made NaN for a score that is NaN where that follows from `originals` and is lost."""
        return [
            self._or_nan(term) if self._carries_nan(original) and not self._carries_nan(term) else term
            for term, original in zip(derived, originals, strict=True)
        ]

    def _or_nan(self, term: Term) -> Term:
        largest = self.moments("max", self.score)
        return t.select(t.compare("uno", largest, largest), largest, term)

    def _carries_nan(self, term: Term) -> bool:
        """Whether the term is NaN when a score is."""
        values = {each.symbol: each.value for each in self.normalizer.reductions}
        values |= {symbol: part for part, symbol in self.step.stats.items()}

        def of_symbol(symbol: Term) -> bool:
            if symbol in values:
                return propagates(values[symbol], of_symbol)
            state = self.moments.states.get(symbol)
            return symbol is self.score or (state is not None and propagates(state.value, of_symbol))

        return propagates(term, of_symbol)

    def _form(
        self, accumulators: list[tuple[Term, Term]], coefficients: list[Term], extras: list[Term]
    ) -> StreamingForm:
        refs = [ref for _, ref in accumulators]
        needed = [*coefficients, *extras, *refs]
        identity = {state.symbol: state.identity for state in self.moments.states.values()}
        guard_coefficient = [not is_finite(fold(term, identity)) for term in coefficients]
        at_empty = [self._empty_extra(n, term, identity) for n, term in enumerate(extras)]
        if any(guard_coefficient) or any(value is not None for value in at_empty):
            empty = self._emptiness(self.moments.live(needed))
            needed.append(empty)
            coefficients = [
                t.select(empty, ZERO, term) if guard else term
                for term, guard in zip(coefficients, guard_coefficient, strict=True)
            ]
            extras = [
                term if value is None else t.select(empty, value, term)
                for term, value in zip(extras, at_empty, strict=True)
            ]
        states = self.moments.live(needed)
        self.anchors = [number for number, state in enumerate(states) if state.kind == ANCHOR]
        form = _assemble(states, accumulators, coefficients, extras)
        return self._renamed(form, states, accumulators)

    def _empty_extra(self, number: int, term: Term, identity: dict[Term, Term]) -> Term | None:
        """What an extra is for a row without an element; None where its formula gives that already."""
        if not self.step.last:
            # Nothing of the row is read later; but infinite * 0 in a rescale would make it NaN.
            return None if is_finite(fold(term, identity)) else ZERO
        wanted = fold(self.normalizer.at_identity(self.normalizer.extras[number]))
        if is_nan(wanted):
            wanted = ZERO
        elif t.value_of(wanted) is None:
            wanted = t.select(t.compare("une", wanted, wanted), ZERO, wanted)
        given = fold(term, identity)
        return None if given is wanted and t.value_of(given) is not None else wanted

    def _emptiness(self, live: list[State]) -> Term:
        """A condition of the states that tells whether the row has had no element."""
        for state in live:
            reaches = state.value is self.score or bounds(state.value)[0] > float("-inf")
            largest = t.reduce("max", self.score)
            lagging = (
                state.kind == REFERENCE
                and state.identity is t.MINUS_INFINITY
                and all(part is largest for part in t.parts(state.value) if part.op == "reduce")
            )
            if lagging or (state.kind == "max" and reaches):
                return t.compare("oeq", state.symbol, t.MINUS_INFINITY)
            # A sum of values well above underflow is 0 only where nothing is summed.
            least, smallest = bounds(state.value)[0], math.exp(-1.1 * self.options.bounded)
            if state.kind == "sum" and state.ref is ZERO and least >= smallest:
                return t.compare("oeq", state.symbol, ZERO)
        return t.compare("oeq", self.moments("sum", ONE), ZERO)

    def _renamed(
        self, form: StreamingForm, states: list[State], accumulators: list[tuple[Term, Term]]
    ) -> StreamingForm:
        names = {
            state.symbol: t.symbol(f"x{n}", Depends.VARYING, *state.symbol.data[2:4])
            for n, state in enumerate(states)
        }
        for side, symbols in (("a", form.left), ("b", form.right)):
            names |= {
                symbol: t.symbol(f"{side}{n}", Depends.VARYING, *symbol.data[2:4])
                for n, symbol in enumerate(symbols)
            }
        renamed = rename(form, names)
        self.why.form(renamed, states, accumulators, names)
        return renamed


def _assemble(
    states: list[State],
    accumulators: list[tuple[Term, Term]],
    coefficients: list[Term],
    extras: list[Term],
) -> StreamingForm:
    sides = []
    for side in ("a", "b"):
        sides.append(
            {
                state.symbol: t.symbol(f"{side}{n}", Depends.VARYING, *state.symbol.data[2:4], key="side")
                for n, state in enumerate(states)
            }
        )
    left, right = sides
    new, joined = updated(states), merged(states, left, right)
    after = [guarded(t.substitute(ref, new)) for _, ref in accumulators]
    both = [guarded(t.substitute(ref, joined)) for _, ref in accumulators]
    refs = [ref for _, ref in accumulators]
    return StreamingForm(
        states=tuple(state.symbol for state in states),
        init=tuple(state.identity for state in states),
        update=tuple(new[state.symbol] for state in states),
        rescales=tuple(map(rescale, refs, after)),
        weights=tuple(shifted(a, ref) for (a, _), ref in zip(accumulators, after, strict=True)),
        left=tuple(left.values()),
        right=tuple(right.values()),
        merged=tuple(joined[state.symbol] for state in states),
        rescales_left=tuple(rescale(t.substitute(ref, left), b) for ref, b in zip(refs, both, strict=True)),
        rescales_right=tuple(rescale(t.substitute(ref, right), b) for ref, b in zip(refs, both, strict=True)),
        coefficients=tuple(coefficients),
        extras=tuple(extras),
    )
