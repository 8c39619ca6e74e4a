"""The structure of one step of a recurrence, from the affine functions that it computes of the state.

The new state over (i, j) is `A(i) S[i, j] + sum_m C(i, m) S[m, j] + W(i, j)`: a decay, a rank-one term where
`C(i, m) = -x(i) y(m)`, and a write along the same x, `W(i, j) = x(i) w(j)`. What is one number for the whole
position is taken out of the vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.decays import Decay, decay_of
from aecompiler.algebra.factors import RankError, outer, quotient, scalar_content
from aecompiler.algebra.indexed import (
    BOUND_KEY,
    BOUND_VALUE,
    KEY,
    VALUE,
    MixedError,
    indices_in,
    indices_of,
    renamed,
)
from aecompiler.algebra.polynomials import Poly, as_number, product, scale_by, to_term
from aecompiler.algebra.printing import formula
from aecompiler.algebra.state_maps import StateMap
from aecompiler.algebra.terms import Term

ONE, MINUS_ONE = Fraction(1), Fraction(-1)


class StructureError(Exception):
    """A step that has no chunked form: the text says what breaks it, and `kind` names the rule.

    `shows` tells of a value of the step whether it shows the same already, if its places tell that.
    """

    def __init__(self, kind: str, message: str, shows: Callable[[StateMap], bool] | None = None):
        super().__init__(message)
        self.kind, self.shows = kind, shows


@dataclass(frozen=True)
class Transition:
    """What becomes of the state: D S + key_scale key u^T, u = value - erase_scale (erase^T X)."""

    decay: Decay | None
    diagonal: bool
    key: Term
    value: Term
    key_scale: Term
    erase: Term | None
    erase_scale: Term
    erases_decayed: bool


@dataclass(frozen=True)
class Reading:
    """The output: query_scale query^T Y + skip."""

    query: Term
    query_scale: Term
    skip: Term
    after: bool


def transition(new: StateMap) -> Transition:
    """The structure of the new state over (KEY, VALUE); raise `StructureError`."""
    kept, mixed = _places_of_state(new)
    _check_decay(kept)
    if VALUE in indices_in(mixed):
        raise StructureError(
            "rank one",
            f"a rank-one term that varies over the value feature, {_shown(mixed, BOUND_KEY, VALUE)}",
            _varies,
        )
    try:
        found = outer([(mixed, BOUND_KEY), (new.constant, VALUE)], KEY)
    except MixedError as error:
        raise _unseparated(error) from None
    except RankError as error:
        raise _several(error, mixed, new.constant) from None
    decay = None if as_number(kept) == 1 else decay_of(kept)
    diagonal = KEY in indices_in(kept)
    if found is None:
        zero = t.ZERO
        return Transition(decay, diagonal, zero, zero, t.ONE, None, t.ONE, False)
    erased, written = found.rights
    common, key, erased, written = _scales(found.left, erased, written)
    if not erased:
        return Transition(decay, diagonal, key, to_term(written), to_term(common), None, t.ONE, False)
    rest = scale_by(renamed(erased, {BOUND_KEY: KEY}), MINUS_ONE)
    divided = None if as_number(kept) == 1 else quotient(rest, kept)
    rest = rest if divided is None else divided
    scale, (vector,) = scalar_content([(rest, KEY)])
    return Transition(
        decay=decay,
        diagonal=diagonal,
        key=key,
        value=to_term(written),
        key_scale=to_term(common),
        erase=to_term(vector),
        erase_scale=to_term(scale),
        erases_decayed=divided is not None or decay is None,
    )


def _scales(left: Poly, erased: Poly, written: Poly) -> tuple[Poly, Term, Poly, Poly]:
    """The scale of the key, the key, and what is left on the right."""
    own, (key,) = scalar_content([(left, KEY)])
    sides = [(product(erased, own), BOUND_KEY), (product(written, own), VALUE)]
    common, (erased, written) = scalar_content(sides)
    return common, to_term(key), erased, written


def reading(out: StateMap, after: bool) -> Reading:
    """The structure of the output over VALUE, a function of the new state if `after`, else of the old one."""
    for (key, value), poly in out.linear.items():
        if value is BOUND_VALUE:
            raise StructureError(
                "right", f"a product with the state from the right, {_shown(poly, key, value)}", _from_right
            )
        if key is not BOUND_KEY or value is not VALUE:
            raise StructureError("transposed", f"a read of the transposed state, {_shown(poly, key, value)}")
        if VALUE in indices_in(poly):
            raise StructureError(
                "output",
                f"a read that is scaled over the value feature, {_shown(poly, key, value)}",
                _varies,
            )
    read = renamed(out.linear.get((BOUND_KEY, VALUE), {}), {BOUND_KEY: KEY})
    scale, (query,) = scalar_content([(read, KEY)])
    return Reading(to_term(query), to_term(scale), to_term(out.constant), after)


def _places_of_state(new: StateMap) -> tuple[Poly, Poly]:
    """The coefficients of S[i, j] and of S[m, j]; no other places have a form."""
    for (key, value), poly in new.linear.items():
        if value is BOUND_VALUE:
            raise StructureError(
                "right", f"a product with the state from the right, {_shown(poly, key, value)}", _from_right
            )
        if value is not VALUE or key not in (KEY, BOUND_KEY):
            raise StructureError("transposed", f"the transposed state, {_shown(poly, key, value)}")
    return new.linear.get((KEY, VALUE), {}), new.linear.get((BOUND_KEY, VALUE), {})


def _from_right(value: StateMap) -> bool:
    return any(column is BOUND_VALUE for _, column in value.linear)


def _varies(value: StateMap) -> bool:
    """Whether what multiplies a contracted state varies over its value feature."""
    return any(
        row is BOUND_KEY and column in indices_in(poly) for (row, column), poly in value.linear.items()
    )


def _check_decay(kept: Poly) -> None:
    used = indices_in(kept)
    if VALUE not in used:
        return
    what = f"{formula(to_term(kept))} * S[i, j]"
    if KEY in used:
        raise StructureError("decay", f"a decay of its own for each element of the state, {what}")
    raise StructureError("decay", f"a decay that varies over the value feature, {what}")


def _unseparated(error: MixedError) -> StructureError:
    what = formula(error.part)
    if {KEY, BOUND_KEY} <= indices_of(error.part):
        return StructureError("rank one", f"a transition that is no product of two vectors, {what}")
    return StructureError("write", f"a write that is no product of a key and a value, {what}")


def _several(error: RankError, mixed: Poly, constant: Poly) -> StructureError:
    along = " and ".join(map(formula, error.parts[:2]))
    if mixed:
        kind = "rank one"
        text = "a transition of more than one rank-one term, or one along another direction than the write"
    else:
        kind, text = "write", "writes along several directions"
    return StructureError(kind, f"{text}: {along}")


def _shown(poly: Poly, key: Term, value: Term) -> str:
    bound = [formula(place) for place in (key, value) if place in (BOUND_KEY, BOUND_VALUE)]
    sums = "".join(f"sum_{name} " for name in bound)
    place = f"S[{formula(key)}, {formula(value)}]"
    text = place if as_number(poly) == 1 else f"{_factor(poly)} * {place}"
    return f"{sums}{text}"


def _factor(poly: Poly) -> str:
    text = formula(to_term(poly))
    return f"({text})" if len(poly) > 1 else text
