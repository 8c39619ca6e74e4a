"""The fastest of a few schedules on the card of this machine: each is compiled and timed in processes.

A schedule that hangs or faults costs itself only: the process that runs it is ended, and another takes the
rest. Where NVIDIA's profiler may count, schedules are compared by cycles, else by times of calls that take
turns. What was found is kept in the cache on disk, known by the program, the length, the schedule that was
asked for, the card, and the versions of everything; a damaged entry is made anew.
"""

from __future__ import annotations

import dataclasses
import io
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
from aecompiler.backends.nvidia.program_facts import LENGTH, TOKENS, read_forms
from aecompiler.backends.nvidia.schedule import NvidiaSchedule
from aecompiler.backends.nvidia.schedule_choice import attempts, ranked
from aecompiler.backends.nvidia.target import NvidiaTarget
from aecompiler.bindings import ir
from aecompiler.dialect.types import DYNAMIC
from aecompiler.disk_cache import open_cache
from aecompiler.errors import BackendError

COMPILE_S, START_S, RUN_S, TIME_S = 180.0, 120.0, 10.0, 120.0
"""How long a compilation may take, the start of a process, the first call of a schedule, and all rounds."""

_ENTRY = "schedule"


def tuned(
    module: Any, entry: str, schedule: NvidiaSchedule, target: NvidiaTarget, triton: str
) -> NvidiaSchedule:
    """The fastest of the `schedule.tune` schedules that the model ranks first, and of what else is tried.

    `triton` is the version that compiles. Raises `BackendError` where the card of this machine is another
    than the target. Where nothing can be timed, warns and returns what was given.
    """
    given = dataclasses.replace(schedule, tune=0)
    forms = read_forms(module, given.length)
    if not forms:
        return given
    if card_capability() != target.capability:
        raise BackendError(f"expects a GPU of {target.name} to tune on, got one of {card_capability()}")
    text = module.operation.get_asm(enable_debug_info=False)
    key = digest((text, entry, repr(schedule), target.name, _card(), triton, "tuned", *versions()))
    cache = open_cache()
    if cache is not None and (blobs := cache.load(key)) is not None:
        try:
            return NvidiaSchedule(**json.loads(blobs[_ENTRY]))
        except (KeyError, TypeError, ValueError):
            cache.drop(key)
    first = ranked(given, target, forms)[: schedule.tune]
    candidates = list(dict.fromkeys([*first, *attempts(given, target, forms)]))
    arguments = call_arguments(module, entry, given.length or LENGTH)
    found = measure(module, entry, candidates, target, arguments)
    if not found:
        warnings.warn("no schedule could be timed, so that the model chooses", RuntimeWarning, stacklevel=2)
        return given
    best = min(found, key=found.__getitem__)
    if cache is not None:
        cache.store(key, {_ENTRY: json.dumps(best.options).encode()})
    return best


def _card() -> str:
    import torch

    return torch.cuda.get_device_name()


def call_arguments(module: Any, entry: str, length: int) -> list[dict[str, Any]]:
    """The types and sizes of arguments for a call, in order: `dtype`, and `shape`, None for a number.

    Sizes of one name are equal. Those of an attention op's operands are a batch and a length, such that there
    are as many rows in all as the model supposes; others that are not known are lengths.
    """
    function = next(
        op.operation
        for op in module.body.operations
        if op.operation.name == "func.func" and ir.StringAttr(op.attributes["sym_name"]).value == entry
    )
    batch = max(1, TOKENS // length)
    known: dict[Any, int] = {}
    names = _names_of_sizes(function)

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name in ("attn.attention", "attn.online_attention"):
            for value in op.operands:
                if isinstance(value.owner, ir.Block):
                    number = ir.BlockArgument(value).arg_number
                    known.setdefault(names[number][0], batch)
        return ir.WalkResult.ADVANCE

    function.walk(visit)
    made: list[dict[str, Any]] = []
    for number, value in enumerate(function.regions[0].blocks[0].arguments):
        if not isinstance(value.type, ir.RankedTensorType):
            made.append({"dtype": str(value.type), "shape": None, "value": length})
            continue
        shape = [
            known.get(name, length) if size == DYNAMIC else size
            for name, size in zip(names[number], value.type.shape, strict=True)
        ]
        made.append({"dtype": str(value.type.element_type), "shape": shape})
    return made


def _names_of_sizes(function: ir.Operation) -> list[list[Any]]:
    """A name for each dimension of each argument: its own, or its place."""
    found: list[list[Any]] = []
    attributes = function.attributes
    for number, value in enumerate(function.regions[0].blocks[0].arguments):
        given = attributes["arg_attrs"][number] if "arg_attrs" in attributes else {}
        names = [ir.StringAttr(each).value for each in given["attn.dims"]] if "attn.dims" in given else []
        rank = value.type.rank if isinstance(value.type, ir.RankedTensorType) else 0
        names += [""] * (rank - len(names))
        found.append([name or (number, axis) for axis, name in enumerate(names)])
    return found


# ---- compiling and timing ----------------------------------------------------------------------------


def measure(
    module: Any,
    entry: str,
    candidates: Sequence[NvidiaSchedule],
    target: NvidiaTarget,
    arguments: Sequence[Mapping[str, Any]],
) -> dict[NvidiaSchedule, float]:
    """Cycles, or else milliseconds, of those schedules that compile and run."""
    source = io.BytesIO()
    module.operation.write_bytecode(source)
    with tempfile.TemporaryDirectory(prefix="aec-tune-") as name:
        folder = Path(name)
        request = (source.getvalue(), entry, target.name, list(candidates))
        (folder / tuner_child.REQUEST).write_bytes(pickle.dumps(request))
        (folder / tuner_child.ARGUMENTS).write_text(json.dumps(list(arguments)))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda number: _compile(folder, number), range(len(candidates))))
        compiled = [n for n in range(len(candidates)) if tuner_child.binary(folder, n).exists()]
        times = timed(folder, compiled)
        numbers = _cycles(folder, sorted(times)) or times
    return {candidates[number]: value for number, value in numbers.items()}


def _compile(folder: Path, number: int) -> None:
    command = processes.module_command(tuner_child.__name__, "compile", str(folder), str(number))
    child = processes.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(COMPILE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        processes.end(child)


def timed(folder: Path, numbers: Sequence[int]) -> dict[int, float]:
    """The milliseconds of schedules by number; those that hang or fault are left out."""
    left = list(numbers)
    while left:
        command = [tuner_child.__name__, "time", str(folder), *map(str, left)]
        begun = None
        for line in _lines(processes.module_command(*command)):
            if "begin" in line:
                begun = line["begin"]
            elif "failed" in line:
                left.remove(line["failed"])
            elif "times" in line:
                return {int(number): value for number, value in line["times"].items()}
        if begun not in left:  # it has never come to a schedule
            return {}
        left.remove(begun)
    return {}


def _lines(command: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a process says, until it ends or says nothing for too long."""
    child = processes.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
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
                for each in complete:
                    line = json.loads(each)
                    end = time.monotonic() + (RUN_S if "begin" in line else TIME_S)
                    yield line
    finally:
        processes.end(child)
        if child.stdout is not None:
            child.stdout.close()


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
    found = kernel_cycles(command, names, TIME_S)
    if len(launches) != 1 or len(found) != len(order) * min(launches):
        return {}
    each = min(launches)
    calls: dict[int, list[float]] = {number: [] for number in numbers}
    for at, number in enumerate(order):
        calls[number].append(sum(found[at * each : (at + 1) * each]))
    return {number: statistics.median(cycles) for number, cycles in calls.items()}
