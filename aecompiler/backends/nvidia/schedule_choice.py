"""Which schedules are tried, and in which order: what was measured, then what the model says."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aecompiler.backends.nvidia.hopper.limits import ROWS
from aecompiler.backends.nvidia.program_facts import Form
from aecompiler.backends.nvidia.recurrence_choice import chunk_options
from aecompiler.backends.nvidia.recurrence_facts import RecurrenceForm
from aecompiler.backends.nvidia.schedule import (
    FEW,
    FEW_PLAIN,
    FEW_QUERIES,
    FEW_WITH_ROLES,
    PLAIN,
    WITH_ROLES,
    NvidiaSchedule,
)
from aecompiler.backends.nvidia.schedule_model import Model
from aecompiler.backends.nvidia.schedule_space import legal_schedules
from aecompiler.backends.nvidia.target import NvidiaTarget

TABLE = Path(__file__).with_name("measured_schedules.json")
"""The fastest of many schedules that were measured, by what `entry_key` says of a program."""

LENGTHS = (1024, 4096, 16384)
"""The classes of lengths: what is chosen for one is chosen for all lengths that are nearest to it."""


def attempts(
    schedule: NvidiaSchedule,
    target: NvidiaTarget,
    forms: Sequence[Form] = (),
    recurrences: Sequence[RecurrenceForm] = (),
) -> list[NvidiaSchedule]:
    """The schedules that are tried, which say all: the fastest first, at last such as fit nearly anything.

    What `schedule` gives stands in all of them. `forms` are the program's attention ops, `recurrences` those
    in chunks; without any, nothing is known of it.
    """
    given = without_hints(schedule)
    found = _for_attention(given, target, forms)
    options = chunk_options(given, target, recurrences)
    if options:
        found = [each for usual in found for each in (usual.completed(options), usual)]
    return found


def without_hints(schedule: NvidiaSchedule) -> NvidiaSchedule:
    """A schedule without what changes the choice only."""
    return dataclasses.replace(schedule, length=0, queries=0, sequences=0, tune=0)


def _for_attention(
    given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[Form]
) -> list[NvidiaSchedule]:
    if given.completed(FEW[0]) != given and forms and all(map(_has_few_queries, forms)):
        others = _for_attention(given.completed(_NOT_FEW), target, forms)
        few = dict.fromkeys(given.completed(pack) for pack in FEW)
        if given.pack != "heads" and any(form.shape.group > ROWS for form in forms):  # no tile has so many
            few = {each: None for each in few if each.pack != "heads"}
        return [*(each for pack in few for each in _for_few(pack, target, forms)), *others]
    found = ranked(given, target, forms) if forms else []
    with_roles = [each for each in found if each.consumers]
    chosen = with_roles[:1] + [each for each in with_roles if _is_smaller(each, with_roles[0])][:1]
    if not chosen and (given.consumers or (target.specializes_warps and not forms)):
        chosen = [given.completed(numbers) for numbers in WITH_ROLES] if not _is_plain(given) else []
    if not given.consumers:
        if not target.specializes_warps:
            chosen += [each for each in found if not each.consumers][:1]
        chosen += [given.completed(numbers) for numbers in PLAIN]
    return list(dict.fromkeys(chosen))


def _has_few_queries(form: Form) -> bool:
    return form.shape.rows <= FEW_QUERIES and form.shape.rows < form.shape.keys


def _for_few(given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[Form]) -> list[NvidiaSchedule]:
    """What is tried for few queries: by roles most keys on their way, then without."""
    with_roles = given if _is_plain(given) else given.completed(FEW_WITH_ROLES)
    found = [
        [each for each in legal_schedules(form.facts, target, with_roles) if each.consumers] for form in forms
    ]
    legal = [
        each for each in found[0] if each.block_kv <= _MOST_FEW_KEYS and all(each in more for more in found)
    ]
    best = sorted(legal, key=lambda each: (each.block_kv * each.num_stages, each.num_stages))[-1:]
    return best if given.consumers else [*best, *(given.completed(numbers) for numbers in FEW_PLAIN)]


_NOT_FEW = {"pack": "none", "split": "none"}

_MOST_FEW_KEYS = 128
"""The most keys of a tile where queries are few: the last tile of a part is late by no more."""


def _is_plain(given: NvidiaSchedule) -> bool:
    return bool(given.block_q or given.num_warps)


def _is_smaller(schedule: NvidiaSchedule, other: NvidiaSchedule) -> bool:
    """Whether a thread needs fewer registers for tiles of keys."""
    return schedule.block_kv < other.block_kv


def ranked(given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[Form]) -> list[NvidiaSchedule]:
    """All schedules that all forms have room for, the fastest first: what was measured, then by the model."""
    given = without_hints(given)
    if all(map(_has_few_queries, forms)):
        given = given.completed(_NOT_FEW)  # or it would be taken for a choice that is still to be made
    legal = dict.fromkeys(legal_schedules(forms[0].facts, target, given))
    for form in forms[1:]:
        others = set(legal_schedules(form.facts, target, given))
        legal = {each: None for each in legal if each in others}
    models = [Model(form, target) for form in forms]
    order = sorted(legal, key=lambda each: sum(model.microseconds(each) for model in models))
    if len(forms) == 1 and (entry := _measured(target.name).get(entry_key(forms[0]))) is not None:
        measured = [each for each in legal if all(getattr(each, name) == entry[name] for name in entry)]
        order = [*measured, *(each for each in order if each not in measured)]
    return order


# ---- the table ---------------------------------------------------------------------------------------


def entry_key(form: Form) -> str:
    """What the table knows a program and the lengths of its calls by."""
    facts = ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(form.facts).items())
    return f"{facts}, mask={form.mask}, length={length_class(form.shape.keys)}"


def length_class(length: int) -> int:
    """The one of `LENGTHS` that is nearest in doublings: the same for all lengths of as many bits."""
    return min(reversed(LENGTHS), key=lambda each: abs(math.log2(max(length, 1) / each)))


@functools.cache
def _measured(target: str) -> dict[str, dict[str, Any]]:
    """The options of the fastest schedule by key, for one target."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return table["entries"] if table["target"] == target else {}
