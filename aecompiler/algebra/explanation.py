"""The derivation of a streaming form as plain formulas, for people to follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aecompiler.algebra import terms as t
from aecompiler.algebra.cascade import Normalizer, Step
from aecompiler.algebra.deviations import Product, deviations
from aecompiler.algebra.laws import Proof
from aecompiler.algebra.moments import ANCHOR, REFERENCE, Moments, State
from aecompiler.algebra.normal import simplify
from aecompiler.algebra.printing import factor, formula
from aecompiler.algebra.scaling import guarded, may_be_minus_infinity, shifted
from aecompiler.algebra.separation import Inseparable
from aecompiler.algebra.streaming import StreamingForm
from aecompiler.algebra.terms import ZERO, Depends, Term

Rename = Callable[[Term], Term]


class Explanation:
    """Collects the lines of one pass."""

    def __init__(self, normalizer: Normalizer, step: Step, moments: Moments):
        self.normalizer, self.step, self.moments = normalizer, step, moments
        self.lines: list[str] = []

    def passes(self, number: int, count: int) -> None:
        """Which pass it is, and why it is not the only one."""
        step = self.step
        if count == 1:
            self.lines.append("passes: 1, every reduction separates")
            return
        self.lines.append(f"passes: {number + 1} of {count}")
        for index, reason in step.reasons.items():
            self.lines.append(f"separation: r{index} is left to the next pass, {_because(reason)}")
        if step.why_not_last is not None:
            self.lines.append(
                f"separation: the weight is left to the next pass, {_because(step.why_not_last)}"
            )

    def form(
        self,
        form: StreamingForm,
        states: list[State],
        accumulators: list[tuple[Term, Term]],
        names: Mapping[Term, Term],
    ) -> None:
        """The reductions in states, the states with their laws, and the result."""

        live = {state.symbol for state in states}
        # What is no state is written as the reduction that it is.
        unnamed = {
            symbol: t.reduce(state.kind, shifted(state.value, state.ref))
            for symbol, state in self.moments.states.items()
            if symbol not in live
        }

        def renamed(term: Term) -> Term:
            return t.substitute(t.substitute(term, unnamed), names)

        self._statistics()
        for index, each in enumerate(self.normalizer.reductions):
            if each.symbol in self.step.closed:
                self._reduction(index, each.kind, each.value, self.step.closed[each.symbol], renamed)
        after: dict[Term, Term] = {}
        for symbol, new in zip(form.states, form.update, strict=True):
            after[new] = after[guarded(new)] = t.symbol(f"{t.name_of(symbol)}'", Depends.VARYING)
        for state, symbol, new in zip(states, form.states, form.update, strict=True):
            others = {term: name for term, name in after.items() if term is not new}
            self._state(state, symbol, t.substitute(new, others), renamed)
        if any(map(may_be_minus_infinity, (state.ref for state in states))):
            self.lines.append(
                "reference: -inf, before there is an element, counts as 0 where it is subtracted"
            )
        for exponent in self.moments.bounded:
            self.lines.append(f"bounded: exponent {formula(exponent)} needs no reference")
        for (a, ref), scale in zip(accumulators, form.rescales, strict=True):
            shown = formula(t.substitute(scale, after)) if ref is not ZERO else "1"
            what = f"sum_j {factor(renamed(shifted(a, ref)))} v_j"
            self.lines.append(f"accumulator: {what}, rescaled by {shown}")
        parts = [
            f"acc{n}" if c is t.ONE else f"{factor(c)} * acc{n}" for n, c in enumerate(form.coefficients)
        ]
        if parts:
            self.lines.append("output: o = " + " + ".join(parts))
        for n, extra in enumerate(form.extras):
            name = f"extra{n}" if self.step.last else f"statistic {n}"
            self.lines.append(f"output: {name} = {formula(extra)}")

    def proved(self, proof: Proof) -> None:
        """What was proved of the form, by `laws`."""
        self.lines += [f"proved: {line}" for line in proof.lines]

    def _statistics(self) -> None:
        for part, symbol in self.step.stats.items():
            self.lines.append(f"statistic: {formula(symbol)} = {formula(part)}, from an earlier pass")

    def _reduction(self, index: int, kind: str, value: Term, closed: Term, renamed: Rename) -> None:
        seen = self.step.value(value)
        self.lines.append(f"cascade: r{index} = {kind}_j {factor(value)}")
        anchored = seen.varying and kind == "sum" and self.moments.options.anchors
        if anchored and (products := _expansion(value)) is not None:
            about = formula(t.total(each.term for each in products))
            self.lines.append(f"deviations: {formula(value)} = {about}, for any a")
        elif (pairs := self.step.products.get(self.normalizer.reductions[index].symbol)) is not None:
            shown = " + ".join(f"{factor(a)} * {factor(renamed(b))}" for a, b in pairs)
            self.lines.append(f"separation: {formula(renamed(seen))} = {shown}")
        self.lines.append(f"separation: r{index} = {formula(renamed(simplify(closed)))}")

    def _state(self, state: State, symbol: Term, new: Term, renamed: Rename) -> None:
        name = formula(symbol)
        if state.kind == REFERENCE:
            bound = self.moments.options.lazy
            lag = formula(state.lag)
            self.lines.append(
                f"reference: {name} follows {formula(state.value)} when that is more than {lag} larger; "
                f"powers are at most e^{bound:g}, and results do not depend on {name}, "
                "so only rounding and the range that is left to sums change"
            )
            return
        if state.kind == ANCHOR:
            weights = "" if state.weight is t.ONE else f" with the weights {formula(renamed(state.weight))}"
            self.lines.append(
                f"anchor: {name} follows the mean of {formula(state.value)}{weights}; "
                f"{name}' = {formula(new)}; results do not depend on {name}, so only rounding changes"
            )
            self.lines.append(
                f"anchor: sums about {name} move to {name}' by the binomial theorem, "
                f"x - {name}' = (x - {name}) + ({name} - {name}')"
            )
            return
        what = f"{state.kind}_j {factor(renamed(shifted(state.value, state.ref)))}"
        self.lines.append(f"state: {name} = {what}; {name}' = {formula(new)}")


def _expansion(value: Term) -> list[Product] | None:
    try:
        return deviations(value)
    except Inseparable:
        return None


def _because(reason: Inseparable) -> str:
    return f"{formula(reason.part)} needs {reason.law}"
