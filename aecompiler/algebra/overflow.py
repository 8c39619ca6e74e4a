"""A gate for what the laws of real numbers make of a normaliser: no power that overflows where none did.

Laws move factors: exp(s - m) is exp(s) exp(-m), and either may overflow. References take the sums back into
range; what is left of the powers in a formula of the row must be bounded, or stand in the normaliser, where
it overflows as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aecompiler.algebra import terms as t
from aecompiler.algebra.ceilings import is_bounded
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.moments import Moments
from aecompiler.algebra.normal import difference, normal
from aecompiler.algebra.polynomials import TooLargeError, to_term
from aecompiler.algebra.powers import grown, hidden, powers
from aecompiler.algebra.separation import Inseparable, extremum
from aecompiler.algebra.terms import Term

LAW = "powers that are bounded, or overflow where its own do"


def check_powers(formulas: Iterable[Term], value: Term, moments: Moments) -> None:
    """Raise `Inseparable` if one of the `formulas` of the row, made from `value`, may overflow on its own."""
    for formula in formulas:
        if not powers(formula) and not _open_powers(formula):
            continue
        written = _Written(value, moments)
        accepted = [each for each in powers(formula) if written.is_bounded(each)]
        for exponents, known in ((grown(formula), written.grown), (hidden(formula), written.anywhere)):
            for exponent in exponents:
                if exponent not in accepted and not written.has(exponent, known):
                    raise Inseparable(value, LAW)
        forms = [normal(part) for part in _open_powers(value)]
        if any(normal(part) not in forms for part in _open_powers(formula)):
            raise Inseparable(value, LAW)


def _open_powers(term: Term) -> list[Term]:
    """Powers whose exponent is no constant."""
    return [part for part in t.parts(term) if part.op == "powf" and part.args[1].op != "const"]


class _Written:
    """The exponents of the powers of a value."""

    def __init__(self, value: Term, moments: Moments):
        self.value, self.moments = value, moments
        self._extrema = {
            symbol: t.reduce(state.kind, state.value)
            for symbol, state in moments.states.items()
            if state.kind in ("max", "min")
        }
        self._ends: dict[Term, list[Term]] = {}

    def is_bounded(self, exponent: Term) -> bool:
        """Whether no state makes the power overflow."""
        if bounds(exponent)[1] <= self.moments.options.bounded or is_bounded(exponent):
            return True
        return is_bounded(t.substitute(exponent, self._extrema))

    def grown(self) -> list[Term]:
        """Those that make the value overflow."""
        return grown(self.value)

    def anywhere(self) -> list[Term]:
        """All of them."""
        return powers(self.value)

    def has(self, exponent: Term, known: Callable[[], list[Term]]) -> bool:
        """Whether the exponent is one of those `known`, at some element."""
        exponent = t.substitute(exponent, self.moments.suprema)
        if self.moments.suprema and self.is_bounded(exponent):
            return True
        if any(
            not difference(exponent, end)
            for each in dict.fromkeys((*known(), *self.grown()))
            for end in self._of_row(each)
        ):
            return True
        return self._by_case(exponent, known)

    def _by_case(self, exponent: Term, known: Callable[[], list[Term]]) -> bool:
        """For max(a, b) + c: whether that holds of a + c and of b + c."""
        poly = normal(exponent)
        for (factors, inner), coefficient in poly.items():
            if coefficient > 0 and not inner and len(factors) == 1:
                ((atom, power),) = factors
                if atom.op == "max" and power == 1:
                    rest = {m: c for m, c in poly.items() if m != (factors, inner)}
                    cases = [
                        t.add(t.mul(t.const(float(coefficient)), arg), to_term(rest)) for arg in atom.args
                    ]
                    return all(self.is_bounded(case) or self.has(case, known) for case in cases)
        return False

    def _of_row(self, exponent: Term) -> list[Term]:
        """The exponent; at the elements where it is largest and smallest if it is one of the element."""
        if exponent not in self._ends:
            ends = [exponent] if not exponent.element else []
            for kind in ("max", "min") if exponent.element else ():
                try:
                    end = extremum(kind, exponent, self.moments)
                    ends.append(t.substitute(end, self.moments.suprema))
                except (Inseparable, TooLargeError):
                    continue
            self._ends[exponent] = ends
        return self._ends[exponent]
