"""The laws of streaming forms, proved from a form alone.

A state means something for a set of elements: what `update` makes of `init` and the set as one tile. The laws
say that every other way to the same set gives the same: an empty tile changes nothing, two tiles after one
another and a merge give what their union gives. Merging then is associative and commutative, as unions are.
Meanings are formulas in moments of the set, and equal when their normal forms are.

A state may also be a *reference*, which is any number: then the laws of the other states must hold whatever
it is, the results must not depend on it, and powers must be bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aecompiler.algebra import terms as t
from aecompiler.algebra.ceilings import is_bounded
from aecompiler.algebra.folding import fold
from aecompiler.algebra.intervals import bounds, reduced
from aecompiler.algebra.moments import stripped
from aecompiler.algebra.normal import MAX_SIZE, TooLargeError, depends, equal, normal, to_term
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
_TOO_LARGE = "unsupported: formulas that grow beyond all bounds"
_NEUTRAL = "merging with the initial state changes nothing"


def check(form: StreamingForm, references: Iterable[int] = ()) -> frozenset[int]:
    """Prove all laws; returns the states that are references. Raises `LawError` for the first that fails.

    Those in `references` are, and others that would break a law if they were none. Which others, is searched
    for where no reference is given.
    """
    _check_sizes(form)
    failed: list[LawError] = []
    tried: set[frozenset[int]] = set()
    attempts = [frozenset(references)]
    searching = not attempts[0]
    while attempts:
        free = attempts.pop(0)
        while free not in tried:
            tried.add(free)
            try:
                _Checker(form, free).run()
                return free
            except _StateLawError as error:
                if searching:
                    # It is that state which is a reference, or else one that it moves with.
                    attempts += [free | {n} for n in _moved_with(form, error.state)]
                failed.append(error)
                free |= {error.state}
            except LawError as error:
                failed.append(error)
            except TooLargeError:
                failed.append(LawError("the form", _TOO_LARGE))
        searching = False
    raise _refusal(failed) from None


def _refusal(failed: list[LawError]) -> LawError:
    """The first law that failed, and what fails if that is because the state is a reference."""
    first, *others = failed
    if isinstance(first, _StateLawError) and others and isinstance(others[0], _StateLawError):
        return LawError(first.subject, f"{first.law}; if it is a reference, {others[0]}")
    return first


def _moved_with(form: StreamingForm, state: int) -> list[int]:
    """The other states that the update of a state needs."""
    found = t.symbols(form.update[state])
    return [n for n, symbol in enumerate(form.states) if n != state and symbol in found]


def _check_sizes(form: StreamingForm) -> None:
    groups = (form.update, form.rescales, form.weights, form.merged, form.coefficients, form.extras)
    if any(term.size > MAX_SIZE for group in groups for term in group):
        raise LawError("the form", _TOO_LARGE)


class _StateLawError(LawError):
    """A law of a state fails, which may still be a reference."""

    def __init__(self, state: int, law: str):
        super().__init__(f"state {state}", law)
        self.state = state


@dataclass(frozen=True)
class _Partial:
    """The meanings of states and accumulators for a set of elements."""

    states: dict[Term, Term]
    accumulators: list[Term]


@dataclass
class _Sets:
    """Moments of named disjoint sets and of their unions."""

    symbols: dict[tuple, Term] = field(default_factory=dict)

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
            found = t.symbol(f"{kind}{len(self.symbols)}{name}", Depends.VARYING, low, high, key="set")
            self.symbols[(name, kind, key)] = found
        return found


_VALUE = t.symbol("v", Depends.ELEMENT)


class _Checker:
    """Checks the laws, with the states `free` being any numbers."""

    def __init__(self, form: StreamingForm, free: frozenset[int]):
        self.form, self.free = form, free
        self.sets = _Sets()
        self.meanings: dict[tuple[str, str], _Partial] = {}

    def run(self) -> None:
        """Check all laws."""
        form = self.form
        self._initial()
        one, other, both = (self._meaning(names, names) for names in ("A", "B", "AB"))
        self._after_tile(one, "", self._meaning("A", "A'"), "A'", f"neutral: {_EMPTY_TILE}")
        self._after_tile(one, "B", both, "AB", f"union: {_TILES}")
        nothing = _Partial(dict(zip(form.states, form.init, strict=True)), [ZERO] * len(form.weights))
        self._merged(nothing, other, self._meaning("B", "B'"), "B'", f"neutral: {_NEUTRAL}")
        self._merged(one, nothing, self._meaning("A", "A'"), "A'", f"neutral: {_NEUTRAL}")
        self._merged(one, other, both, "AB", f"merge: {_MERGE}")
        self._results(one)
        if self.free:
            self._references()

    # ---- meanings --------------------------------------------------------------------------------

    def _fill(self, term: Term, known: Mapping[Term, Term], names: str, subject: str) -> Term:
        """`term` for a tile of the elements `names`, or for an empty one."""

        def reduction(kind: str, value: Term) -> Term:
            if not names:
                return t.IDENTITIES[kind]
            return close(kind, value, lambda each, a, as_written=False: self.sets.moment(names, each, a))

        try:
            return resolve(term, known, reduction)
        except Inseparable as reason:
            raise LawError(subject, f"separation: {reason.part!r} needs {reason.law}") from None

    def _accumulated(self, weight: Term, known: Mapping[Term, Term], names: str, subject: str) -> Term:
        return self._fill(t.reduce("sum", t.mul(weight, _VALUE)), known, names, subject)

    def _reference(self, number: int, tag: str) -> Term:
        return t.symbol(f"reference{number}{tag}", Depends.VARYING, key="set")

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
            if has_infinity(states[symbol]):
                raise _StateLawError(number, "identity: no infinity is left once there is an element")
        accumulators = []
        for number, (weight, rescale) in enumerate(zip(form.weights, form.rescales, strict=True)):
            subject = f"accumulator {number}"
            if has_infinity(self._fill(rescale, known, names, subject)):
                raise LawError(subject, "identity: the first rescale is a finite number")
            accumulators.append(self._accumulated(weight, known, names, subject))
        return _Partial(states, accumulators)

    # ---- laws ------------------------------------------------------------------------------------

    def _initial(self) -> None:
        """Nothing, and nothing more, is nothing."""
        form = self.form
        start = dict(zip(form.states, form.init, strict=True))
        sides = dict(zip((*form.left, *form.right), (*form.init, *form.init), strict=True))

        for number, init in enumerate(form.init):
            if t.value_of(init) is None:
                raise LawError(f"state {number}", "identity: the initial state is a constant")
            after = fold(self._fill(form.update[number], start, "", f"state {number}"))
            if after is not init:
                raise LawError(f"state {number}", f"identity: {_EMPTY_TILE}")
            if fold(self._fill(form.merged[number], sides, "", f"state {number}")) is not init:
                raise LawError(f"state {number}", f"identity: {_NEUTRAL}")
        for known, groups in (
            (start, [form.rescales]),
            (sides, [form.rescales_left, form.rescales_right]),
        ):
            for group in groups:
                for number, rescale in enumerate(group):
                    if has_infinity(self._fill(rescale, known, "", f"accumulator {number}")):
                        raise LawError(f"accumulator {number}", "identity: rescales of nothing are finite")

    def _after_tile(self, one: _Partial, names: str, result: _Partial, tag: str, law: str) -> None:
        form = self.form
        known = one.states | self._chosen(form.update, one.states, names, tag)
        for number, (symbol, term) in enumerate(zip(form.states, form.update, strict=True)):
            after = self._fill(term, known, names, f"state {number}")
            if not equal(after, result.states[symbol]):
                raise _StateLawError(number, law)
        for number, (rescale, weight) in enumerate(zip(form.rescales, form.weights, strict=True)):
            subject = f"accumulator {number}"
            factor = self._fill(rescale, known, names, subject)
            new = self._accumulated(weight, known, names, subject)
            if not equal(t.add(t.mul(factor, one.accumulators[number]), new), result.accumulators[number]):
                raise LawError(subject, law)

    def _merged(self, left: _Partial, right: _Partial, result: _Partial, tag: str, law: str) -> None:
        form = self.form
        known = dict(zip(form.left, left.states.values(), strict=True))
        known |= dict(zip(form.right, right.states.values(), strict=True))
        known |= self._chosen(form.merged, known, "", tag)
        for number, (symbol, term) in enumerate(zip(form.states, form.merged, strict=True)):
            after = self._fill(term, known, "", f"state {number}")
            if not equal(after, result.states[symbol]):
                raise _StateLawError(number, law)
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

    def _results(self, one: _Partial) -> None:
        """An empty row gives 0, and no result depends on a reference."""
        form = self.form
        start = dict(zip(form.states, form.init, strict=True))
        for number, coefficient in enumerate(form.coefficients):
            if has_infinity(self._fill(coefficient, start, "", f"coefficient {number}")):
                raise LawError(f"coefficient {number}", "empty row: 0 times the coefficient is 0")
        if not self.free:
            return
        filled = [self._fill(term, one.states, "", "the output") for term in form.coefficients]
        output = t.total(t.mul(c, acc) for c, acc in zip(filled, one.accumulators, strict=True))
        results = {"the output": output}
        for number, extra in enumerate(form.extras):
            results[f"result {number}"] = self._fill(extra, one.states, "", f"result {number}")
        chosen = {self._reference(number, "A") for number in self.free}
        for subject, term in results.items():
            if any(
                depends(m, lambda atom: not chosen.isdisjoint(t.symbols(atom))) for m in normal(term, True)
            ):
                raise LawError(subject, "reference: the result does not depend on it")

    def _references(self) -> None:
        """Powers relative to references are bounded."""
        form = self.form
        moving = [*form.update, *form.rescales, *form.weights]
        joining = [*form.merged, *form.rescales_left, *form.rescales_right]
        symbols = {form.states[n] for n in self.free}
        symbols |= {side[n] for n in self.free for side in (form.left, form.right)}
        for part in t.parts(*moving, *joining):
            if part.op == "exp" and not symbols.isdisjoint(t.symbols(part)) and not is_bounded(part.args[0]):
                raise LawError(f"state {min(self.free)}", f"reference: {part!r} is bounded")
