"""Runs cases on a GPU, each beside its peers: options, processes, the check before the clock, results.

A file below `bench/` says what the cases are, and ends with `run(cases, peers, file)`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from aecompiler.backends.nvidia.timing import Call, event_batch_ms, interleaved_medians
from aecompiler.tools.bench_children import Failure, all_in_children, each_in_child
from aecompiler.tools.bench_cuda import poisoned_call, row_error
from aecompiler.tools.bench_machine import versions
from aecompiler.tools.bench_table import failures, row, table
from aecompiler.tools.benchmark import WrongResultError
from aecompiler.tools.command_line import FAILED, OK, USAGE

TARGET = "cuda"

TOLERANCE = 1.6e-2
"""Of each row, relative to its largest magnitude: weights and results are rounded to bf16."""

PEER_TOLERANCE = 0.1
"""Of a peer's rows: plain torch rounds scores to bf16 too. It has to show only that it computes the same."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a case runs: a program, arguments by name, the result in float64, and what makes its peers.

    `plain` is another program of ours, which takes q, k and v: what a pair costs beside it is reported.
    """

    program: Any
    inputs: Mapping[str, Any]
    expected: Any
    peers: Mapping[str, Callable[[], Call]]
    plain: Any = None
    plain_flops: int = 0


class Case(Protocol):
    """A case; it is pickled for another process."""

    @property
    def key(self) -> str:
        """Its name, which --case is matched with."""

    @property
    def flops(self) -> int:
        """Of the two products, at the pairs that the mask keeps."""

    @property
    def peers(self) -> Sequence[str]:
        """The names of its peers."""

    def programs(self) -> Sequence[Any]:
        """The programs of ours that it needs, to be compiled ahead."""

    def prepare(self) -> Job:
        """Make the arguments and the reference, on the GPU."""


@dataclasses.dataclass
class Measured:
    """A line of results. A peer's `ratio` is its time / ours. `cost` is our time per pair beside that of the
    plain program. `error` is the largest of a row, relative to the row's largest magnitude. A case that
    failed has no times of ours."""

    case: str
    ms: float | None = None
    tflops: float | None = None
    error: float | None = None
    tolerance: float = TOLERANCE
    cost: float | None = None
    failed: str | None = None
    peers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    rounds: int = 0
    seconds: float = 0.0
    device: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def run(cases: Sequence[Case], peers: Iterable[str], out: str, argv: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 if a case of ours failed, or 2 without a GPU."""
    begin = time.monotonic()
    names = tuple(peers)
    args = arguments(names, out, argv)
    chosen = [each for each in cases if args.case.search(each.key)]
    if args.list:
        for each in chosen:
            print(f"{each.key}  ({', '.join(each.peers)})")
        return OK
    if not _has_gpu():
        print("expects a GPU that torch can use", file=sys.stderr)
        return USAGE
    all_in_children(compile_ahead, _ahead(chosen), limit_s=120.0)
    print(f"compiled in {time.monotonic() - begin:.0f} s", flush=True)
    work = functools.partial(measure, rounds=args.rounds, peers=args.peers)
    found = []
    with Path(args.out).open("w", encoding="utf-8") as file:
        results = each_in_child(
            work, chosen, limit_s=args.case_limit, end=begin + args.limit, is_usable=is_usable
        )
        for each, result in zip(chosen, results, strict=True):
            line = Measured(each.key, failed=result.text) if isinstance(result, Failure) else result
            found.append(dataclasses.asdict(line))
            file.write(json.dumps(_finite(found[-1]), allow_nan=False) + "\n")
            file.flush()
            print("\n".join([row(found[-1], names), *failures(found[-1])]), flush=True)
    print(table(found, names), flush=True)
    return FAILED if any(each["failed"] for each in found) else OK


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _finite(value: Any) -> Any:
    """What JSON can hold: NaN and infinities are none."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def arguments(peers: Sequence[str], out: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description="Time kernels on a GPU beside their peers.")
    add = parser.add_argument
    add("--list", action="store_true", help="print the cases and their peers; run nothing")
    add("--case", metavar="REGEX", type=pattern, default="", help="run the cases in whose names this is")
    add("--peers", default=",".join(peers), help="some of %(default)s, or none (default: all)")
    add("--rounds", type=int, default=15, help="rounds in which all take turns (default: 15)")
    add("--out", default=out, help="a line of JSON for each case, as they come (default: %(default)s)")
    add("--limit", type=float, default=570.0, help="seconds for all; the rest is not run (default: 570)")
    add("--case-limit", type=float, default=60.0, help="seconds until a case is given up (default: 60)")
    args = parser.parse_args(argv)
    args.peers = tuple(name for name in args.peers.split(",") if name not in ("", "none"))
    if unknown := set(args.peers) - set(peers):
        parser.error(f"--peers: no peer '{min(unknown)}' (peers: {', '.join(peers)})")
    if args.rounds < 1:
        parser.error("--rounds: expects 1 or more")
    return args


def pattern(text: str) -> re.Pattern[str]:
    """The regular expression that an option gives."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"no regular expression: {error}") from None


def _ahead(cases: Sequence[Case]) -> list[tuple[Case, int]]:
    """Each program once, as a case and which of its programs: lengths and batches don't make others."""
    found: dict[str, tuple[Case, int]] = {}
    for each in cases:
        for number, program in enumerate(each.programs()):
            found.setdefault(str(program), (each, number))
    return list(found.values())


def compile_ahead(which: tuple[Case, int]) -> None:
    """Compile a program of a case, which leaves it in the cache of kernels."""
    from aecompiler.compiler import compile

    case, number = which
    compile(case.programs()[number], TARGET)


def measure(case: Case, rounds: int, peers: Sequence[str]) -> Measured:
    """Check and time a case on this machine's GPU; what fails is said in the result."""
    import torch

    begin = time.monotonic()
    found = Measured(case.key, rounds=rounds, versions=versions())
    try:
        found.device = torch.cuda.get_device_name()
        _measure(case, peers, found)
    except Exception as error:
        found.ms = found.tflops = found.cost = None
        found.failed = found.failed or _one_line(error)
    found.seconds = round(time.monotonic() - begin, 1)
    return found


def _measure(case: Case, peers: Sequence[str], found: Measured) -> None:
    from aecompiler.compiler import compile

    job = case.prepare()
    calls: dict[str, Call] = {}
    kernel = None
    try:
        kernel = compile(job.program, TARGET)
        found.error = _check(kernel, job)
        calls["ours"] = functools.partial(kernel, **job.inputs)
    except Exception as error:  # the peers are measured all the same
        found.error = error.error if isinstance(error, WrongResultError) else None
        found.failed = _one_line(error)
    for name, make in job.peers.items():
        if name in peers:
            found.peers[name] = {}
            try:
                call = make()
                found.peers[name]["error"] = _checked(row_error(call(), job.expected), PEER_TOLERANCE)
                calls[name] = call
            except Exception as error:
                found.peers[name]["failed"] = _one_line(error)
    if job.plain is not None and "ours" in calls:
        qkv = {name: job.inputs[name] for name in "qkv"}
        calls["plain"] = functools.partial(compile(job.plain, TARGET), **qkv)
    times = interleaved_medians(calls, found.rounds, event_batch_ms)
    if "ours" in calls:
        found.error = max(found.error or 0.0, _check(kernel, job, " after many calls"))
    report_times(case.flops, job.plain_flops, times, found)


def _check(kernel: Any, job: Job, when: str = "") -> float:
    """The largest error of a call into poisoned memory, and of one that allocates where poison was."""
    like = job.expected.to(job.inputs["v"].dtype)
    error = row_error(poisoned_call(kernel, job.inputs, like), job.expected)
    like.fill_(float("nan"))
    del like  # torch gives out the same memory again
    return _checked(max(error, row_error(kernel(**job.inputs), job.expected)), TOLERANCE, when)


def _checked(error: float, tolerance: float, when: str = "") -> float:
    if not error <= tolerance:
        raise WrongResultError(f"off by {error:.2e}{when} (tolerance {tolerance:.1e})", error)
    return error


def report_times(flops: int, plain_flops: int, times: Mapping[str, float], found: Measured) -> None:
    """Write the times of the calls, by name, into a result."""
    ours = times.get("ours")
    if ours is not None:
        found.ms, found.tflops = ours, flops / ours / 1e9
        if "plain" in times:
            found.cost = (ours / flops) / (times["plain"] / plain_flops)
    for name in found.peers.keys() & times.keys():
        found.peers[name].update(ms=times[name], tflops=flops / times[name] / 1e9)
        if ours is not None:
            found.peers[name]["ratio"] = times[name] / ours


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def is_usable() -> bool:
    """Whether this process can still use the GPU: after a fault of a kernel it can't."""
    import torch

    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except (AssertionError, RuntimeError):  # the first, where torch finds no GPU
        return False
    return True
