"""How well the model ranks schedules that were measured, and the fit of its constants to them."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nvidia_cases import Setting, build

from aecompiler.backends.nvidia.program_facts import Form, Shape, read_forms
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_choice import LENGTHS, entry_key
from aecompiler.backends.nvidia.schedule_model import CONSTANTS, Model
from aecompiler.backends.nvidia.target import NvidiaTarget

NEAR = 0.05
"""How much slower than the best measured schedule the model's choice may be."""

STIFFNESS = 2e-4
"""What a constant costs that is e times what it was, as an error; measurements are off by 1e-4 themselves."""


@dataclasses.dataclass
class Case:
    """A case, what the model knows of it, and the milliseconds (or kilocycles) of its schedules."""

    key: str
    form: Form
    times: dict[NvidiaSchedule, float]

    def ranks(self, target: NvidiaTarget, constants: Mapping[str, float]) -> dict[NvidiaSchedule, float]:
        """What the model says of the schedules that were measured."""
        model = Model(self.form, target, constants)
        return {each: model.microseconds(each) / 1e3 for each in self.times}


def read_cases(file: Path, settings: Sequence[Setting], unit: str) -> list[Case]:
    """The cases of a file of measurements; `unit` is "ms" or "kilocycles"."""
    known = {each.key: each for each in settings}
    found: dict[str, Case] = {}
    for line in file.read_text().splitlines():
        point = json.loads(line)
        if unit in point and point.get("case") in known:
            key = point["case"]
            case = found.setdefault(key, Case(key, form_of(known[key]), {}))
            case.times[NvidiaSchedule(**point["schedule"])] = point[unit]
    return list(found.values())


def form_of(setting: Setting) -> Form:
    """What the model knows of a case: that of the program, at the sizes of the case."""
    (form,) = read_forms(build(setting).module, setting.length)
    shape = dataclasses.replace(form.shape, heads=setting.batch * setting.heads)
    return dataclasses.replace(form, shape=shape)


def evaluation(cases: Sequence[Case], target: NvidiaTarget, unit: str) -> Iterator[str]:
    """A table in Markdown: rank correlation, and what is lost by choosing with the model."""
    yield f"| case | schedules | rank correlation | best, {unit} | chosen, {unit} | loss |"
    yield "|---|---|---|---|---|---|"
    correlations, losses = [], []
    for case in cases:
        said = case.ranks(target, CONSTANTS)
        chosen, best = case.times[min(said, key=said.__getitem__)], min(case.times.values())
        correlations.append(rank_correlation(list(said.values()), [case.times[each] for each in said]))
        losses.append(chosen / best - 1)
        yield (
            f"| {case.key} | {len(said)} | {correlations[-1]:.3f} | {best:.3f} | {chosen:.3f} | "
            f"{100 * losses[-1]:.1f} % |"
        )
    count, near = sum(len(case.times) for case in cases), sum(loss <= NEAR for loss in losses)
    yield ""
    yield (
        f"{count} schedules of {len(cases)} cases: least correlation {min(correlations):.3f}, "
        f"largest loss {100 * max(losses):.1f} %, at most {100 * NEAR:.0f} % in {near} cases"
    )


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, equal numbers having their mean rank."""
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) - 1) / 2
    product = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    squares = (sum((x - mean) ** 2 for x in side) for side in (a, b))
    return product / (math.sqrt(math.prod(squares)) or 1.0)


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    mean = {value: order.index(value) + (order.count(value) - 1) / 2 for value in set(order)}
    return [mean[value] for value in values]


# ---- the table and the fit ---------------------------------------------------------------------------


def table_of(cases: Sequence[Case], target: NvidiaTarget, source: str) -> dict[str, Any]:
    """The table of the fastest schedules, as `measured_schedules.json` has it.

    A case stands for the classes of lengths that are at most a doubling away, unless another is nearer.
    """
    entries: dict[str, tuple[float, NvidiaSchedule]] = {}
    for case in cases:
        best = min(case.times, key=case.times.__getitem__)
        for length in LENGTHS:
            distance = abs(math.log2(case.form.shape.keys / length))
            key = entry_key(dataclasses.replace(case.form, shape=_of_length(case.form.shape, length)))
            if distance <= 1 and (key not in entries or distance < entries[key][0]):
                entries[key] = distance, best
    return {
        "target": target.name,
        "source": source,
        "entries": {key: schedule.options for key, (_, schedule) in entries.items()},
    }


def _of_length(shape: Shape, length: int) -> Shape:
    return dataclasses.replace(shape, keys=length)


def fitted(cases: Sequence[Case], target: NvidiaTarget, rounds: int, seed: int = 0) -> dict[str, float]:
    """Constants for which the model is nearer to the measurements: changed a little, again and again."""
    draw = random.Random(seed)
    best = dict(CONSTANTS)
    least = error(cases, target, best)
    for turn in range(rounds):
        width = 0.5 * (1 - turn / rounds) + 0.02
        tried = dict(best)
        for name in draw.sample(sorted(best), draw.choice((1, 1, 2))):
            tried[name] *= math.exp(draw.gauss(0.0, width))
        found = error(cases, target, tried)
        if found < least:
            best, least = tried, found
    return best


def error(cases: Sequence[Case], target: NvidiaTarget, constants: Mapping[str, float]) -> float:
    """How far the model is off, as the logarithm of times: fast schedules count most.

    A factor that all schedules of a case share counts little. What the model's choice loses counts beside,
    and how far the constants are from those that are there, so that they stay what they are said to be.
    """
    moved = sum(math.log(constants[name] / CONSTANTS[name]) ** 2 for name in constants)
    total = STIFFNESS * moved * len(cases)
    for case in cases:
        said = case.ranks(target, constants)
        fastest = min(case.times.values())
        weights = {each: (fastest / time) ** 2 for each, time in case.times.items()}
        logs = {each: math.log(said[each] / time) for each, time in case.times.items()}
        whole = sum(weights.values())
        mean = sum(weights[each] * logs[each] for each in logs) / whole
        total += sum(weights[each] * (logs[each] - mean) ** 2 for each in logs) / whole
        total += 0.05 * mean**2
        total += 0.1 * max(0.0, case.times[min(said, key=said.__getitem__)] / fastest - 1.02)
    return total / len(cases)
