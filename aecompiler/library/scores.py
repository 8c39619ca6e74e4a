"""Scores: what becomes of the product of a query and a key.

Each function returns a score function; `compose` applies several in order, plain functions among them:
`scores.compose(scores.scale(), scores.alibi(slopes))`. `i` is the query position, `j` the key position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.builder import TraceError, Value, apply, minimum, tanh, where
from aecompiler.builder import abs as absolute
from aecompiler.library.reading import expect_number, per_head

Score = Callable[..., Any]


def scale(factor: Any = None) -> Score:
    """s * factor; 1 / sqrt(D) by default, D being the feature size of q [Vaswani 2017]."""

    if factor is None:
        return lambda s, features: s * features**-0.5
    factor = expect_number("scores.scale(factor)", factor)
    return lambda s: s * factor


def compose(*functions: Score) -> Score:
    """The score functions one after the other, each on the result of the one before."""

    def score(s: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        for function in functions:
            s = apply("score", function, s, b, h, i, j)
        return s

    return score


def alibi(slopes: Value) -> Score:
    """s + slopes[h] * (j - i) [Press 2021]; slopes 2^(-8 (h + 1) / H) in the paper."""
    slope = per_head("scores.alibi", slopes, 1)
    return lambda s, h, i, j, heads: s + slope(heads, h) * (j - i)


def softcap(cap: Any) -> Score:
    """cap * tanh(s / cap) [Gemma 2, 2024]; cap is above 0."""
    cap = expect_number("scores.softcap(cap)", cap, above=0)
    return lambda s: cap * tanh(s / cap)


def relative_bias(bias: Value, *, zero: Any = None) -> Score:
    """s + bias[h, j - i + zero] [Shaw 2018]; `bias`: [H, 2 * zero + 1], `zero` in its middle by default.

    Distances beyond the table read its ends.
    """
    entry = per_head("scores.relative_bias", bias, 2)
    if zero is not None:
        zero = expect_number("scores.relative_bias(zero)", zero, integer=True)

    def score(s: Any, h: Any, i: Any, j: Any, heads: Any) -> Any:
        size = bias.shape[1]
        place = j - i + ((size - 1) // 2 if zero is None else zero)
        return s + entry(heads, h, where(place < 0, 0, minimum(place, size - 1)))

    return score


def t5_bucket(distance: Any, *, buckets: int = 32, limit: int = 128, bidirectional: bool = True) -> Any:
    """The bucket of a distance j - i [Raffel 2020]: exact for small distances, then logarithmic up to
    `limit`.

    The paper's floor(log(n / exact) / log(limit / exact) * (count - exact)) is counted by exact integer
    comparisons, so that rounding can't move a bucket's border.
    """
    buckets = expect_number("scores.t5_bucket(buckets)", buckets, integer=True)
    limit = expect_number("scores.t5_bucket(limit)", limit, integer=True)
    count = buckets // 2 if bidirectional else buckets
    exact = count // 2
    if exact < 1 or limit <= exact:
        raise TraceError(
            f"scores.t5_bucket expects 4 buckets or more and a limit above {exact}, got {buckets}, {limit}"
        )
    if bidirectional:
        first = where(distance > 0, count, 0)
        far = absolute(distance)
    else:
        first = 0
        far = where(distance < 0, -distance, 0)
    bucket = minimum(far, exact)
    steps = count - exact
    for step in range(1, steps):
        # The smallest n with (n / exact)^steps >= (limit / exact)^step.
        border = next(
            n for n in range(exact, limit + 1) if n**steps * exact**step >= limit**step * exact**steps
        )
        bucket = bucket + where(far >= border, 1, 0)
    return first + bucket


def t5_bias(
    bias: Value, *, buckets: int | None = None, limit: int = 128, bidirectional: bool = True
) -> Score:
    """s + bias[h, t5_bucket(j - i)] [Raffel 2020]; `bias`: [H, buckets]."""
    entry = per_head("scores.t5_bias", bias, 2)
    count = bias.shape[1] if buckets is None else buckets
    if isinstance(count, Value):
        raise TraceError("scores.t5_bias expects a static number of buckets; give buckets=")

    def score(s: Any, h: Any, i: Any, j: Any, heads: Any) -> Any:
        bucket = t5_bucket(j - i, buckets=count, limit=limit, bidirectional=bidirectional)
        return s + entry(heads, h, bucket)

    return score


def additive_bias(bias: Value) -> Score:
    """s + bias[b, h, i, j]; `bias` may have the last three or two dimensions only, and static sizes of 1.

    Its heads may be a divisor of the query heads.
    """
    entry = per_head("scores.additive_bias", bias, 2, 3, 4, axis=-3, grouped=True)
    return lambda s, b, h, i, j, heads: s + entry(heads, b, h, i, j)


def retention(gamma: Value) -> Score:
    """s * gamma[h]^(i - j) [RetNet, Sun 2023]; gamma 1 - 2^(-5 - h) in the paper.

    Use it with a causal mask.
    """
    decay = per_head("scores.retention", gamma, 1)
    return lambda s, h, i, j, heads: s * decay(heads, h) ** (i - j)


__all__ = [
    "additive_bias",
    "alibi",
    "compose",
    "relative_bias",
    "retention",
    "scale",
    "softcap",
    "t5_bias",
    "t5_bucket",
]
