"""Steps of recurrences written in many ways, and what their chunked form consists of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import aecompiler as aec

B, H, T, D = 2, 2, 7, 4
Step = Callable[..., tuple[Any, Any]]


def program(step: Step, dtype: str = "f64") -> Any:
    """A recurrence of `step(S, q, k, v, g, d, e)`: gates of the head, of the key and of the value feature."""
    row = aec.tensor("B", H, "T", D, dtype=dtype)
    acc = "f64" if dtype == "f64" else "f32"
    gates = aec.tensor("B", H, "T", D, dtype=acc)

    @aec.program(q=row, k=row, v=row, g=aec.tensor("B", H, "T", dtype=acc), d=gates, e=gates)
    def recurrence(q, k, v, g, d, e):
        return aec.recurrence(
            q, k, v, lambda S, q, k, v, b, h, t: step(S, q, k, v, g[b, h, t], d[b, h, t], e[b, h, t])
        )

    return recurrence


def inputs(seed: int = 0) -> list[np.ndarray]:
    """q, k, v, g, d, e of such a program."""
    rng = np.random.default_rng(seed)
    q, k, v, d, e = (rng.standard_normal((B, H, T, D)) for _ in range(5))
    return [q, k / 3, v, rng.standard_normal((B, H, T)), d, e]


def then_read(new: Callable[..., Any]) -> Step:
    """A step whose output is q times the new state."""

    def step(S, q, *rest):
        S = new(S, *rest)
        return S, q @ S

    return step


def delta(S: Any, k: Any, v: Any) -> Any:
    """The delta rule: what S holds for k becomes v, if k has length 1."""
    return S + aec.outer(k, v - k @ S)


def unit(k: Any) -> Any:
    """k with length 1."""
    return k * aec.rsqrt((k * k).sum() + 1e-6)


def softmax(k: Any) -> Any:
    """Features between 0 and 1."""
    weights = aec.exp(k - k.max())
    return weights / weights.sum()


STEPS: dict[str, tuple[Step, str]] = {
    "erase along the write, of another vector": (
        lambda S, q, k, v, g, d, e: (S - aec.outer(k, d @ S) + aec.outer(k, v), q @ S),
        "erase before decayed",
    ),
    "decay after the update, per feature": (
        lambda S, q, k, v, g, d, e: (delta(S, k, v) * aec.exp(d)[:, None], q @ S),
        "log_decay erase before state",
    ),
    "decay after the update, of a head": (
        then_read(lambda S, k, v, g, d, e: delta(S, k, v) * aec.exp(g)),
        "log_decay key_scale erase after state",
    ),
    "a read of the new and the old state": (
        lambda S, q, k, v, g, d, e: (
            (new := aec.exp(d)[:, None] * S + aec.outer(k, v - k @ S)),
            q @ new + 0.5 * (k @ S),
        ),
        "log_decay erase skip before state",
    ),
    "two reads and two writes that are one": (
        lambda S, q, k, v, g, d, e: (
            (new := aec.exp(g) * (S + aec.outer(k, v)) + aec.outer(k, v)),
            q @ new + d @ new + v,
        ),
        "log_decay skip after",
    ),
    "two writes along a sum of vectors": (
        then_read(
            lambda S, k, v, g, d, e: (
                S * aec.exp(d)[:, None] + aec.exp(d)[:, None] * aec.outer(k, v) + aec.outer(k, v)
            )
        ),
        "log_decay after",
    ),
    "two values along one key": (
        then_read(lambda S, k, v, g, d, e: S + aec.outer(k, v) + aec.outer(2.0 * k, e)),
        "after",
    ),
    "a decay of either sign": (
        then_read(lambda S, k, v, g, d, e: S * aec.tanh(d)[:, None] + aec.outer(k, v)),
        "log_decay sign after",
    ),
    "a query and a decay of the same sign": (
        lambda S, q, k, v, g, d, e: ((new := -S + aec.outer(0.5 * k, v - 0.5 * k @ S)), -(q @ new)),
        "log_decay sign query_scale erase erase_scale after decayed",
    ),
    "no state at all": (lambda S, q, k, v, g, d, e: (aec.outer(k, v), q @ S), "log_decay before"),
    "a state that stays": (lambda S, q, k, v, g, d, e: (S, q @ S), "after"),
    "an output without a read": (lambda S, q, k, v, g, d, e: (S, v), "skip before"),
    "what is forgotten is what is written": (
        then_read(lambda S, k, v, g, d, e: S - aec.sigmoid(g) * S + aec.sigmoid(g) * aec.outer(k, v)),
        "log_decay key_scale after",
    ),
    "1 minus a rate per feature, then the delta rule": (
        then_read(lambda S, k, v, g, d, e: delta(S * (1.0 - aec.sigmoid(d))[:, None], k, v)),
        "log_decay erase after decayed",
    ),
    "an update that is made or not": (
        then_read(lambda S, k, v, g, d, e: aec.where(g > 0.0, delta(S, k, v), S)),
        "key_scale erase after decayed",
    ),
    "a choice for each feature": (
        then_read(lambda S, k, v, g, d, e: aec.where(d > 0.0, d, k)[:, None] * S + aec.outer(k, v)),
        "log_decay sign after",
    ),
    "a key that is a sum": (
        then_read(lambda S, k, v, g, d, e: delta(S * aec.exp(g), aec.tanh(k) + v.sum(), v)),
        "log_decay erase after decayed",
    ),
    "quotients": (
        then_read(lambda S, k, v, g, d, e: S / (1.0 + aec.exp(g)) + aec.outer(k / (1.0 + aec.abs(g)), v)),
        "log_decay key_scale after",
    ),
    "a key of length 1": (
        then_read(lambda S, k, v, g, d, e: delta(S * aec.exp(g), unit(k), v)),
        "log_decay key_scale erase erase_scale after decayed",
    ),
    "a key whose largest element is 0": (
        then_read(lambda S, k, v, g, d, e: delta(S * aec.exp(g), softmax(k), v)),
        "log_decay key_scale erase erase_scale after decayed",
    ),
    "a power as the decay": (
        then_read(lambda S, k, v, g, d, e: aec.exp2(-aec.abs(g)) * S + aec.outer(k, v)),
        "log_decay after",
    ),
    "one element as the decay": (
        then_read(lambda S, k, v, g, d, e: aec.sigmoid(k[1]) * S + aec.outer(k, v)),
        "log_decay after",
    ),
}
