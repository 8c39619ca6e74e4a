"""The fastest of a few schedules on the card of this machine: each is compiled and timed in processes.

A schedule that hangs or faults costs itself only: the process that runs it is ended, and another takes the
rest. Where NVIDIA's profiler may count, schedules are compared by cycles, else by times of calls that take
turns. What was found is kept in the cache on disk, known by the program, the length, the schedule that was
asked for, the card, and the versions of everything; a damaged entry is made anew.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import selectors
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aecompiler.backends import processes
from aecompiler.backends.code_keys import digest, versions
from aecompiler.backends.nvidia import tuner_child
from aecompiler.backends.nvidia.artifact import NvidiaArtifact
from aecompiler.backends.nvidia.driver import card_capability
from aecompiler.backends.nvidia.profiler import kernel_cycles
from aecompiler.backends.nvidia.program_facts import LENGTH, attention_ops, read_forms, supposed_sizes
from aecompiler.backends.nvidia.recurrence_choice import default_options, ranked_options
from aecompiler.backends.nvidia.recurrence_facts import (
    RecurrenceForm,
    read_recurrences,
    recurrence_ops,
    supposed_heads,
)
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_choice import attempts, ranked, without_hints
from aecompiler.backends.nvidia.target import NvidiaTarget, target_of
from aecompiler.bindings import ir
from aecompiler.bytecode import bytecode_of
from aecompiler.disk_cache import open_cache
from aecompiler.errors import BackendError
from aecompiler.passes import rewriting as rw
from aecompiler.size_analysis import classes_of
from aecompiler.sizes import Size

COMPILE_S, START_S, RUN_S, BATCH_S, PROFILE_S = 180.0, 120.0, 10.0, 40.0, 2.0
"""How long these may take: a compilation, the start of a process, the first call of a schedule, a batch of
calls, and each launch under the profiler.
"""

_ENTRY = "schedule"
_ERRORS = ".errors"
"""The files in which processes leave what they complain of."""


def tuned(
    module: Any, entry: str, schedule: NvidiaSchedule, target: NvidiaTarget, triton: str
) -> NvidiaSchedule:
    """The fastest of the `schedule.tune` schedules that the model ranks first, and of what else is tried.

    `triton` is the version that compiles. Raises `BackendError` where the card of this machine is another
    than the target, and where no call of the program can be made up. Where nothing can be timed, and for a
    program without attention and recurrences in chunks, warns and returns what was given.
    """
    given = dataclasses.replace(schedule, tune=0)
    forms = read_forms(module, given.length)
    recurrences = [] if given.chunk == 1 else read_recurrences(module, given.length, given.sequences)
    if not forms and not ranked_options(given, target, recurrences):
        text = f"tune={schedule.tune} does nothing: the program has no attention, or recurrence in chunks"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        return given
    if (capability := card_capability()) != target.capability:
        here = target_of(capability).name
        raise BackendError(f"expects a GPU of {target.name} to tune on, got one of {here}")
    device, card = current_card()
    text = module.operation.get_asm(enable_debug_info=False)
    key = digest((text, entry, repr(schedule), target.name, card, triton, "tuned", *versions()))
    cache = open_cache()
    if cache is not None and (blobs := cache.load(key)) is not None:
        try:
            return NvidiaSchedule(**json.loads(blobs[_ENTRY]))
        except (KeyError, TypeError, ValueError):
            cache.drop(key)
    if forms:
        first = ranked(given, target, forms)[: schedule.tune]
        candidates = list(dict.fromkeys([*first, *attempts(given, target, forms)]))
    else:
        candidates = _of_recurrences(given, schedule.tune, target, recurrences)
    call = {
        "device": device,
        "arguments": call_arguments(module, entry, given.length or LENGTH, given.sequences),
    }
    found = measure(module, entry, candidates, target, call)
    if not found:
        return given
    best = min(found, key=found.__getitem__)
    if cache is not None:
        cache.store(key, {_ENTRY: json.dumps(best.options).encode()})
    return best


def _of_recurrences(
    given: NvidiaSchedule, count: int, target: NvidiaTarget, forms: Sequence[RecurrenceForm]
) -> list[NvidiaSchedule]:
    """So many schedules that the model ranks first for recurrences, and that which it takes untimed.

    What tiles of attention would be made of does not matter to these.
    """
    base, given = attempts(given, target)[0], without_hints(given)
    ways = [*ranked_options(given, target, forms)[:count], default_options(given, target, forms)]
    return list(dict.fromkeys(base.completed(way) for way in ways))


def current_card() -> tuple[int, str]:
    """The number of torch's current device, on which schedules are timed, and the name of its card."""
    try:
        import torch

        device = torch.cuda.current_device()
        return device, torch.cuda.get_device_name(device)
    except (ImportError, AssertionError, RuntimeError) as error:  # the second, where torch knows no GPUs
        raise BackendError(f"expects a GPU that torch can use, to tune on: {error}") from None


def call_arguments(module: Any, entry: str, length: int, sequences: int = 0) -> list[dict[str, Any]]:
    """The types and sizes of arguments for a call: `dtype`, `shape` (None for a number), and `value`.

    Batches and heads of attention and of recurrences are those that the model supposes; all other sizes that
    are not known are `length`, and so are integers. Raises `BackendError` where batches or heads are no
    argument's size.
    """
    function = next(
        view.operation for view in module.body.operations if rw.symbol_name(view.operation) == entry
    )
    arguments = list(function.regions[0].blocks[0].arguments)
    classes = classes_of(function, [str(number) for number in range(len(arguments))])
    known: dict[Size, int] = {}
    supposed = [(op, supposed_sizes(op, length)) for op in attention_ops(function)]
    sized = [(op, (each.batch, each.heads)) for op, each in supposed]
    sized += [(op, supposed_heads(op, length, sequences)) for op in recurrence_ops(function)]
    for op, (batch, heads) in sized:
        for operand, value in zip("qkv", op.operands, strict=False):
            for axis, what, size in ((0, "batch", batch), (1, "heads", heads)):
                found = classes.dims(value)[axis].root()
                if found.constant is None and not found.places:
                    raise BackendError(
                        f"'{op.name}' op expects the {what} of {operand} to be a size of an argument, so "
                        "that calls can be made up to tune with, got one that is computed"
                    )
                known.setdefault(found, size)
    made: list[dict[str, Any]] = []
    for argument in arguments:
        shape = None
        element = argument.type
        if isinstance(argument.type, ir.RankedTensorType):
            roots = [size.root() for size in classes.dims(argument)]
            shape = [known.get(r, length) if r.constant is None else r.constant for r in roots]
            element = argument.type.element_type
        made.append({"dtype": str(element), "shape": shape, "value": length})
    return made


# ---- compiling and timing ----------------------------------------------------------------------------


def measure(
    module: Any,
    entry: str,
    candidates: Sequence[NvidiaSchedule],
    target: NvidiaTarget,
    call: Mapping[str, Any],
) -> dict[NvidiaSchedule, float]:
    """Cycles, or else milliseconds, of those schedules that compile and run; warns where none does.

    `call`: the `device` and the `arguments`, as `call_arguments` describes them.
    """
    source = bytecode_of(module)
    with tempfile.TemporaryDirectory(prefix="aec-tune-") as name:
        folder = Path(name)
        request = (source, entry, target.name, list(candidates))
        (folder / tuner_child.REQUEST).write_bytes(pickle.dumps(request))
        (folder / tuner_child.CALL).write_text(json.dumps(call))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda number: _compile(folder, number), range(len(candidates))))
        compiled = [n for n in range(len(candidates)) if tuner_child.binary(folder, n).exists()]
        times = timed(folder, compiled)
        if not times:
            text = f"no schedule could be timed, so that the model chooses{_complaint(folder)}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        numbers = _cycles(folder, sorted(times)) or times
    return {candidates[number]: value for number, value in numbers.items()}


def _compile(folder: Path, number: int) -> None:
    command = processes.module_command(tuner_child.__name__, "compile", str(folder), str(number))
    with (folder / f"{number}{_ERRORS}").open("wb") as errors:
        child = processes.start(command, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            child.wait(COMPILE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            processes.end(child)


def _complaint(folder: Path) -> str:
    """The last line that a process has written to its standard error, the latest of all."""
    files = sorted(folder.glob(f"*{_ERRORS}"), key=lambda each: each.stat().st_mtime_ns)
    lines = [line.strip() for file in files for line in file.read_text(errors="replace").splitlines()]
    return next((f": {line}" for line in reversed(lines) if line), "")


def timed(folder: Path, numbers: Sequence[int]) -> dict[int, float]:
    """The milliseconds of schedules by number; those that hang or fault are left out.

    A process that ends or falls silent does so because of the schedule that it has named last. Another takes
    the rest, unless each of them was timed already.
    """
    left = list(numbers)
    while left:
        batches: dict[int, list[float]] = {}
        culprit = None
        for line in _lines(folder, left):
            if (named := line.get("begin", line.get("timing"))) is not None:
                culprit = named
            elif line.get("failed") in left:
                left.remove(line["failed"])
            elif "ms" in line:
                batches.setdefault(line["number"], []).append(line["ms"])
            elif "done" in line:
                return _medians(batches)
        if culprit is None:  # it has never come to a schedule
            return {}
        if culprit in left:
            left.remove(culprit)
        if all(number in batches for number in left):
            return _medians({number: batches[number] for number in left})
    return {}


def _medians(batches: Mapping[int, Sequence[float]]) -> dict[int, float]:
    return {number: statistics.median(found) for number, found in batches.items()}


def _lines(folder: Path, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What a process that times schedules says, until it ends or says nothing for too long."""
    command = processes.module_command(tuner_child.__name__, "time", str(folder), *map(str, numbers))
    with (folder / f"time{_ERRORS}").open("ab") as errors:
        child = processes.start(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        with selectors.DefaultSelector() as selector:
            assert child.stdout is not None
            selector.register(child.stdout, selectors.EVENT_READ)
            text, end = b"", time.monotonic() + START_S
            while selector.select(max(0.0, end - time.monotonic())):
                data = os.read(child.stdout.fileno(), 1 << 16)
                if not data:
                    return
                *complete, text = (text + data).split(b"\n")
                for line in filter(None, map(_line, complete)):
                    end = time.monotonic() + (BATCH_S if "timing" in line else RUN_S)
                    yield line
    finally:
        processes.end(child)
        if child.stdout is not None:
            child.stdout.close()


def _line(text: bytes) -> dict[str, Any] | None:
    """A line of a process, None for one that libraries have written."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cycles(folder: Path, numbers: Sequence[int]) -> dict[int, float]:
    """The median cycles of a call of each; none where they can't be counted."""
    if not numbers:
        return {}
    names: set[str] = set()
    launches = set()
    for number in numbers:
        kernels = NvidiaArtifact.from_bytes(tuner_child.binary(folder, number).read_bytes())
        codes = [kernels.code(name, "aligned") for name in kernels.manifest["kernels"]]
        names.update(code.symbol for code in codes)
        launches.add(len(codes))
    order = tuner_child.launch_order(numbers)
    command = processes.module_command(tuner_child.__name__, "launch", str(folder), *map(str, numbers))
    found = kernel_cycles(command, names, START_S + PROFILE_S * len(order) * max(launches))
    if len(launches) != 1 or len(found) != len(order) * min(launches):
        return {}
    each = min(launches)
    calls: dict[int, list[float]] = {number: [] for number in numbers}
    for at, number in enumerate(order):
        calls[number].append(sum(found[at * each : (at + 1) * each]))
    return {number: statistics.median(cycles) for number, cycles in calls.items()}
