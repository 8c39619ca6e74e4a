"""The laws of a chunked form, proved from its parts alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aecompiler.algebra import terms as t
from aecompiler.algebra.chunked import ChunkedForm
from aecompiler.algebra.decays import Decay, equal_by_cases, least_log
from aecompiler.algebra.indexed import KEY, indices_of
from aecompiler.algebra.intervals import bounds
from aecompiler.algebra.printing import formula, number
from aecompiler.algebra.terms import Term
from aecompiler.algebra.transitions import Reading, Transition


class ChunkedLawError(Exception):
    """A part of a chunked form does not obey a law, or it can't be proved."""

    def __init__(self, part: str, law: str):
        super().__init__(part, law)
        self.part, self.law = part, law


def form_of(parts: Mapping[str, Term], *, reads: str, erase_reads: str | None) -> ChunkedForm:
    """A chunked form from its parts, by their names on `attn.position_yield`, and what its reads read."""
    decay = None
    if "log_decay" in parts:
        log, sign = parts["log_decay"], parts.get("sign")
        decay = Decay(t.exp(log) if sign is None else t.mul(sign, t.exp(log)), log, sign)
    move = Transition(
        decay=decay,
        diagonal=decay is not None and KEY in indices_of(decay.value),
        key=parts["key"],
        value=parts["value"],
        key_scale=parts.get("key_scale", t.ONE),
        erase=parts.get("erase"),
        erase_scale=parts.get("erase_scale", t.ONE),
        erases_decayed=erase_reads == "decayed",
    )
    query_scale, skip = parts.get("query_scale", t.ONE), parts.get("skip", t.ZERO)
    return ChunkedForm(move, Reading(parts["query"], query_scale, skip, reads == "after"))


def check(form: ChunkedForm, exponents: str, accumulator: str) -> list[str]:
    """Prove the laws of a form; what was proved, a line each. Raises `ChunkedLawError`."""
    decay = form.transition.decay
    if decay is None:
        return ["range: there is no exponential"]
    lines = []
    low, high = bounds(decay.log)
    least = least_log(accumulator, exponents == "nonpositive")
    if low < least:
        raise ChunkedLawError(
            "log_decay",
            f"bounded below: {formula(decay.log)} is not proved to be at least {number(least)}, "
            "so that sums of it may be -inf",
        )
    if low == math.inf:
        raise ChunkedLawError(
            "log_decay",
            f"finite: {formula(decay.log)} is infinite, so that differences of sums of it are no numbers",
        )
    lines.append(f"bounded below: log_decay >= {number(low)}, so that no sum of it is -inf")
    if exponents == "nonpositive":
        if high > 0:
            raise ChunkedLawError(
                "log_decay",
                f"range: {formula(decay.log)} is not proved to be at most 0, as 'exponents' says",
            )
        lines.append("range: log_decay <= 0, so that no exponent of a chunk is above 0")
    if decay.sign is not None:
        if not equal_by_cases(t.mul(decay.sign, decay.sign), t.ONE):
            raise ChunkedLawError("sign", f"sign: {formula(decay.sign)} is not proved to be 1 or -1")
        lines.append("sign: it is 1 or -1")
    return lines
