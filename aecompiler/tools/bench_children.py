"""Work in a process of its own, which may crash or hang: the rest still runs."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why there is no result."""

    text: str


def each_in_child(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    limit_s: float,
    end: float = float("inf"),
    is_usable: Callable[[], bool] = lambda: True,
) -> Iterator[Any]:
    """`function` of each item, in order, or a `Failure`.

    The items share a process; a new one is started after an item that crashed it, did not end within
    `limit_s`, or after which `is_usable()` of the process is false. Items that are not done by `end`, a time
    of `time.monotonic()`, fail.
    """
    context = multiprocessing.get_context("spawn")
    at = 0
    while at < len(items):
        if time.monotonic() >= end:
            yield Failure("not run: no time left")
            at += 1
            continue
        ours, theirs = context.Pipe()
        child = context.Process(target=_serve, args=(function, items[at:], is_usable, theirs), daemon=False)
        child.start()
        theirs.close()
        try:
            while at < len(items):
                seconds = min(limit_s, end - time.monotonic())
                if seconds <= 0:
                    break
                try:
                    if not ours.poll(seconds):
                        yield Failure(f"no answer within {seconds:.0f} s")
                        at += 1
                        break
                    result = ours.recv()
                except EOFError:
                    child.join(5)
                    if child.exitcode == 0:  # it was of no use any more, and said so by ending
                        break
                    yield Failure(f"the process ended with status {child.exitcode}")
                    at += 1
                    break
                yield result
                at += 1
        finally:
            child.kill()
            child.join()
            ours.close()


def _serve(function: Callable, items: Sequence[Any], is_usable: Callable[[], bool], answers: Any) -> None:
    for item in items:
        try:
            result = function(item)
        except Exception as error:
            result = Failure(f"{type(error).__name__}: {error}")
        answers.send(result)
        if not is_usable():
            break
    answers.close()


def all_in_children(function: Callable[[Any], Any], items: Sequence[Any], *, limit_s: float) -> None:
    """Run `function` of each item in as many processes as there are cores, for what it leaves behind.

    Failures are nobody's concern here; what is not done within `limit_s` is ended.
    """
    if not items:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(len(items), os.cpu_count() or 1), mp_context=context)
    running = [pool.submit(function, item) for item in items]
    wait(running, timeout=limit_s)
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
