"""The laws of streaming forms, proved from a form alone.

A state means something for a set of elements: what `update` makes of `init` and the set as one tile. The laws
say that every other way to the same set gives the same: an empty tile changes nothing, two tiles after one
another and a merge give what their union gives. Merging then is associative and commutative, as unions are.
Meanings are formulas in moments of the set, and equal when their normal forms are.

A state may also be a *reference*, which is any number: then the laws of the other states must hold whatever
it is, and the results must not depend on it. Powers of states must be bounded, and what is not defined
everywhere must be proved to be: a law that cancels it says nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product

from aecompiler.algebra import terms as t
from aecompiler.algebra.ceilings import MOST, is_bounded, powers
from aecompiler.algebra.definedness import doubtful_parts
from aecompiler.algebra.folding import fold
from aecompiler.algebra.intervals import bounds, reduced
from aecompiler.algebra.moments import stripped
from aecompiler.algebra.normal import equal, normal
from aecompiler.algebra.polynomials import MAX_SIZE, TooLargeError, depends, to_term
from aecompiler.algebra.printing import formula
from aecompiler.algebra.resolution import has_infinity, resolve
from aecompiler.algebra.separation import Inseparable, close
from aecompiler.algebra.streaming import StreamingForm
from aecompiler.algebra.terms import ONE, ZERO, Depends, Term


class LawError(Exception):
    """A law does not hold, or is not proved to: for a state, an accumulator or a result, by its number."""

    def __init__(self, subject: str, law: str):
        super().__init__(f"{subject}: {law}")
        self.subject, self.law = subject, law


_EMPTY_TILE = "an empty tile changes nothing"
_TILES = "two tiles after one another give what their union gives"
_MERGE = "merging gives what the union gives"
_NEUTRAL = "merging with the initial state changes nothing"


_TOO_LARGE = "unsupported: formulas that grow beyond all bounds"
_UNDEFINED = "identity: no infinity is left once there is an element"

MAX_STATES = 64
"""The most states and accumulators of a form."""
_MAX_ATTEMPTS = 16
"""The most sets of states that are tried as the references."""


@dataclass(frozen=True)
class Proof:
    """What was proved of a form."""

    references: frozenset[int]
    """The states that are references."""
    lines: tuple[str, ...]
    """The equalities that were proved, as text."""


def check(form: StreamingForm, references: Iterable[int] = (), most: float = MOST) -> Proof:
    """Prove all laws, with powers of states at most e^`most`. Raises `LawError`.

    The states in `references` are references, and others that would break a law if they were none. Which
    others, is searched for where no reference is given.
    """
    _check_sizes(form)
    failed: list[LawError] = []
    tried: set[frozenset[int]] = set()
    given = frozenset(references)
    attempts = [(0, given)]
    while attempts and len(tried) < _MAX_ATTEMPTS:
        _, free = attempts.pop(0)
        if free in tried:
            continue
        tried.add(free)
        try:
            return _Checker(form, free, most).run()
        except _StateLawError as error:
            failed.append(error)
            # It is that state which is a reference, or else one that it moves with.
            choices = [
                (n, *(() if given else _moved_with(form, n))) for n in sorted(_movers(form, error.states))
            ]
            chosen = islice(product(*choices), _MAX_ATTEMPTS)
            attempts += [(len(error.states), free.union(choice)) for choice in chosen]
            attempts.sort(key=lambda attempt: attempt[0])  # the nearest to a proof first
        except LawError as error:
            failed.append(error)
        except TooLargeError:
            failed.append(LawError("the form", _TOO_LARGE))
    raise _refusal(failed) from None


def _refusal(failed: list[LawError]) -> LawError:
    """The first law that failed, and what fails if that is because the state is a reference."""
    first, *others = failed
    if isinstance(first, _StateLawError) and others:
        return LawError(first.subject, f"{first.law}; if it is a reference, {others[0]}")
    return first


def _movers(form: StreamingForm, failing: Sequence[int]) -> set[int]:
    """Those of the states that break a law for which no other such state may be the reason."""
    used = {n: set(t.symbols(form.update[n])) for n in failing}
    own = {n for n in failing if all(form.states[m] not in used[n] for m in failing if m != n)}
    return own or {failing[0]}


def _moved_with(form: StreamingForm, state: int) -> list[int]:
    """The other states to whose new values the update of a state moves it."""
    moved = set(t.parts(form.update[state]))
    return [n for n, new in enumerate(form.update) if n != state and new.args and new in moved]


def _check_sizes(form: StreamingForm) -> None:
    if len(form.states) + len(form.weights) > MAX_STATES:
        raise LawError("the form", f"unsupported: more than {MAX_STATES} states and accumulators")
    sizes = [term.size for group in _groups(form) for term in group]
    if max(sizes, default=0) > MAX_SIZE or sum(sizes) > 4 * MAX_SIZE:
        raise LawError("the form", _TOO_LARGE)


def _groups(form: StreamingForm) -> tuple[tuple[Term, ...], ...]:
    moving = (form.update, form.rescales, form.weights)
    joining = (form.merged, form.rescales_left, form.rescales_right)
    return (*moving, *joining, form.coefficients, form.extras)


class _StateLawError(LawError):
    """A law of some states fails, which may still be references; the first of them is named."""

    def __init__(self, states: Sequence[int], law: str):
        super().__init__(f"state {states[0]}", law)
        self.states = states


@dataclass(frozen=True)
class _Partial:
    """The meanings of states and accumulators for a set of elements."""

    states: dict[Term, Term]
    accumulators: list[Term]


@dataclass
class _Sets:
    """Moments of named disjoint sets and of their unions."""

    symbols: dict[tuple, Term] = field(default_factory=dict)
    reductions: dict[Term, Term] = field(default_factory=dict)
    """The symbols, and what each is the reduction of."""

    def moment(self, names: str, kind: str, value: Term) -> Term:
        """The reduction over the union of the sets, of a function of the element alone."""
        if kind == "sum":
            return self._sum(names, value)
        scale, inner, fixed = (ONE, value, ZERO) if kind == "prod" else stripped(value)
        key = frozenset(normal(inner, True).items())
        result = t.IDENTITIES[kind]
        for name in names:
            result = t.COMBINE[kind](result, self._symbol(name, kind, key, inner))
        return t.add(t.mul(scale, result), fixed)

    def _sum(self, names: str, value: Term) -> Term:
        total = ZERO
        for (factors, exponent), coefficient in normal(value, True).items():
            own = frozenset(factor for factor in factors if factor[0].element)
            moving = frozenset(e for e in exponent if depends(e[0], lambda atom: atom.element))
            still = to_term({(factors - own, exponent - moving): coefficient})
            inner = to_term({(own, moving): type(coefficient)(1)})
            for name in names:
                total = t.add(total, t.mul(still, self._symbol(name, "sum", inner, inner)))
        return total

    def _symbol(self, name: str, kind: str, key: object, value: Term) -> Term:
        found = self.symbols.get((name, kind, key))
        if found is None:
            low, high = reduced(kind, *bounds(value))
            shown, number = f"{kind}_{name}({formula(value)})", len(self.symbols)
            found = t.symbol(shown, Depends.VARYING, low, high, key=("set", number))
            self.symbols[(name, kind, key)] = found
            self.reductions[found] = t.reduce(kind, value)
        return found


_VALUE = t.symbol("v", Depends.ELEMENT)


class _Checker:
    """Checks the laws, with the states `free` being any numbers."""

    def __init__(self, form: StreamingForm, free: frozenset[int], most: float):
        self.form, self.free, self.most = form, free, most
        self.sets = _Sets()
        self.meanings: dict[tuple[str, str], _Partial] = {}
        self.lines: list[str] = []
        self.first = False
        self.in_one_pass: set[Term] = set()
        """Parts without a state that one pass has as well: undefined there, they are in every pass."""
        self.doubts: dict[Term, str] = {}
        """Parts that are not proved to be defined, and of what they are parts."""

    def run(self) -> Proof:
        """Check all laws."""
        form = self.form
        self._initial()
        self.doubts.clear()
        self.first = True
        both = self._meaning("AB", "AB")
        self.first = False
        one, other = (self._meaning(names, names) for names in "AB")
        self._after_tile(one, "", self._meaning("A", "A'"), "A'", f"neutral: {_EMPTY_TILE}")
        self._after_tile(one, "B", both, "AB", f"union: {_TILES}")
        nothing = _Partial(dict(zip(form.states, form.init, strict=True)), [ZERO] * len(form.weights))
        self._merged(nothing, other, self._meaning("B", "B'"), "B'", f"neutral: {_NEUTRAL}")
        self._merged(one, nothing, self._meaning("A", "A'"), "A'", f"neutral: {_NEUTRAL}")
        self._merged(one, other, both, "AB", f"merge: {_MERGE}")
        self._show(both)
        self._results(one)
        for part, subject in self.doubts.items():
            raise LawError(subject, f"definedness: {part!r} is defined, whatever A and B are")
        self._powers()
        return Proof(self.free, tuple(self.lines))

    # ---- meanings --------------------------------------------------------------------------------

    def _fill(self, term: Term, known: Mapping[Term, Term], names: str, subject: str) -> Term:
        """`term` for a tile of the elements `names`, or for an empty one."""

        def reduction(kind: str, value: Term) -> Term:
            if not names:
                return t.IDENTITIES[kind]
            if has_infinity(t.transform(value, _unmasked)):
                return t.const(math.nan)
            self._doubt(value, subject)
            return close(kind, value, lambda each, a, as_written=False: self.sets.moment(names, each, a))

        try:
            found = resolve(term, known, reduction)
        except Inseparable as reason:
            part = self._named(t.substitute(reason.part, _backwards(known)))
            raise LawError(subject, f"separation: {part!r} needs {reason.law}") from None
        self._doubt(found, subject)
        return found

    def _named(self, term: Term) -> Term:
        """The term with moments written as the reductions that they are."""
        return t.substitute(term, self.sets.reductions)

    def _doubt(self, term: Term, subject: str) -> None:
        """Take note of what may be undefined; without a state it may be so in one pass, and then in all."""
        for part in doubtful_parts(term):
            if self.first and not part.varying:
                self.in_one_pass.add(part)
            elif part not in self.in_one_pass:
                self.doubts.setdefault(part, subject)

    def _accumulated(self, weight: Term, known: Mapping[Term, Term], names: str, subject: str) -> Term:
        return self._fill(t.reduce("sum", t.mul(weight, _VALUE)), known, names, subject)

    def _reference(self, number: int, tag: str) -> Term:
        return t.symbol(f"{t.name_of(self.form.states[number])}_{tag}", Depends.VARYING, key="set")

    def _chosen(
        self, terms: Sequence[Term], known: Mapping[Term, Term], names: str, tag: str
    ) -> dict[Term, Term]:
        """The new references: any numbers, of which `tag` tells one choice from another."""
        for number in self.free:
            if has_infinity(self._fill(terms[number], known, names, f"state {number}")):
                raise LawError(f"state {number}", "reference: no infinity is left once there is an element")
        return {terms[n]: self._reference(n, tag) for n in self.free}

    def _meaning(self, names: str, tag: str) -> _Partial:
        """What the elements `names` make of the initial state, with one choice of references."""
        key = (names, tag if self.free else names)
        if key not in self.meanings:
            self.meanings[key] = self._found_meaning(names, tag)
        return self.meanings[key]

    def _found_meaning(self, names: str, tag: str) -> _Partial:
        form = self.form
        known = dict(zip(form.states, form.init, strict=True))
        known |= self._chosen(form.update, known, names, tag)
        states = {}
        for number, (symbol, term) in enumerate(zip(form.states, form.update, strict=True)):
            states[symbol] = self._fill(term, known, names, f"state {number}")
        infinite = [n for n, value in enumerate(states.values()) if has_infinity(value)]
        if infinite:
            raise _StateLawError(infinite, _UNDEFINED)
        accumulators = []
        for number, (weight, rescale) in enumerate(zip(form.weights, form.rescales, strict=True)):
            subject = f"accumulator {number}"
            if has_infinity(self._fill(rescale, known, names, subject)):
                raise LawError(subject, "identity: the first rescale is a finite number")
            accumulators.append(self._accumulated(weight, known, names, subject))
            if has_infinity(accumulators[-1]):
                raise LawError(subject, _UNDEFINED)
        return _Partial(states, accumulators)

    # ---- laws ------------------------------------------------------------------------------------

    def _initial(self) -> None:
        """Nothing, and nothing more, is nothing."""
        form = self.form
        start = dict(zip(form.states, form.init, strict=True))
        sides = dict(zip((*form.left, *form.right), (*form.init, *form.init), strict=True))

        nothing = []
        for number, init in enumerate(form.init):
            if t.value_of(init) is None:
                raise LawError(f"state {number}", "identity: the initial state is a constant")
            after = fold(self._fill(form.update[number], start, "", f"state {number}"))
            if after is not init:
                raise LawError(f"state {number}", f"identity: {_EMPTY_TILE}")
            if fold(self._fill(form.merged[number], sides, "", f"state {number}")) is not init:
                raise LawError(f"state {number}", f"identity: {_NEUTRAL}")
            nothing.append(f"{self._state_name(number)} = {formula(init)}")
        if nothing:
            self.lines.append(
                f"identity: {', '.join(nothing)} of nothing, and of nothing merged with nothing"
            )
        for known, groups in (
            (start, [form.rescales]),
            (sides, [form.rescales_left, form.rescales_right]),
        ):
            for group in groups:
                for number, rescale in enumerate(group):
                    found = self._fill(rescale, known, "", f"accumulator {number}")
                    if has_infinity(found) or doubtful_parts(found):
                        raise LawError(f"accumulator {number}", "identity: rescales of nothing are finite")

    def _after_tile(self, one: _Partial, names: str, result: _Partial, tag: str, law: str) -> None:
        form = self.form
        known = one.states | self._chosen(form.update, one.states, names, tag)
        self._states_equal(form.update, known, names, result, law)
        for number, (rescale, weight) in enumerate(zip(form.rescales, form.weights, strict=True)):
            subject = f"accumulator {number}"
            factor = self._fill(rescale, known, names, subject)
            new = self._accumulated(weight, known, names, subject)
            if has_infinity(factor) or has_infinity(new):
                raise LawError(subject, law)
            if not equal(t.add(t.mul(factor, one.accumulators[number]), new), result.accumulators[number]):
                raise LawError(subject, law)

    def _states_equal(
        self, terms: Sequence[Term], known: Mapping[Term, Term], names: str, result: _Partial, law: str
    ) -> None:
        failing = []
        for number, (symbol, term) in enumerate(zip(self.form.states, terms, strict=True)):
            after = self._fill(term, known, names, f"state {number}")
            if has_infinity(after) or not equal(after, result.states[symbol]):
                failing.append(number)
        if failing:
            raise _StateLawError(failing, law)

    def _merged(self, left: _Partial, right: _Partial, result: _Partial, tag: str, law: str) -> None:
        form = self.form
        known = dict(zip(form.left, left.states.values(), strict=True))
        known |= dict(zip(form.right, right.states.values(), strict=True))
        known |= self._chosen(form.merged, known, "", tag)
        self._states_equal(form.merged, known, "", result, law)
        pairs = zip(form.rescales_left, form.rescales_right, strict=True)
        for number, (of_left, of_right) in enumerate(pairs):
            subject = f"accumulator {number}"
            factors = [self._fill(factor, known, "", subject) for factor in (of_left, of_right)]
            if any(map(has_infinity, factors)):
                raise LawError(subject, law)
            sides = (left.accumulators[number], right.accumulators[number])
            combined = t.total(t.mul(factor, side) for factor, side in zip(factors, sides, strict=True))
            if not equal(combined, result.accumulators[number]):
                raise LawError(subject, law)

    def _state_name(self, number: int) -> str:
        return t.name_of(self.form.states[number])

    def _show(self, both: _Partial) -> None:
        """What the states and accumulators of two sets of elements were proved to be."""
        for number, value in enumerate(both.states.values()):
            name = self._state_name(number)
            if number in self.free:
                self.lines.append(f"reference: the laws hold whatever {name} is")
            else:
                self.lines.append(f"union: {name} of A and B is {_shown(value)}")
        for number, value in enumerate(both.accumulators):
            self.lines.append(f"union: acc{number} of A and B is {_shown(value)}")
        self.lines.append("union: it is that of one tile, of two tiles and of a merge")
        self.lines.append("neutral: an empty tile, and a merge with the initial state, change nothing")

    def _results(self, one: _Partial) -> None:
        """An empty row gives 0, and no result depends on a reference."""
        form = self.form
        start = dict(zip(form.states, form.init, strict=True))
        for number, coefficient in enumerate(form.coefficients):
            found = self._fill(coefficient, start, "", f"coefficient {number}")
            if has_infinity(found) or doubtful_parts(found):
                raise LawError(f"coefficient {number}", "empty row: 0 times the coefficient is 0")
            self.lines.append(f"empty row: acc{number} is 0, and is multiplied by {_shown(found)}")
        if not self.free:
            return
        filled = [resolve(term, one.states, t.reduce) for term in (*form.coefficients, *form.extras)]
        coefficients, extras = filled[: len(form.coefficients)], filled[len(form.coefficients) :]
        output = t.total(t.mul(c, acc) for c, acc in zip(coefficients, one.accumulators, strict=True))
        results = {"the output": output, **{f"result {n}": extra for n, extra in enumerate(extras)}}
        chosen = {self._reference(number, "A") for number in self.free}
        for subject, term in results.items():
            if any(
                depends(m, lambda atom: not chosen.isdisjoint(t.symbols(atom))) for m in normal(term, True)
            ):
                raise LawError(subject, "reference: the result does not depend on it")
        names = ", ".join(self._state_name(number) for number in sorted(self.free))
        self.lines.append(f"reference: no result depends on {names}")

    def _powers(self) -> None:
        """Powers of states are bounded, for the first elements and for later ones."""
        form = self.form
        moving = (*form.update, *form.rescales, *form.weights)
        joining = (*form.merged, *form.rescales_left, *form.rescales_right)
        found: dict[Term, None] = {}
        for terms, sides in ((moving, (form.states,)), (joining, (form.left, form.right))):
            symbols = {symbol: n for side in sides for n, symbol in enumerate(side)}
            for part in powers(*terms):
                states = [symbols[each] for each in t.symbols(part) if each in symbols]
                if not states:
                    continue  # as large in one pass
                for begun in product((True, False), repeat=len(sides)):
                    known = {
                        symbol: init
                        for side, any_element in zip(sides, begun, strict=True)
                        for symbol, init in zip(side, form.init, strict=True)
                        if not any_element
                    }
                    if not self._bounded(part, known):
                        power = t.exp(self._with_new(part))
                        raise LawError(f"state {min(states)}", f"range: {power!r} is at most e^{self.most:g}")
                found[self._with_new(part)] = None
        if found:
            shown = ", ".join(formula(part) for part in found)
            self.lines.append(f"range: exponents are at most {self.most:g}: {shown}")

    def _with_new(self, term: Term) -> Term:
        """The term for a person: with the symbol x' for what x becomes."""
        new = {}
        for group in (self.form.update, self.form.merged):
            for number, changed in enumerate(group):
                if changed.args:
                    new[changed] = t.symbol(f"{self._state_name(number)}'", Depends.VARYING)
        return resolve(term, new, t.reduce)

    def _bounded(self, exponent: Term, known: Mapping[Term, Term]) -> bool:
        """Whether the exponent is, for a tile with elements and for an empty one."""
        exponent = t.transform(exponent, _unmasked)
        found = [resolve(exponent, known, t.reduce)]
        if not exponent.element:
            found.append(resolve(exponent, known, lambda kind, value: t.IDENTITIES[kind]))
        return all(
            each is t.MINUS_INFINITY or (not has_infinity(each) and is_bounded(each, self.most))
            for each in found
        )


def _backwards(known: Mapping[Term, Term]) -> dict[Term, Term]:
    """The symbols of states for what they were filled in with, where that is told apart by it."""
    return {value: symbol for symbol, value in known.items() if value.args or value.op == "sym"}


def _unmasked(term: Term) -> Term | None:
    """x for where(c, x, -inf): an element may be masked by the form itself."""
    if term.op == "select" and not term.args[0].varying:
        infinite = [arg in (t.PLUS_INFINITY, t.MINUS_INFINITY) for arg in term.args[1:]]
        if sum(infinite) == 1:
            return t.transform(term.args[2 if infinite[0] else 1], _unmasked)
    return None


def _shown(term: Term) -> str:
    try:
        return formula(to_term(normal(term)))
    except TooLargeError:
        return formula(term)
