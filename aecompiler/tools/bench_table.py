"""Results of cases beside several peers as a table in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(results: Sequence[Mapping[str, Any]], peers: Iterable[str]) -> str:
    """A line for each result, then geometric means of the ratios and what failed.

    A result has `case`, `ms`, `tflops`, `error`, `cost`, `failed`, and `peers`, which holds `ms`, `ratio` and
    `failed` by name; what is None or missing was not measured.
    """
    names = list(peers)
    head = ["case", "ms", "TFLOP/s", *(f"{name}, ms | ratio" for name in names), "cost", "largest error"]
    columns = " | ".join(head)
    lines = [f"| {columns} |", "|" + "---|" * (columns.count("|") + 1)]
    for each in results:
        cells = [each["case"], _time(each), _number(each["tflops"], ".0f")]
        for name in names:
            peer = each["peers"].get(name, {})
            cells += [_time(peer), _number(peer.get("ratio"), ".2f")]
        cells += [_number(each["cost"], ".2f"), _number(each["error"], ".1e")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_summary(results, names), *_failures(results)])


def geometric_mean(numbers: Sequence[float]) -> float:
    """Of one or more numbers above 0."""
    return math.exp(math.fsum(map(math.log, numbers)) / len(numbers))


def _time(found: Mapping[str, Any]) -> str:
    return "failed" if found.get("failed") else _number(found.get("ms"), ".3f")


def _number(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def _summary(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    lines = []
    for name in names:
        ratios = {
            each["case"]: ratio
            for each in results
            if (ratio := each["peers"].get(name, {}).get("ratio")) is not None
        }
        if ratios:
            least = min(ratios, key=ratios.__getitem__)
            mean = geometric_mean(list(ratios.values()))
            lines.append(
                f"beside {name}: geometric mean {mean:.3f} of {len(ratios)} cases, "
                f"least {ratios[least]:.3f} ({least})"
            )
    return ["", *lines] if lines else []


def _failures(results: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for each in results:
        if each["failed"]:
            lines.append(f"{each['case']}: {each['failed']}")
        for name, peer in each["peers"].items():
            if peer.get("failed"):
                lines.append(f"{each['case']}: {name}: {peer['failed']}")
    return ["", *lines] if lines else []
