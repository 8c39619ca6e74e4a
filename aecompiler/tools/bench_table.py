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
    lines += [row(each, names) for each in results]
    failed = [line for each in results for line in failures(each)]
    return "\n".join([*lines, *_block(_summary(results, names)), *_block(failed)])


def row(result: Mapping[str, Any], names: Iterable[str]) -> str:
    """The line of a result."""
    cells = [result["case"], _time(result), _number(result["tflops"], ".0f")]
    for name in names:
        peer = result["peers"].get(name, {})
        cells += [_time(peer), _number(peer.get("ratio"), ".2f")]
    cells += [_number(result["cost"], ".2f"), _number(result["error"], ".1e")]
    return f"| {' | '.join(cells)} |"


def failures(result: Mapping[str, Any]) -> list[str]:
    """A line for ours, and for each of the peers, if it failed."""
    lines = [f"{result['case']}: {result['failed']}"] if result["failed"] else []
    for name, peer in result["peers"].items():
        if peer.get("failed"):
            lines.append(f"{result['case']}: {name}: {peer['failed']}")
    return lines


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


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
    return lines
