"""How far from each other the elements of a tile may be in memory: what calls are checked for.

Kernels of the road "mlir" compute what a lane adds to an address in 32 bits. Where a tensor ends before 2^31
bytes that is always enough. For larger ones a kernel says how far its tiles reach: `Reach` of a parameter is
the sum of counts, each multiplied by the values of some parameters, which are strides; None where positions
come from memory, and nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

LARGEST = (1 << 31) - 1
"""The most bytes that the elements of a tile may span, from the first to the end of the last."""

Term = Sequence[int]
"""A count, and the numbers of the parameters that it is multiplied by."""

Reach = Sequence[Term] | None


def reach_check(
    kernel: str, parameters: Sequence[str], reaches: Sequence[Sequence[Any]]
) -> Callable[[Sequence[Any]], None] | None:
    """A function that raises `ValueError` for values of a launch that a kernel can't reach; None without any.

    `reaches`: numbers of parameters that are pointers, each with its reach. Values are those of the
    parameters, and then the bytes behind each pointer.
    """
    pointers = [number for number, each in enumerate(parameters) if each.startswith("!tt.ptr")]
    checked = [(len(parameters) + pointers.index(number), terms) for number, terms in reaches]
    if not checked:
        return None

    def check(values: Sequence[Any]) -> None:
        for place, terms in checked:
            if values[place] > LARGEST:
                _check_large(kernel, values[place], terms, values)

    return check


def _check_large(kernel: str, size: int, terms: Reach, values: Sequence[Any]) -> None:
    if terms is None:
        raise ValueError(
            f"kernel '{kernel}': expects a tensor that it reads at places from memory to have at most "
            f"{LARGEST} bytes, got {size}"
        )
    total = 0
    for count, *numbers in terms:
        for number in numbers:
            count *= abs(values[number])
        total += count
    if total > LARGEST:
        raise ValueError(
            f"kernel '{kernel}': expects the elements of a tile to be within {LARGEST} bytes, got strides "
            f"with which they span {total}, of a tensor of {size} bytes"
        )
