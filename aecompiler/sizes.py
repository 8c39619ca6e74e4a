"""Sizes of a call: which of its arguments must agree, and what the sizes of the results are.

`Sizes` is what the analysis of a function (`size_analysis.py`) finds out: classes of sizes that are equal,
and formulas for sizes that follow from others. A kernel checks it at each call, before anything runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from aecompiler.errors import UnsupportedError

Actual = Sequence[int] | int | float | None
"""An argument at a call: the shape of an array, or the value of a scalar."""

Formula = Callable[["Call"], int | None]
"""Computes a size from those of a call; its docstring, if any, says how."""


def _memory() -> int:
    """The bytes of the machine's memory, or more than any has where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 47


_MEMORY = _memory()


class Size:
    """A class of equal sizes (a node of a union-find forest)."""

    __slots__ = ("constant", "formulas", "parent", "places")

    def __init__(self, constant: int | None = None):
        self.parent: Size | None = None
        self.constant = constant
        self.places: list[tuple[int, int]] = []  # argument, dimension
        self.formulas: list[Formula] = []

    def root(self) -> Size:
        """The node that stands for the class; it alone holds what is known."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node


class Call:
    """The sizes of one call."""

    def __init__(self, actuals: Sequence[Actual]):
        self.actuals = actuals
        self._open: set[Size] = set()
        self._found: dict[Size, int] = {}  # a formula may use a size many times over

    def value(self, size: Size) -> int | None:
        """The size, or None if it does not follow from the arguments."""
        size = size.root()
        if size.constant is not None:
            return size.constant
        for argument, dimension in size.places:
            return self.actuals[argument][dimension]  # type: ignore[index]
        if size in self._found:
            return self._found[size]
        if size in self._open:
            return None
        self._open.add(size)
        try:
            value = next((v for formula in size.formulas if (v := formula(self)) is not None), None)
        finally:
            self._open.discard(size)
        if value is not None:
            self._found[size] = value
        return value


class Sizes:
    """What `analyze` finds out. The arguments of a call are given as shapes, or values of scalars."""

    def __init__(self, names: Sequence[str]):
        self.names = list(names)
        self.classes: list[Size] = []
        self.results: list[list[Size] | None] = []
        self.at_least: list[tuple[Size, int]] = []
        self.requirements: list[Callable[[Call], str | None]] = []  # what a call breaks, or None
        self.tensors: list[tuple[tuple[Size, ...], int]] = []  # sizes of a tensor, bytes of an element
        self.dimension_names: dict[tuple[int, int], str] = {}

    def check(self, actuals: Sequence[Actual]) -> None:
        """Raise `ValueError` naming the arguments and dimensions whose sizes do not agree.

        Raise `MemoryError` for a tensor that is larger than the machine's memory: code can't.
        """
        call = Call(actuals)
        for size, minimum in self.at_least:
            got = call.value(size)
            places = size.root().places
            if got is not None and got < minimum:
                what = self.place(places[0]) if places else "a size"
                raise ValueError(f"expects {what} to be at least {minimum}, got {got}")
        for size in self.classes:
            if size.parent is not None:
                continue
            expected = call.value(size)
            for place in size.places:
                got = actuals[place[0]][place[1]]  # type: ignore[index]
                if got != expected:
                    raise ValueError(self._disagreement(size, place, expected, got))
            for formula in size.formulas:
                computed = formula(call)
                if computed is not None and computed != expected:
                    what = self.place(size.places[0]) if size.places else "a size"
                    how = f", {formula.__doc__}" if formula.__doc__ else ""
                    raise ValueError(f"expects {what} to be {computed}{how}, got {expected}")
        for requirement in self.requirements:
            if (message := requirement(call)) is not None:
                raise ValueError(message)
        for dims, width in self.tensors:
            shape = [call.value(size) or 0 for size in dims]
            if math.prod(shape) * width > _MEMORY:
                text = "x".join(map(str, shape))
                raise MemoryError(f"expects tensors to fit into memory, got one of {text} elements")

    def result_shapes(self, actuals: Sequence[Actual]) -> list[tuple[int, ...] | None]:
        """The shape of each result; None for a scalar."""
        call = Call(actuals)
        shapes: list[tuple[int, ...] | None] = []
        for dims in self.results:
            if dims is None:
                shapes.append(None)
                continue
            values = [call.value(size) for size in dims]
            shapes.append(tuple(max(0, value) for value in values if value is not None))
        return shapes

    def rules(self) -> dict[str, Any]:
        """What calls must keep, as data: `equal`, groups of (argument, dimension); `fixed`, a place and its
        size; `at_least`, a place and the smallest size.

        Raises `UnsupportedError` for what can't be said so: sizes that are computed from others.
        """
        roots = [size for size in self.classes if size.parent is None and size.places]
        if self.requirements or any(size.formulas for size in roots):
            raise UnsupportedError("unsupported: saving a program whose sizes are computed from others")
        return {
            "equal": [[list(place) for place in size.places] for size in roots if len(size.places) > 1],
            "fixed": [[*size.places[0], size.constant] for size in roots if size.constant is not None],
            "at_least": [
                [*places[0], least]
                for size, least in self.at_least
                if least > 0 and (places := size.root().places)
            ],
        }

    def complete(self, shapes: Sequence[Sequence[int | None]]) -> list[list[int | None]]:
        """The shapes of arguments with the unknown sizes (None) filled in that follow from known ones.

        Sizes that are given stay as they are, also where they do not agree.
        """
        found = [list(shape) for shape in shapes]
        for size in self.classes:
            if size.parent is not None:
                continue
            known = [found[argument][dimension] for argument, dimension in size.places]
            value = next((each for each in (size.constant, *known) if each is not None), None)
            for (argument, dimension), given in zip(size.places, known, strict=True):
                found[argument][dimension] = value if given is None else given
        return found

    def place(self, place: tuple[int, int]) -> str:
        """How a dimension of an argument is written in messages."""
        return f"{self.names[place[0]]}.shape[{place[1]}]"

    def _disagreement(self, size: Size, place: tuple[int, int], expected: int | None, got: int) -> str:
        if size.constant is not None:
            return f"expects {self.place(place)} to be {expected}, got {got}"
        first = size.places[0]
        name = self.dimension_names.get(place)
        same = f" (both are '{name}')" if name and name == self.dimension_names.get(first) else ""
        both = f"{self.place(first)} and {self.place(place)}"
        return f"expects {both} to be equal{same}, got {expected} and {got}"


def scalar(number: int, width: int) -> Formula:
    """The value of a scalar argument of `width` bits, signed: a true i1 is -1."""

    def formula(call: Call) -> int | None:
        value = call.actuals[number]
        return wrap(value, width) if isinstance(value, int) else None

    return formula


def wrap(value: int, width: int) -> int:
    """`value` as a signed number of `width` bits holds it."""
    return (value + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))


def product(members: Sequence[Size]) -> Formula:
    """The product of sizes."""

    def formula(call: Call) -> int | None:
        total = 1
        for member in members:
            value = call.value(member)
            if value is None:
                return None
            total *= value
        return total

    return formula


def total(members: Sequence[Size]) -> Formula:
    """The sum of sizes."""

    def formula(call: Call) -> int | None:
        values = [call.value(member) for member in members]
        return None if None in values else sum(v for v in values if v is not None)

    return formula
