"""Workgroups simulated by several processes, each with a copy of memory.

Each process reports the bytes that it has changed. Where two workgroups write the same bytes, one of them
wins, as on the hardware.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Workgroup = tuple[int, int, int]


def split(
    workgroups: Sequence[Workgroup], jobs: int, run: Callable[[Sequence[Workgroup]], Any], arrays: list
) -> list:
    """`run` on parts of `workgroups`, in `jobs` processes; what they return.

    `arrays` are the arrays (flat, uint8) that `run` may write to: they get what the processes have written.
    """
    context = multiprocessing.get_context("fork")
    started = []
    for part in range(jobs):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(run, workgroups[part::jobs], arrays, send))
        process.start()
        send.close()
        started.append((process, receive))
    outcomes = []
    for process, receive in started:
        try:
            outcomes.append(receive.recv())
        except EOFError:
            outcomes.append((RuntimeError("a process of the simulator ended without a result"), []))
        process.join()
    results = []
    for result, changes in outcomes:
        if isinstance(result, BaseException):
            raise result
        for array, (places, values) in zip(arrays, changes, strict=True):
            array[places] = values
        results.append(result)
    return results


def _work(run: Callable, workgroups: Sequence[Workgroup], arrays: list, send: Any) -> None:
    before = [array.copy() for array in arrays]
    try:
        result = run(workgroups)
    except Exception as error:
        send.send((error, []))
        return
    changes = []
    for old, array in zip(before, arrays, strict=True):
        places = np.flatnonzero(old != array)
        changes.append((places, array[places]))
    send.send((result, changes))
