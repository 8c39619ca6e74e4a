"""Attention for AMD's chips beside Triton's AMD backend: simulated instructions, and what kernels need.

    python bench/amd.py --list
    python bench/amd.py --case 'd64' --chips gfx942,gfx950 --out amd.jsonl

No AMD GPU is used and no time is measured: kernels are executed instruction by instruction, each result is
compared with the formula in float64, and wave instructions are counted. docs/backends/amd.md defines the
columns.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import amd_cases
from amd_cases import CASES, CHIPS, OURS, TRITON

from aecompiler.tools.bench_children import Failure, all_in_children
from aecompiler.tools.bench_machine import versions
from aecompiler.tools.bench_peers import pattern
from aecompiler.tools.command_line import FAILED, OK

HEAD = (
    "case | chip | kernel | wave instructions | of a tile | of a trip | matrix share | read, write conflicts "
    "| VGPR, AGPR, SGPR | LDS | scratch, spills | waves of a SIMD"
)
NO_SCRATCH, FEWER, NO_CONFLICTS = (
    "no scratch and no spills",
    "fewer wave instructions than Triton",
    "no read conflicts in the main loop",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 1 if a case of ours failed."""
    begin = time.monotonic()
    args = arguments(argv)
    cases = [case for case in CASES if args.case.search(case.name)]
    jobs = [(case, chip, args.quick) for case in cases for chip in args.chips]
    if args.list:
        for case, chip, _ in jobs:
            print(f"{case.name}  {chip}")
        return OK
    Path(args.out).write_text("", encoding="utf-8")
    results = all_in_children(functools.partial(measure, args.out), jobs, limit_s=args.limit)
    lines: list[dict[str, Any]] = []
    for (case, chip, _), result in zip(jobs, results, strict=True):
        if isinstance(result, Failure):
            result = [{"case": case.name, "chip": chip, "who": OURS, "failed": result.text}]
        lines += result
    print("\n".join([*table(lines), "", *bars(lines)]))
    print(f"simulated in {time.monotonic() - begin:.0f} s; nothing is said about time on hardware")
    return FAILED if any(line["failed"] for line in lines if line["who"] == OURS) else OK


def measure(out: str, job: tuple[amd_cases.Case, str, bool]) -> list[dict[str, Any]]:
    """The lines of results of a case, which are appended to a file as well."""
    lines = amd_cases.measure(job)
    text = [json.dumps({**line, "simulated": True, "versions": versions()}) + "\n" for line in lines]
    with Path(out).open("a", encoding="utf-8") as file:
        file.write("".join(text))
    return lines


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description="Count the instructions of kernels for AMD's chips.")
    add = parser.add_argument
    add("--list", action="store_true", help="print the cases; run nothing")
    add("--case", metavar="REGEX", type=pattern, default="", help="run the cases in whose names this is")
    add("--chips", default=",".join(CHIPS), help="some of %(default)s (default: all)")
    add("--quick", action="store_true", help="run only our kernels, with default options")
    add(
        "--out",
        default="amd.jsonl",
        help="a line of JSON for each kernel, as they come (default: %(default)s)",
    )
    add("--limit", type=float, default=1800.0, help="seconds for all; the rest is not run (default: 1800)")
    args = parser.parse_args(argv)
    args.chips = tuple(args.chips.split(","))
    if unknown := set(args.chips) - set(CHIPS):
        parser.error(f"--chips: no chip '{min(unknown)}' (chips: {', '.join(CHIPS)})")
    return args


def table(lines: Sequence[dict[str, Any]]) -> list[str]:
    """A table in Markdown, a row for each kernel."""
    rows = [row(line) for line in lines]
    return [f"| {HEAD} |", "|" + "---|" * (HEAD.count("|") + 1), *rows]


def row(line: dict[str, Any]) -> str:
    """The row of a kernel."""
    name = f"{line['case']} | {line['chip']} | {line['who']}"
    if line["failed"]:
        return f"| {name} | failed: {line['failed']} |"
    loop = line["loop"]
    cells = [name, str(line["instructions"]), _number(line["tile_instructions"], ".0f")]
    if loop is None:
        cells += ["", "", ""]
    else:
        conflicts = f"{loop['read_conflicts']:g}, {loop['write_conflicts']:g}"
        cells += [_number(loop["instructions"], ".0f"), _number(loop["matrix_share"], ".0%"), conflicts]
    cells += [
        f"{line['vgprs']}, {line['agprs']}, {line['sgprs']}",
        str(line["lds_bytes"]),
        f"{line['scratch_bytes']}, {line['vgpr_spills'] + line['sgpr_spills']}",
        f"{line['waves_per_simd']:g}",
    ]
    return f"| {' | '.join(cells)} |"


def _number(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def bars(lines: Sequence[dict[str, Any]]) -> list[str]:
    """What our kernels are to be, and those that aren't: each of them on a line."""
    known = {(each["case"], each["chip"], each["who"]): each for each in lines if not each["failed"]}
    missed: dict[str, list[str]] = {NO_SCRATCH: [], FEWER: [], NO_CONFLICTS: []}
    reached = dict.fromkeys(missed, 0)

    def judge(bar: str, is_reached: bool, text: str) -> None:
        reached[bar] += is_reached
        if not is_reached:
            missed[bar].append(text)

    for (case, chip, who), each in known.items():
        if who != OURS:
            continue
        name = f"{case} on {chip}"
        spills, scratch = (each["vgpr_spills"], each["sgpr_spills"]), each["scratch_bytes"]
        text = f"{name}: {scratch} bytes, {spills[0]} vector and {spills[1]} scalar registers"
        judge(NO_SCRATCH, not any((scratch, *spills)), text)
        if peer := known.get((case, chip, TRITON)):
            ours, theirs = each["instructions"], peer["instructions"]
            judge(FEWER, ours < theirs, f"{name}: {ours}, Triton {theirs}")
        if loop := each["loop"]:
            cycles = loop["read_conflicts"]
            judge(NO_CONFLICTS, not cycles, f"{name}: {cycles:g} cycles of a trip")
    found = []
    for bar, names in missed.items():
        found.append(f"{bar}: {reached[bar]} of {reached[bar] + len(names)} cases reach the bar")
        found += [f"  missed by {each}" for each in names]
    return found


if __name__ == "__main__":
    sys.exit(main())
