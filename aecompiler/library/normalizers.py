"""Normalisers: the weights of a row of scores x. Sums and maxima go over the unmasked elements of the row.

Each function returns a normalize function for `aec.attention`. Those with `lse=True` return the row's
log-sum-exp as an extra result named `lse`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecompiler.builder import TraceError, Value, exp, exp2, log, log2, maximum
from aecompiler.builder import abs as absolute
from aecompiler.builder import sigmoid as logistic
from aecompiler.library.reading import expect_number, per_head

Normalizer = Callable[..., Any]


def _with_lse(weights: Normalizer, lse: bool) -> Normalizer:
    """`weights` returns (weight, log-sum-exp); keep the second only if it is asked for."""
    if not lse:
        return lambda row, h, heads: weights(row, h, heads)[0]

    def normalize(row: Any, h: Any, heads: Any) -> Any:
        return weights(row, h, heads)

    normalize.extra_names = ("lse",)  # type: ignore[attr-defined]
    return normalize


def softmax(*, lse: bool = False, base: float | None = None) -> Normalizer:
    """exp(x - m) / sum exp(x - m), m = max x [Vaswani 2017].

    `base=2` takes powers of 2 and gives the log-sum-exp in base 2: for scores scaled by log2(e). There are no
    other bases.
    """
    if base is not None:
        base = expect_number("normalizers.softmax(base)", base)
        if isinstance(base, Value) or base != 2:
            raise TraceError(f"normalizers.softmax expects base to be 2, or None for e, got {base!r}")
    power, logarithm = (exp, log) if base is None else (exp2, log2)

    def weights(row: Any, h: Any, heads: Any) -> Any:
        m = row.max()
        p = power(row - m)
        total = p.sum()
        return (p / total, m + logarithm(total)) if lse else (p / total, None)

    return _with_lse(weights, lse)


def softmax_sink(sink: Any, *, lse: bool = False) -> Normalizer:
    """exp(x - m) / (sum exp(x - m) + exp(sink[h] - m)), m = max(max x, sink[h]) [gpt-oss 2025].

    `sink`: [H], or a number for all heads. The log-sum-exp includes the sink.
    """
    if isinstance(sink, Value) and sink.ndim:
        entry = per_head("normalizers.softmax_sink", sink, 1)
    else:
        number = expect_number("normalizers.softmax_sink", sink)

        def entry(heads: Any, h: Any) -> Any:
            return number

    def weights(row: Any, h: Any, heads: Any) -> Any:
        own = entry(heads, h)
        m = maximum(row.max(), own)
        p = exp(row - m)
        total = p.sum() + exp(own - m)
        return (p / total, m + log(total)) if lse else (p / total, None)

    return _with_lse(weights, lse)


def softmax_off_by_one(*, lse: bool = False) -> Normalizer:
    """exp(x) / (1 + sum exp(x)) [Miller 2023]: a sink of 0."""
    return softmax_sink(0.0, lse=lse)


def log_softmax(*, lse: bool = False) -> Normalizer:
    """x - log(sum exp x): the logarithms of the softmax weights, as weights."""

    def weights(row: Any, h: Any, heads: Any) -> Any:
        m = row.max()
        total = m + log(exp(row - m).sum())
        return row - total, total

    return _with_lse(weights, lse)


def sigmoid(bias: Any = 0.0) -> Normalizer:
    """1 / (1 + exp(-(x + bias))) [Ramapuram 2024]; no normalisation. The paper takes bias = -log(Skv)."""
    bias = expect_number("normalizers.sigmoid(bias)", bias)
    return lambda row: logistic(row if not isinstance(bias, Value) and bias == 0 else row + bias)


def relu(*, mean: bool = False) -> Normalizer:
    """max(x, 0) [Wortsman 2023]; with `mean=True` divided by Skv."""
    return lambda row, kv_len: maximum(row, 0.0) / _count(kv_len) if mean else maximum(row, 0.0)


def relu_squared(*, mean: bool = False) -> Normalizer:
    """max(x, 0)^2 [So 2021; Hua 2022]; with `mean=True` divided by Skv."""

    def normalize(row: Any, kv_len: Any) -> Any:
        weight = maximum(row, 0.0) ** 2
        return weight / _count(kv_len) if mean else weight

    return normalize


def _count(kv_len: Any) -> Any:
    """The number of keys; 1 where there are none, and so no weights that it could divide."""
    return maximum(kv_len, 1)


def softpick(*, epsilon: float = 0.0) -> Normalizer:
    """max(e^x - 1, 0) / sum |e^x - 1| [Zuhri 2025], both multiplied by e^-m, m = max(max x, 0).

    `epsilon` is added to the divisor after that, as in the paper's code; at 0 a row of zeros gives 0 / 0.
    """
    epsilon = expect_number("normalizers.softpick(epsilon)", epsilon, least=0)

    def normalize(row: Any) -> Any:
        m = maximum(row.max(), 0.0)
        x = exp(row - m) - exp(-m)
        total = absolute(x).sum()
        if isinstance(epsilon, Value) or epsilon > 0:
            total = total + epsilon
        return maximum(x, 0.0) / total

    return normalize


def retention() -> Normalizer:
    """x / max(sum |x|, 1) [RetNet, Sun 2023]."""
    return lambda row: row / maximum(absolute(row).sum(), 1.0)


def none() -> Normalizer:
    """x: the scores are the weights (linear attention in its quadratic form)."""
    return lambda row: row


__all__ = [
    "log_softmax",
    "none",
    "relu",
    "relu_squared",
    "retention",
    "sigmoid",
    "softmax",
    "softmax_off_by_one",
    "softmax_sink",
    "softpick",
]
