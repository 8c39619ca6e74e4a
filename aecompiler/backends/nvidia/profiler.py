"""The cycles of kernels by NVIDIA's profiler, where it is there and may count.

A card under load lowers its clock to keep within its power, so that times of the same kernel drift by 5 % and
more; its cycles do not.
"""

from __future__ import annotations

import csv
import math
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from aecompiler.backends import processes

METRIC = "gpc__cycles_elapsed.max"


def profiler_command(kernels: Iterable[str]) -> list[str] | None:
    """What stands before a command whose launches of these kernels are to be counted; None: no profiler."""
    found = shutil.which("ncu")
    if found is None:
        return None
    names = "|".join(sorted(set(kernels)))
    options = ["--csv", "--metrics", METRIC, "--clock-control", "none", "--target-processes", "all"]
    return [found, *options, "--kernel-name", f"regex:^({names})$"]


def kernel_cycles(command: Sequence[str], kernels: Iterable[str], timeout_s: float) -> list[float]:
    """The cycles of each launch of these kernels by a command, in order; none where they can't be had."""
    before = profiler_command(kernels)
    if before is None:
        return []
    child = processes.start([*before, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        written, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return []
    finally:
        processes.end(child)  # the profiler, and what it has started
    return read_cycles(written.decode(errors="replace"))


def read_cycles(text: str) -> list[float]:
    """The cycles of each launch in the profiler's table, which stands between other lines.

    None of them where one has no number, as "n/a": they could not be told apart.
    """
    header: list[str] = []
    found: dict[int, float] = {}
    for row in csv.reader(text.splitlines()):
        if "Metric Value" in row:
            header = row
        elif header and len(row) == len(header):
            cells = dict(zip(header, row, strict=True))
            if cells.get("Metric Name") != METRIC:
                continue
            try:
                number, cycles = int(cells["ID"]), float(cells["Metric Value"].replace(",", ""))
            except (KeyError, ValueError):
                return []
            if not math.isfinite(cycles):
                return []
            found[number] = cycles
    return [found[number] for number in sorted(found)]
