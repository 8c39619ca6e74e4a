"""Masks: which keys a query attends to.

Each function returns a `Mask`, a callable `(b, h, i, j) -> bool` that combines with `&`, `|` and `~`, also
with plain functions: `masks.causal() & masks.window(256) & (lambda b, h, i, j: h != 0)`. `i` is the query
position, `j` the key position. Parameters that are numbers may also be traced scalars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from aecompiler.builder import TraceError, Value, apply
from aecompiler.builder import abs as absolute
from aecompiler.library.reading import expect_number, expect_tensor, per_head, read


class Mask:
    """A mask made from a function of b, h, i, j (or some of them), to be combined with `&`, `|` and `~`.

    The function may also take `q_len`, `kv_len`, `heads` and `features`. Calling the mask with `(b, h, i, j)`
    inside of a mask, score or normalize function gives the boolean.
    """

    def __init__(self, function: Callable, name: str | None = None):
        self.function = function
        self.name = name or getattr(function, "__name__", "mask")

    def __call__(self, b: Any, h: Any, i: Any, j: Any) -> Any:
        """Whether query i of head h of batch b attends to key j."""
        return apply("mask", self.function, b, h, i, j)

    def __and__(self, other: Any) -> Mask:
        other = _mask("&", other)
        return Mask(lambda b, h, i, j: self(b, h, i, j) & other(b, h, i, j), f"({self.name} & {other.name})")

    def __or__(self, other: Any) -> Mask:
        other = _mask("|", other)
        return Mask(lambda b, h, i, j: self(b, h, i, j) | other(b, h, i, j), f"({self.name} | {other.name})")

    def __rand__(self, other: Any) -> Mask:
        return _mask("&", other) & self

    def __ror__(self, other: Any) -> Mask:
        return _mask("|", other) | self

    def __invert__(self) -> Mask:
        def inverted(b: Any, h: Any, i: Any, j: Any) -> Any:
            keep = self(b, h, i, j)
            return not keep if isinstance(keep, bool) else ~keep

        return Mask(inverted, f"~{self.name}")

    def _refuse(self, other: Any) -> NoReturn:
        raise TraceError(
            "masks combine with `&`, `|` and `~` only; write `(a | b) & ~(a & b)` for `a ^ b`, "
            "and `a & ~b` for `a - b`"
        )

    __xor__ = __rxor__ = __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = _refuse

    def __bool__(self) -> bool:
        raise TraceError("a mask has no truth value; combine masks with `&`, `|` and `~`")

    def __repr__(self) -> str:
        return f"<mask {self.name}>"


def _mask(operator: str, other: Any) -> Mask:
    if isinstance(other, Mask):
        return other
    if isinstance(other, Value) or not callable(other):
        raise TraceError(
            f"`{operator}` of a mask expects a mask or a function of (b, h, i, j), got {other!r}"
        )
    return Mask(other)


def _shift(i: Any, offset: Any, align: str | None, q_len: Any, kv_len: Any) -> Any:
    """The key position that query `i` stands at."""
    if align == "end":
        i = i + (kv_len - q_len)
    return i if isinstance(offset, int) and offset == 0 else i + offset


def _check_align(what: str, align: str | None) -> None:
    if align not in (None, "start", "end"):
        raise TraceError(f'{what} expects align to be "start" or "end", got {align!r}')


def _text(name: str, *values: Any, **options: tuple[Any, Any]) -> str:
    """How a mask was made; `options` are (value, default) and shown where they differ."""
    shown = [repr(value) for value in values]
    for option, (value, default) in options.items():
        if isinstance(value, Value) or value != default:
            shown.append(f"{option}={value!r}")
    return f"{name}({', '.join(shown)})"


def always() -> Mask:
    """Every key takes part."""
    return Mask(lambda: True, "always()")


def causal(offset: Any = 0, *, align: str | None = None) -> Mask:
    """j <= i + offset [Vaswani 2017].

    With `align="end"` the last query stands at the last key (Skv - Sq is added).
    """
    _check_align("masks.causal", align)
    offset = expect_number("masks.causal(offset)", offset, integer=True)
    return Mask(
        lambda i, j, q_len, kv_len: j <= _shift(i, offset, align, q_len, kv_len),
        _text("causal", offset=(offset, 0), align=(align, None)),
    )


def window(size: Any, *, offset: Any = 0, align: str | None = None, causal: bool = True) -> Mask:
    """0 <= i + offset - j < size: the last `size` keys [Beltagy 2020; Mistral 2023].

    `causal=False` keeps both sides: |i + offset - j| < size. `align="end"` as in `causal`.
    """
    _check_align("masks.window", align)
    size = expect_number("masks.window(size)", size, integer=True, least=1)
    offset = expect_number("masks.window(offset)", offset, integer=True)

    def keep(i: Any, j: Any, q_len: Any, kv_len: Any) -> Any:
        distance = _shift(i, offset, align, q_len, kv_len) - j
        return (distance >= 0) & (distance < size) if causal else absolute(distance) < size

    return Mask(keep, _text("window", size, offset=(offset, 0), align=(align, None), causal=(causal, True)))


def prefix_lm(prefix: Any) -> Mask:
    """j <= i or j < prefix: causal with a prefix that all see [Raffel 2020]. `prefix`: [B], or a number."""

    def keep(b: Any, i: Any, j: Any) -> Any:
        length = read(prefix, b) if isinstance(prefix, Value) and prefix.ndim else prefix
        return (j <= i) | (j < length)

    if isinstance(prefix, Value) and prefix.ndim:
        expect_tensor("masks.prefix_lm", prefix, 1)
    else:
        prefix = expect_number("masks.prefix_lm", prefix, integer=True)
    return Mask(keep, "prefix_lm()")


def document(documents: Value, key_documents: Value | None = None) -> Mask:
    """Query and key have the same document id.

    `documents`: [B, S] or [S]; `key_documents` when keys have others.
    """
    queries = expect_tensor("masks.document", documents, 1, 2)
    keys = queries if key_documents is None else expect_tensor("masks.document", key_documents, 1, 2)

    def keep(b: Any, i: Any, j: Any) -> Any:
        return read(queries, *(b, i)[-queries.ndim :]) == read(keys, *(b, j)[-keys.ndim :])

    return Mask(keep, "document()")


def chunked(size: Any) -> Mask:
    """i // size == j // size: attention within chunks [Llama 4]. Combine with `causal`."""
    size = expect_number("masks.chunked(size)", size, integer=True, least=1)
    return Mask(lambda i, j: i // size == j // size, _text("chunked", size))


def dilated(dilation: Any) -> Mask:
    """(i - j) % dilation == 0: every `dilation`-th key [Child 2019]. Combine with `causal` or `window`."""
    dilation = expect_number("masks.dilated(dilation)", dilation, integer=True, least=1)
    return Mask(lambda i, j: (i - j) % dilation == 0, _text("dilated", dilation))


def global_local(tokens: Any, size: Any) -> Mask:
    """|i - j| < size, or i or j among the first `tokens` positions [Longformer, Beltagy 2020]."""
    tokens = expect_number("masks.global_local(tokens)", tokens, integer=True, least=0)
    size = expect_number("masks.global_local(size)", size, integer=True, least=0)
    return Mask(
        lambda i, j: (absolute(i - j) < size) | (i < tokens) | (j < tokens),
        _text("global_local", tokens, size),
    )


def block_sparse(blocks: Value, *, block_q: int = 128, block_kv: int = 128) -> Mask:
    """Keys in the blocks that a run-time block mask keeps [SeerAttention 2024].

    `blocks`: [B, H, Sq / block_q, Skv / block_kv], or [B, H, Skv / block_kv] when it concerns keys only; of
    booleans, or of integers that are not 0. B and H may be 1, and H a divisor of the query heads.
    """
    block = per_head("masks.block_sparse", blocks, 3, 4, axis=1, grouped=True)
    block_q = expect_number("masks.block_sparse(block_q)", block_q, integer=True, least=1)
    block_kv = expect_number("masks.block_sparse(block_kv)", block_kv, integer=True, least=1)

    def keep(b: Any, h: Any, i: Any, j: Any, heads: Any) -> Any:
        place = (i // block_q, j // block_kv) if blocks.ndim == 4 else (j // block_kv,)
        return _truth(block(heads, b, h, *place))

    return Mask(keep, _text("block_sparse", block_q=(block_q, 128), block_kv=(block_kv, 128)))


def padding(lengths: Value) -> Mask:
    """j < lengths[b]: keys beyond each sequence's length are padding. `lengths`: [B]."""
    expect_tensor("masks.padding", lengths, 1)
    return Mask(lambda b, j: j < read(lengths, b), "padding()")


def dense(keep: Value) -> Mask:
    """A mask tensor, read at each position: [B, H, Sq, Skv], or its last three or two dimensions.

    Sizes may be 1.
    """
    kept = per_head("masks.dense", keep, 2, 3, 4, axis=-3)
    return Mask(lambda b, h, i, j, heads: _truth(kept(heads, b, h, i, j)), "dense()")


def _truth(value: Value) -> Value:
    return value if value.dtype == "i1" else value != 0


__all__ = [
    "Mask",
    "always",
    "block_sparse",
    "causal",
    "chunked",
    "dense",
    "dilated",
    "document",
    "global_local",
    "padding",
    "prefix_lm",
    "window",
]
