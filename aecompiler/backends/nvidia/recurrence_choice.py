"""How kernels of recurrences in chunks are made: as usual, or as the model says where programs are few."""

from __future__ import annotations

from collections.abc import Sequence

from aecompiler.backends.nvidia.recurrence_facts import RecurrenceForm
from aecompiler.backends.nvidia.recurrence_model import RecurrenceModel
from aecompiler.backends.nvidia.recurrence_space import legal_chunks, numbers_of, shared_bytes, usual
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.target import NvidiaTarget

LEAST_GAIN = 1.1
"""How many times as fast as the usual schedule another has to be, by the model, to be taken: times that the
model was fitted to it reproduces within some 5 %, but for one."""

TYPES, INSTRUCTION = ("bf16", "f16"), "wgmma"
"""The types of q, and the matrix instruction, of the kernels that the model was fitted to."""


def chunk_options(
    given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> dict[str, int]:
    """The options for recurrences beside those that are given; none where the usual schedule is taken.

    That is where its programs fill the chip, for which it was measured, where the model knows nothing, and
    where both value features and stages are given.
    """
    is_open = not (given.chunk_value_block and given.chunk_stages)
    is_known = target.matrix_instruction == INSTRUCTION
    if not (is_open and is_known) or any(_fills(RecurrenceModel(form, target), given) for form in forms):
        return {}
    found = timed_options(given, target, forms)
    usual_time = next((time for options, time in found if not options), 0.0)
    best, time = min(found, key=lambda each: each[1], default=({}, 0.0))
    return best if time * LEAST_GAIN < usual_time else {}


def _fills(model: RecurrenceModel, given: NvidiaSchedule) -> bool:
    """Whether the usual programs are as many as the chip has room for at a time."""
    how = usual(model.facts, model.target, given)
    return model.programs(how) >= model.blocks(how) * model.target.multiprocessors


def ranked_options(
    given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> list[dict[str, int]]:
    """Options that leave nothing to choose, which all forms have room for; the fastest by the model first."""
    found = sorted(timed_options(given, target, forms), key=lambda each: each[1])
    return [_explicit(options, given, target, forms) for options, _ in found]


def default_options(
    given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> dict[str, int]:
    """What is taken where nothing is timed, as such options."""
    return _explicit(chunk_options(given, target, forms), given, target, forms)


def _explicit(
    options: dict[str, int], given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> dict[str, int]:
    how = usual(forms[0].facts, target, given.completed(options))
    return options | {"chunk_value_block": how.value_block, "chunk_stages": how.stages}


def timed_options(
    given: NvidiaSchedule, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> list[tuple[dict[str, int], float]]:
    """All such options with the microseconds that the model says; empty where it knows nothing of a form."""
    if not forms or given.chunk == 1 or any(form.facts.element not in TYPES for form in forms):
        return []
    first = forms[0].facts
    listed = [numbers_of(how, first, target, given) for how in legal_chunks(first, target, given)]
    models = [RecurrenceModel(form, target) for form in forms]
    found = []
    for options in (each for n, each in enumerate(listed) if each not in listed[:n]):
        ways = [usual(form.facts, target, given.completed(options)) for form in forms]
        fits = all(
            shared_bytes(form.facts, how) <= target.shared_bytes_per_block
            for form, how in zip(forms, ways, strict=True)
        )
        if fits or not options:
            time = sum(model.microseconds(how) for model, how in zip(models, ways, strict=True))
            found.append((options, time))
    return found
