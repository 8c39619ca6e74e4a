"""Tiles that are too large for Triton or for the registers of a block, told before minutes go into them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

MAX_ELEMENTS = 1 << 20
"""Of a tensor in Triton's dialects, whose verifiers refuse more (`TRITON_MAX_TENSOR_NUMEL`)."""

_TENSOR = re.compile(r"tensor<((?:\d+x)+)(\w+|!tt\.ptr<\w+>)")
_PRODUCT = re.compile(r"\btt\.dot(?:_scaled)?\b.*->\s*(tensor<.*)")
_SMALLER = "smaller tiles need fewer (options block_q, block_kv, value_block, chunk)"


def too_large(text: str, threads: int, registers: int) -> str | None:
    """What is wrong with a kernel in the dialect `tt`, or None.

    `threads`: of a block; `registers`: of 32 bits, what a thread may have of one result of a product. The
    compilers that come after keep it whole, spill what has no room, and take time that grows faster than it.
    """
    for found in _TENSOR.finditer(text):
        if (count := _elements(found)) > MAX_ELEMENTS:
            shown = f"{found[1]}{found[2]}"
            return f"expects at most {MAX_ELEMENTS} elements in a tensor, got {count} of {shown}; {_SMALLER}"
    for found in _products(text):
        words = -(-int(found[2].lstrip("fbi") or 0) // 32)
        if (needed := _elements(found) * words // threads) > registers:
            return (
                f"expects at most {registers} registers of a thread for one product, got {needed} for "
                f"{found[1]}{found[2]} in {threads} threads; {_SMALLER}"
            )
    return None


def _products(text: str) -> Iterator[re.Match[str]]:
    """The types of products' results."""
    for line in _PRODUCT.finditer(text):
        if (found := _TENSOR.match(line[1])) and re.fullmatch(r"b?f\d+|i\d+", found[2]):
            yield found


def _elements(found: re.Match[str]) -> int:
    return math.prod(int(size) for size in found[1].split("x") if size)
