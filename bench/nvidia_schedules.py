"""Schedules of attention on one NVIDIA GPU: what each of many takes, and how well the model ranks them.

    python bench/nvidia_schedules.py --list
    python bench/nvidia_schedules.py --out schedules.jsonl
    python bench/nvidia_schedules.py --case 'causal/.*D128' --schedules 12
    python bench/nvidia_schedules.py --evaluate schedules.jsonl

Some of the schedules that the chip has room for are drawn for each program, the same for all its lengths.
They are compiled in processes of their own. Each result is compared with the formula in float64, whole. Then
the schedules of a case take turns, in an order that changes from round to round, and at last the profiler
counts their cycles, if it is there and time is left. A schedule that hangs or faults costs itself only.

The first line of the file says what the numbers were measured with. Each other line is a schedule of a case:
`ms`, `kilocycles`, the largest `error` of a row, registers, bytes of spills and of shared memory, and threads
of the kernel, or why it `failed`.

`--evaluate` needs no GPU: it says, of the schedules in a file, how their times and those of the model are
ranked, and what is lost where the model chooses among them. `--fit` prints constants for the model, `--table`
the fastest schedule of each case, as the package has them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nvidia_cases import Setting, build, make_inputs
from schedule_ranks import evaluation, fitted, read_cases, table_of

import aecompiler as aec
from aecompiler.backends.nvidia.profiler import kernel_cycles
from aecompiler.backends.nvidia.program_facts import ProgramFacts
from aecompiler.backends.nvidia.schedule import WITH_ROLES, NvidiaSchedule
from aecompiler.backends.nvidia.schedule_space import ANY, legal_schedules
from aecompiler.backends.nvidia.target import named_target
from aecompiler.backends.nvidia.timing import event_batch_ms, interleaved_medians
from aecompiler.tools.bench_children import Failure, all_in_children, each_in_child
from aecompiler.tools.bench_cuda import poisoned_call, row_error
from aecompiler.tools.bench_machine import versions
from aecompiler.tools.bench_peers import TOLERANCE, is_usable, pattern
from aecompiler.tools.command_line import OK, USAGE, count, natural, not_negative

TARGET = named_target("nvidia:sm_90")
PARTS = {"widest": 0.55, "large": 0.2, "small": 0.1, "plain": 0.15}
"""Which parts of the schedules of a program are of which kind."""

CACHE_MIB = "8192"
"""Room for all kernels in the cache of this process and its children."""

SECONDS_OF_LAUNCH = 0.2
"""What the profiler takes for a launch, its setting up included."""


# ---- cases and schedules -----------------------------------------------------------------------------


def all_settings() -> list[Setting]:
    """The cases, the most important first: those whose schedules are compiled, checked and timed first."""
    softmax = [
        Setting(name, batch, 2048 // features, length, features)
        for length, batch in ((4096, 4), (16384, 1), (1024, 16))
        for features in (128, 64, 256)
        for name in ("causal", "full")
    ]
    others = [
        Setting("causal", 1, 32, 8192, 128, kv_heads=8),
        Setting("causal", 1, 128, 4096, 192, value_features=128),
        *(Setting(name, 2, 16, 8192, 128) for name in ("alibi", "sigmoid", "softcap", "window")),
    ]
    return [*softmax[:6], *others, *softmax[6:]]


def facts_of(setting: Setting) -> ProgramFacts:
    """What schedules of a case depend on."""
    return ProgramFacts(
        features=setting.features,
        value_features=setting.value_features or setting.features,
        element="bf16",
    )


def candidates(setting: Setting, count: int) -> list[NvidiaSchedule]:
    """The schedules that are measured: what is chosen by default, and some of each kind."""
    facts = facts_of(setting)
    legal = list(legal_schedules(facts, TARGET))
    found = [ANY.completed(numbers) for numbers in WITH_ROLES]
    found = [each for each in found if each in legal][:1]
    draw = random.Random(f"{setting.name} {facts}")
    draw.shuffle(legal)
    widest = {each.consumers: each.block_kv for each in sorted(legal, key=lambda each: each.block_kv)}
    for kind, part in PARTS.items():
        of_kind = [each for each in legal if _kind(each, widest) == kind]
        found += of_kind[: math.ceil(part * count)]
    return list(dict.fromkeys([*found[:count], *legal]))[:count]


def _kind(schedule: NvidiaSchedule, widest: Mapping[int, int]) -> str:
    if not schedule.consumers:
        return "plain"
    if schedule.block_kv == widest[schedule.consumers] and schedule.num_stages == 2:
        return "widest"
    return "large" if schedule.block_kv >= 64 and schedule.num_stages > 1 else "small"


@dataclasses.dataclass(frozen=True)
class Point:
    """A schedule of a case."""

    setting: Setting
    schedule: NvidiaSchedule

    def kernel(self) -> Any:
        """Its kernel, from the cache if it was compiled before."""
        return aec.compile(build(self.setting), "cuda", **self.schedule.options)

    @property
    def code(self) -> tuple[str, NvidiaSchedule]:
        """What its kernel is compiled of."""
        return _text(self.setting), self.schedule


@functools.cache
def _text(setting: Setting) -> str:
    return str(build(setting))


# ---- work of child processes -------------------------------------------------------------------------


def compile_ahead(point: Point) -> dict[str, Any]:
    """What is known of a kernel."""
    artifact = point.kernel().artifact
    ((name, _),) = artifact.manifest["kernels"].items()
    code = artifact.code(name, "aligned")
    names = ("symbol", "registers", "spills", "shared", "threads")
    return {name: getattr(code, name) for name in names}


@functools.lru_cache(maxsize=1)
def _job(setting: Setting) -> Any:
    return setting.prepare()


@functools.lru_cache(maxsize=1)
def _inputs(setting: Setting) -> dict[str, torch.Tensor]:
    return make_inputs(setting, "cuda")


def check(point: Point) -> float:
    """The largest error of a row."""
    job = _job(point.setting)
    like = job.expected.to(job.inputs["v"].dtype)
    return row_error(poisoned_call(point.kernel(), job.inputs, like), job.expected)


def time_case(points: Sequence[Point], rounds: int) -> list[float]:
    """The milliseconds of each of the schedules of a case, which take turns."""
    inputs = _inputs(points[0].setting)
    calls = {number: functools.partial(point.kernel(), **inputs) for number, point in enumerate(points)}
    found = interleaved_medians(calls, rounds, event_batch_ms, random.Random(0).shuffle)
    return [found[number] for number in range(len(points))]


def launch_once(file: str) -> int:
    """Launch each of the schedules in a file once, for the profiler."""
    settings = {each.key: each for each in all_settings()}
    for line in json.loads(Path(file).read_text()):
        point = Point(settings[line["case"]], NvidiaSchedule(**line["schedule"]))
        point.kernel()(**_inputs(point.setting))
        torch.cuda.synchronize()
    return OK


# ---- the command -------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 without a GPU."""
    begin = time.monotonic()
    args = arguments(argv)
    if args.evaluate:
        return evaluate(args)
    if args.launch:
        return launch_once(args.launch)
    points = [
        Point(setting, schedule)
        for setting in all_settings()
        if args.case.search(setting.key)
        for schedule in candidates(setting, args.schedules)
    ]
    if args.list:
        for point in points:
            print(point.setting.key, json.dumps(point.schedule.options))
        return OK
    if not torch.cuda.is_available():
        print("expects a GPU that torch can use", file=sys.stderr)
        return USAGE
    os.environ.setdefault("AECOMPILER_CACHE_SIZE", CACHE_MIB)
    with Path(args.out).open("w", encoding="utf-8") as file:
        run = Run(points, lambda line: print(json.dumps(line), file=file, flush=True))
        measured_with = {"device": torch.cuda.get_device_name(), "versions": versions()}
        run.write(measured_with)
        for work, share in ((run.compile, 0.4), (run.check, 0.65), (run.time, 0.9), (run.count, 1.0)):
            work(begin + share * args.limit, args)
            print(f"{work.__name__}: {run.summary()}, {time.monotonic() - begin:.0f} s", flush=True)
    return OK


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Time schedules of attention on a GPU.")
    add = parser.add_argument
    add("--list", action="store_true", help="print the schedules of each case; run nothing")
    add("--case", metavar="REGEX", type=pattern, default="", help="measure the cases in whose names this is")
    add("--schedules", type=count, default=36, help="schedules of a case (default: 36)")
    add("--rounds", type=count, default=5, help="rounds in which all take turns (default: 5)")
    add("--out", default="schedules.jsonl", help="a line of JSON for each schedule (default: %(default)s)")
    add(
        "--limit",
        type=not_negative,
        default=460.0,
        help="seconds for all; the rest is not run (default: 460)",
    )
    add("--evaluate", metavar="FILE", help="compare the model with measurements; needs no GPU")
    add("--unit", choices=("ms", "kilocycles"), default="ms", help="what of them (default: ms)")
    add(
        "--fit",
        type=natural,
        default=0,
        metavar="ROUNDS",
        help="with --evaluate: print constants that fit them",
    )
    add(
        "--table",
        metavar="SOURCE",
        help="with --evaluate: print the table of the fastest, and where it is from",
    )
    add("--launch", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.evaluate:
        try:
            args.cases = read_cases(Path(args.evaluate), all_settings(), args.unit)
        except OSError as error:
            parser.error(f"--evaluate: cannot read '{args.evaluate}': {error.strerror}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            parser.error(f"--evaluate: '{args.evaluate}' holds no measurements: {error}")
        if not args.cases:
            parser.error(f"--evaluate: '{args.evaluate}' holds no points with {args.unit} of known cases")
    return args


def evaluate(args: argparse.Namespace) -> int:
    """What `--evaluate` says of a file."""
    cases = args.cases
    if args.table:
        print(json.dumps(table_of(cases, TARGET, args.table), indent=2))
    elif args.fit:
        for name, value in fitted(cases, TARGET, args.fit).items():
            print(f'    "{name}": {value:.4g},')
    else:
        print("\n".join(evaluation(cases, TARGET, args.unit)))
    return OK


class Run:
    """The points, and what was found of each; lines are written when a point is done."""

    def __init__(self, points: Sequence[Point], write: Any):
        self.points = list(points)
        self.write = write
        self.found: dict[Point, dict[str, Any]] = {point: {} for point in self.points}

    def summary(self) -> str:
        """How many points are left."""
        return f"{len(self.points)} of {len(self.found)} schedules are left"

    def compile(self, end: float, args: argparse.Namespace) -> None:
        """Compile all programs, each for its schedules, and drop the points that are refused."""
        first = {point.code: point for point in reversed(self.points)}
        ahead = list(dict.fromkeys(first[point.code] for point in self.points))
        facts = all_in_children(compile_ahead, ahead, limit_s=end - time.monotonic(), item_limit_s=60.0)
        by_code = {point.code: each for point, each in zip(ahead, facts, strict=True)}
        self._keep(self.points, [by_code[point.code] for point in self.points])

    def check(self, end: float, args: argparse.Namespace) -> None:
        """Drop the points whose results are wrong."""
        errors = each_in_child(check, self.points, limit_s=20.0, end=end, is_usable=is_usable)
        found = []
        for error in errors:
            if isinstance(error, float):
                wrong = not error <= TOLERANCE
                error = Failure(f"off by {error:.2e}") if wrong else {"error": float(f"{error:.2e}")}
            found.append(error)
        self._keep(self.points, found)

    def _keep(self, points: Sequence[Point], results: Sequence[Any]) -> None:
        """Add what was found of points; those that failed are written, and left out from now on."""
        left = []
        for point, result in zip(points, results, strict=True):
            if isinstance(result, Failure):
                self._write(point, failed=result.text[:160])
            else:
                self.found[point].update(result)
                left.append(point)
        self.points = left

    def time(self, end: float, args: argparse.Namespace) -> None:
        """Time the points, case by case."""
        cases: dict[Setting, list[Point]] = {}
        for point in self.points:
            cases.setdefault(point.setting, []).append(point)
        work = functools.partial(time_case, rounds=args.rounds)
        results = each_in_child(work, list(cases.values()), limit_s=60.0, end=end, is_usable=is_usable)
        left = []
        for points, result in zip(cases.values(), results, strict=True):
            for number, point in enumerate(points):
                if isinstance(result, Failure):
                    self._write(point, failed=result.text[:160])
                else:
                    self._write(point, ms=float(f"{result[number]:.5g}"))
                    left.append(point)
        self.points = left

    def count(self, end: float, args: argparse.Namespace) -> None:
        """Count cycles of as many points as there is time for; a line with the cycles alone for each."""
        seconds = end - time.monotonic()
        points = self.points[: max(0, int(seconds / SECONDS_OF_LAUNCH))]
        plan = Path(f"{args.out}.launches")
        plan.write_text(json.dumps([_line(point) for point in points]))
        command = [sys.executable, __file__, "--launch", str(plan)]
        symbols = [self.found[point]["symbol"] for point in points]
        cycles = kernel_cycles(command, symbols, seconds) if points else []
        plan.unlink()
        if len(cycles) == len(points):
            for point, each in zip(points, cycles, strict=True):
                self.write({**_line(point), "kilocycles": round(each / 1e3, 1)})
        self.points = self.points[: len(cycles)]

    def _write(self, point: Point, **more: Any) -> None:
        facts = {name: value for name, value in self.found[point].items() if name != "symbol"}
        self.write({**_line(point), **more, **facts})


def _line(point: Point) -> dict[str, Any]:
    return {"case": point.setting.key, "schedule": point.schedule.options}


if __name__ == "__main__":
    sys.exit(main())
