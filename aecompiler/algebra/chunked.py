"""The chunked form of a recurrence: derived from one step, and proved to be that step.

See `transitions` for the structure of a step. The proof goes the other way: from the parts of the form to the
functions of the state that they stand for, which must be those of the step."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from aecompiler.algebra import terms as t
from aecompiler.algebra.decays import Decay, proved
from aecompiler.algebra.indexed import BOUND_KEY, KEY, VALUE
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.normal import normal
from aecompiler.algebra.printing import factor, formula
from aecompiler.algebra.state_maps import StateMap
from aecompiler.algebra.terms import ONE, ZERO, Term
from aecompiler.algebra.transitions import Reading, Transition, reading, transition


class ProofError(Exception):
    """A derived form is not proved to be the step that it was derived from."""


@dataclass(frozen=True)
class ChunkedForm:
    """What one position contributes, over the indices `KEY` and `VALUE`."""

    transition: Transition
    reading: Reading

    def parts(self) -> dict[str, Term]:
        """The parts that are there, by their names on `attn.position_yield`; log_decay is not limited."""
        move, read = self.transition, self.reading
        found = {"query": read.query, "key": move.key, "value": move.value}
        if move.decay is not None:
            found["log_decay"] = move.decay.log
            if move.decay.sign is not None:
                found["sign"] = move.decay.sign
        if read.query_scale is not ONE:
            found["query_scale"] = read.query_scale
        if move.key_scale is not ONE:
            found["key_scale"] = move.key_scale
        if move.erase is not None:
            found["erase"] = move.erase
            if move.erase_scale is not ONE:
                found["erase_scale"] = move.erase_scale
        if read.skip is not ZERO:
            found["skip"] = read.skip
        return found

    @property
    def nonpositive(self) -> bool:
        """Whether no exponent of the form is above 0."""
        return self.transition.decay is None or self.transition.decay.nonpositive


def derive(new: StateMap, out: StateMap, out_of_new: StateMap | None, size: int) -> ChunkedForm:
    """The chunked form of a step, from its new state over (KEY, VALUE) and its output over VALUE.

    `out_of_new` is the output as a function of the new state, if it reads that alone. `size` is the number of
    features of a key. Raises `StructureError` for a step that has no such form, and `ProofError`.
    """
    move = transition(new)
    form = ChunkedForm(move, reading(out if out_of_new is None else out_of_new, out_of_new is not None))
    _prove(form, new, out, size)
    return form


# ---- the proof -----------------------------------------------------------------------------------


def step_of(form: ChunkedForm, size: int) -> tuple[StateMap, StateMap]:
    """The new state over (KEY, VALUE) and the output over VALUE that the parts of a form stand for."""
    move, read = form.transition, form.reading
    decay = ONE if move.decay is None else move.decay.value
    state = StateMap.state(KEY, VALUE)
    kept = state.times(normal(decay))
    update = StateMap.of(move.value)
    if move.erase is not None:
        seen = kept if move.erases_decayed else state
        erased = seen.times(normal(move.erase)).summed(KEY, size).times(normal(move.erase_scale))
        update = update.plus(erased, Fraction(-1))
    new = kept.plus(update.times(normal(t.mul(move.key_scale, move.key))))
    seen = new if read.after else state
    out = seen.times(normal(read.query)).summed(KEY, size).times(normal(read.query_scale))
    return new, out.plus(StateMap.of(read.skip))


def _prove(form: ChunkedForm, new: StateMap, out: StateMap, size: int) -> None:
    if form.transition.decay is not None and not proved(form.transition.decay):
        raise ProofError(f"{formula(form.transition.decay.value)} is the exponential of its logarithm")
    found_new, found_out = step_of(form, size)
    for what, found, wanted in (("the new state", found_new, new), ("the output", found_out, out)):
        place = found.differs(wanted)
        if place is not None:
            where = place if isinstance(place, str) else f"S[{', '.join(map(formula, place))}]"
            raise ProofError(f"{what} of the chunked form is that of the step, at {where}")


# ---- the text ------------------------------------------------------------------------------------


def explanation(form: ChunkedForm) -> list[str]:
    """The derivation in formulas: structure, law, range, and the form of rank-one terms."""
    move, read = form.transition, form.reading
    lines = [f"step: S' = {_new_state(move)}"]
    lines.append(
        f"step: o = {_output(read)}, from the state {'after' if read.after else 'before'} the update"
    )
    lines += _structure(move)
    lines += _law(move)
    lines += _range(move.decay)
    if move.erase is not None:
        lines += _rank_one(move)
    lines.append("proved: the parts put together give the step's function of S, coefficient by coefficient")
    return lines


def _new_state(move: Transition) -> str:
    kept = "S[i, j]" if move.decay is None else f"{factor(move.decay.value)} * S[i, j]"
    scale = "" if move.key_scale is ONE else f"{factor(move.key_scale)} * "
    if move.key is ZERO:
        return kept
    return f"{kept} + {scale}{factor(move.key)} * u[j], u[j] = {_update(move)}"


def _update(move: Transition) -> str:
    if move.erase is None:
        return formula(move.value)
    scale = "" if move.erase_scale is ONE else f"{factor(move.erase_scale)} * "
    erase = t.substitute(move.erase, {KEY: BOUND_KEY})
    state = "S[m, j]"
    if move.erases_decayed and move.decay is not None:
        state = f"{factor(t.substitute(move.decay.value, {KEY: BOUND_KEY}))} * {state}"
    return f"{formula(move.value)} - {scale}sum_m {factor(erase)} * {state}"


def _output(read: Reading) -> str:
    scale = "" if read.query_scale is ONE else f"{factor(read.query_scale)} * "
    query = factor(t.substitute(read.query, {KEY: BOUND_KEY}))
    skip = "" if read.skip is ZERO else f" + {formula(read.skip)}"
    return f"{scale}sum_m {query} * S[m, j]{skip}"


def _structure(move: Transition) -> list[str]:
    kinds = []
    if move.decay is None:
        kinds.append("the identity")
    else:
        kinds.append("diagonal over the key feature" if move.diagonal else "a scalar")
    if move.erase is not None:
        kinds.append("a rank-one term")
    return [f"structure: the transition is {' and '.join(kinds)}"]


def _law(move: Transition) -> list[str]:
    if move.decay is None:
        law = "composition: transitions of a chunk multiply to the identity"
    else:
        sign = "" if move.decay.sign is None else ", times the product of their signs"
        law = (
            f"composition: decays after s, up to t, multiply to exp(c_t - c_s){sign}, "
            f"c_t = sum_(r <= t) log_decay_r, log_decay = {formula(move.decay.log)}"
        )
    return [law + ("" if move.erase is None else ", and rank-one terms by the WY form")]


def _range(decay: Decay | None) -> list[str]:
    if decay is None:
        return ["range: there is no exponential"]
    if decay.nonpositive:
        why = f"|{formula(decay.value)}|" if bounds(t.absolute(decay.value))[1] <= 1 else "the decay"
        return [f"range: log_decay <= 0 by {why} <= 1; c_t - c_s <= 0 for s <= t, so no exponent is above 0"]
    return [
        "range: the sign of log_decay is not known; the exponents c_t - c_s, s <= t, anchored inside the "
        "chunk, overflow where the product of the decays after s, up to t, does"
    ]


def _rank_one(move: Transition) -> list[str]:
    left = "" if move.erase_scale is ONE else "erase_scale_t "
    right = "" if move.key_scale is ONE else " key_scale_s"
    feature = "[m]" if move.diagonal else ""
    reads, decays = "state", ""
    if move.decay is not None:
        reads = "decayed state" if move.erases_decayed else "state before the decay"
        last = "t" if move.erases_decayed else "(t-1)"
        decays = f" exp(c_{last}{feature} - c_s{feature})"
    return [
        f"WY form: the erase reads the {reads}; u_t = value_t - sum_(s < t) N_ts u_s - (what it reads of "
        f"S_0), N_ts = {left}sum_m erase_t[m] key_s[m]{decays}{right}, so U = (I + N)^-1 (V - E S_0) with N "
        "strictly lower triangular"
    ]
