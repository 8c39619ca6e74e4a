"""Measuring on a GPU: results in poisoned memory, checked row by row, and times of calls that take turns.

Times are those of the GPU's clock around calls which wait in its queue one behind the other, so that what the
host does for a call is not counted as long as it takes less time than the GPU.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from aecompiler.tools.benchmark import poison

Call = Callable[[], Any]

FLOOR = 1e-3
"""Rows smaller than this part of a head's largest magnitude are measured as if they were that large."""

BATCH_MS = 12.0
"""About as long do the calls between two readings of the clock take."""

MOST_CALLS = 200


def row_error(output: Any, expected: Any) -> float:
    """The largest error of a row, relative to the largest magnitude in it; infinite unless all is finite.

    Rows of attention shrink along a causal sequence: beside the largest of all, a late row could be anything.
    """
    if output.shape != expected.shape:
        raise ValueError(f"expects a result of shape {tuple(expected.shape)}, got {tuple(output.shape)}")
    worst = 0.0
    for own, wanted in zip(output.flatten(0, 1), expected.flatten(0, 1), strict=True):
        off = (own.to(wanted.dtype) - wanted).abs().amax(-1)
        magnitude = wanted.abs().amax(-1)
        scale = magnitude.clamp_min(FLOOR * float(magnitude.max()))
        error = float((off / scale.clamp_min(1e-300)).max())
        worst = max(worst, error if error < float("inf") else float("inf"))  # NaN too
    return worst


def poisoned_call(kernel: Any, inputs: Mapping[str, Any], like: Any) -> Any:
    """The result of a call into memory that was filled with NaN."""
    out = like.clone()
    poison(out)
    kernel(**inputs, out=out)
    return out


def interleaved_medians(
    calls: Mapping[str, Call], rounds: int, batch_ms: Callable[[Call, int], float]
) -> dict[str, float]:
    """The median milliseconds of each call, in rounds of one batch of each.

    `batch_ms(call, count)` gives the milliseconds that `count` calls take. All have as long to warm up.
    """
    counts = {}
    for name, call in calls.items():
        one = batch_ms(call, 3) / 3
        counts[name] = max(3, min(MOST_CALLS, round(BATCH_MS / max(one, 1e-6))))
        batch_ms(call, counts[name])
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(batch_ms(call, counts[name]) / counts[name])
    return {name: statistics.median(found) for name, found in times.items()}


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
