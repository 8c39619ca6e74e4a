"""The processes that `tuner.py` starts: they compile a schedule, time some, or launch them for the profiler.

`python -m aecompiler.backends.nvidia.tuner_child compile|time|launch FOLDER NUMBER...`: the folder holds the
program and its schedules, the device and arguments of a call, and what was compiled, `NUMBER.zip`. `time`
prints lines of JSON: which schedule is called for the first time (`begin`) or in a batch (`timing`), so that
it is known which hangs; which `works` or `failed`; the `ms` of a call in each batch of a `number`; `done`.
"""

from __future__ import annotations

import functools
import json
import pickle
import random
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aecompiler.backends.processes import end_with_parent

REQUEST, CALL = "request", "call.json"
_ROUNDS = 5
_LAUNCHES = 3


def binary(folder: Path, number: int) -> Path:
    """The file of a compiled schedule."""
    return folder / f"{number}.zip"


def launch_order(numbers: Sequence[int]) -> list[int]:
    """The order in which schedules are launched for the profiler: each a few times, mixed up."""
    order = [number for _ in range(_LAUNCHES) for number in numbers]
    random.Random(0).shuffle(order)
    return order


def compile_one(folder: Path, number: int) -> None:
    """Compile a schedule; its file is there when it is whole."""
    from aecompiler.backends.nvidia.backend import NvidiaBackend
    from aecompiler.backends.nvidia.target import named_target
    from aecompiler.bindings import ir
    from aecompiler.dialect import make_context

    source, entry, target, schedules = pickle.loads((folder / REQUEST).read_bytes())
    with make_context():
        artifact = NvidiaBackend(named_target(target)).emit(ir.Module.parse(source), entry, schedules[number])
    unfinished = folder / f"{number}.tmp"
    unfinished.write_bytes(artifact.binary)
    unfinished.rename(binary(folder, number))


def time_all(folder: Path, numbers: Sequence[int]) -> None:
    """Call each schedule once, then time those that work, in turns."""
    import torch

    from aecompiler.backends.nvidia.timing import event_batch_ms, interleaved_times

    arguments = _arguments_on_device(folder)
    calls = {}
    for number in numbers:
        _say(begin=number)
        try:
            call = _call(folder, number, arguments)
            call()
            torch.cuda.synchronize()
        except Exception:  # whatever it is, the others are timed
            traceback.print_exc()
            torch.cuda.synchronize()  # a fault ends this process here: no other call would work
            _say(failed=number)
        else:
            calls[number] = call
            _say(works=number)
    times = interleaved_times(
        calls, _ROUNDS, event_batch_ms, random.Random(0).shuffle, lambda number: _say(timing=number)
    )
    for number, found in times:
        _say(number=number, ms=found)
    _say(done=True)


def launch_all(folder: Path, numbers: Sequence[int]) -> None:
    """Call schedules in the order that is known."""
    import torch

    arguments = _arguments_on_device(folder)
    calls = {number: _call(folder, number, arguments) for number in numbers}
    for number in launch_order(numbers):
        calls[number]()
        torch.cuda.synchronize()


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def _call(folder: Path, number: int, arguments: Sequence[Any]) -> Any:
    from aecompiler.backends.nvidia.artifact import NvidiaArtifact
    from aecompiler.backends.nvidia.launch import CudaExecutable

    artifact = NvidiaArtifact.from_bytes(binary(folder, number).read_bytes())
    results = [None] * len(artifact.manifest["plan"]["results"])
    return functools.partial(CudaExecutable(artifact), arguments, results)


def _arguments_on_device(folder: Path) -> list[Any]:
    """The arguments of a call, on the device that is asked for, which all is run on from now on."""
    import torch

    call = json.loads((folder / CALL).read_text())
    torch.cuda.set_device(call["device"])
    return make_arguments(call["arguments"], "cuda")


def make_arguments(given: Sequence[Mapping[str, Any]], device: str) -> list[Any]:
    """Arguments of a call: normal numbers, no element masked by a bit, and integers that are its length.

    An integer may be the length of a sequence, of which nothing is left where it is 0, the number of a
    document, which is the same for all, or an index, which is clamped.
    """
    import torch

    from aecompiler.torch_types import torch_dtype

    torch.manual_seed(0)
    made: list[Any] = []
    for each in given:
        if each["shape"] is None:
            made.append(float(each["value"]) if each["dtype"].startswith(("f", "bf")) else each["value"])
            continue
        dtype, shape = torch_dtype(each["dtype"]), each["shape"]
        if dtype.is_floating_point:
            made.append(torch.randn(shape, device=device).to(dtype))
        elif dtype is torch.bool:
            made.append(torch.ones(shape, dtype=dtype, device=device))
        else:
            value = min(each["value"], torch.iinfo(dtype).max)
            made.append(torch.full(shape, value, dtype=dtype, device=device))
    return made


if __name__ == "__main__":
    end_with_parent()
    work, path, *given = sys.argv[1:]
    chosen = [int(number) for number in given]
    if work == "compile":
        compile_one(Path(path), *chosen)
    else:
        {"time": time_all, "launch": launch_all}[work](Path(path), chosen)
