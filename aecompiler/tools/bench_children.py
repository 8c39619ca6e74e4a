"""Work in a process of its own, which may crash or hang: the rest still runs."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why there is no result."""

    text: str


START_S = 120.0
"""What a process takes to start, its imports too, is not counted as an item's time, up to this."""


def _always() -> bool:
    return True


def each_in_child(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    limit_s: float,
    end: float = float("inf"),
    is_usable: Callable[[], bool] = _always,
) -> Iterator[Any]:
    """`function` of each item, in order, or a `Failure`.

    The items share a process; a new one is started after an item that crashed it, did not end within
    `limit_s`, or after which `is_usable()` of the process is false. Items that are not done by `end`, a time
    of `time.monotonic()`, fail. Functions and items are pickled.
    """
    at = 0
    while at < len(items):
        if time.monotonic() >= end:
            yield Failure("not run: no time left")
            at += 1
            continue
        for result in _in_one_child(function, items[at:], is_usable, limit_s, end):
            yield result
            at += 1


def _in_one_child(
    function: Callable, items: Sequence[Any], is_usable: Callable[[], bool], limit_s: float, end: float
) -> Iterator[Any]:
    """Results of the first items, as many as one process gives: one at least, unless it ends for `end`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(function, items, is_usable, theirs))
    child.start()
    theirs.close()
    try:
        yield from _answers(ours, child, len(items), limit_s, end)
    finally:
        child.kill()
        child.join(20)  # one that a driver holds may never end
        ours.close()


def _answers(ours: Any, child: Any, count: int, limit_s: float, end: float) -> Iterator[Any]:
    given = -1  # the first answer says that it has started
    while given < count:
        seconds = min(limit_s if given >= 0 else START_S, end - time.monotonic())
        if seconds <= 0 or not ours.poll(seconds):
            if time.monotonic() < end:
                yield Failure(f"no answer within {seconds:.0f} s")
            return
        try:
            result = ours.recv()
        except EOFError:
            child.join(5)
            if child.exitcode != 0 or given < 1:  # else it was of no use any more, and ended for that
                yield Failure(f"the process ended with status {child.exitcode}")
            return
        if given >= 0:
            yield result
        given += 1


def _serve(function: Callable, items: Sequence[Any], is_usable: Callable[[], bool], answers: Any) -> None:
    answers.send(None)
    for item in items:
        try:
            result = function(item)
        except (Exception, SystemExit) as error:
            result = Failure(f"{type(error).__name__}: {error}")
        answers.send(result)
        if not is_usable():
            break
    answers.close()


def all_in_children(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    limit_s: float,
    item_limit_s: float = float("inf"),
) -> list[Any]:
    """`function` of each item, or a `Failure`, in as many processes as there are cores.

    A process that crashes, or takes more than `item_limit_s` for an item, is replaced, as in `each_in_child`.
    What is not done within `limit_s` seconds is not done.
    """
    lanes = min(len(items), os.cpu_count() or 1)
    end = time.monotonic() + limit_s
    found: list[Any] = [None] * len(items)

    def work(lane: int) -> None:
        mine = items[lane::lanes]
        found[lane::lanes] = each_in_child(function, mine, limit_s=min(item_limit_s, limit_s), end=end)

    with ThreadPoolExecutor(max(lanes, 1)) as pool:
        list(pool.map(work, range(lanes)))
    return found
