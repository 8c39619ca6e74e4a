"""Times of calls on a GPU that take turns.

They are those of the GPU's clock around calls which wait in its queue one behind the other, so that what the
host does for a call is not counted as long as it takes less time than the GPU.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Call = Callable[[], Any]
Name = TypeVar("Name")

BATCH_MS = 12.0
"""About as long do the calls between two readings of the clock take."""

MOST_CALLS = 200


def interleaved_medians(
    calls: Mapping[Name, Call],
    rounds: int,
    batch_ms: Callable[[Call, int], float],
    shuffle: Callable[[list[Name]], None] | None = None,
) -> dict[Name, float]:
    """The median milliseconds of each call; see `interleaved_times`."""
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for name, found in interleaved_times(calls, rounds, batch_ms, shuffle):
        times[name].append(found)
    return {name: statistics.median(found) for name, found in times.items()}


def interleaved_times(
    calls: Mapping[Name, Call],
    rounds: int,
    batch_ms: Callable[[Call, int], float],
    shuffle: Callable[[list[Name]], None] | None = None,
    begin: Callable[[Name], None] = lambda name: None,
) -> Iterator[tuple[Name, float]]:
    """The milliseconds of a call in each batch, in rounds of one batch of each, as they are found.

    `batch_ms(call, count)` gives the milliseconds that `count` calls take. All have as long to warm up.
    `shuffle` changes the order of the names before each round: after a call that takes much power the clock
    is lower for the next. `begin` is told the name before each batch, those that warm up included.
    """
    counts = {}
    for name, call in calls.items():
        begin(name)
        one = batch_ms(call, 3) / 3
        counts[name] = max(3, min(MOST_CALLS, round(BATCH_MS / max(one, 1e-6))))
        begin(name)
        batch_ms(call, counts[name])
    order = list(calls)
    for _ in range(rounds):
        if shuffle is not None:
            shuffle(order)
        for name in order:
            begin(name)
            yield name, batch_ms(calls[name], counts[name]) / counts[name]


def event_batch_ms(call: Call, count: int) -> float:
    """The milliseconds on the GPU of `count` calls, behind one that is not timed."""
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    call()  # the clock starts when this one ends: until then the host is ahead
    begin.record()
    for _ in range(count):
        call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)
