"""Arithmetic on text: the formulas that `Numbers` would compute, for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Int = int | str
Bool = bool | str


class Text:
    """Arithmetic whose integers are numbers or formulas."""

    def add(self, a: Int, b: Int) -> Int:
        """a + b, with numbers collected at the end."""
        if isinstance(a, int):
            a, b = b, a
        if isinstance(a, int):
            return a + int(b)
        if b == 0:
            return a
        if isinstance(b, int):
            head, number = _split_number(a)
            total = number + b
            return head if not total else f"{head} {'-' if total < 0 else '+'} {abs(total)}"
        head, number = _split_number(a)
        joined = f"{head} - {b[1:]}" if b.startswith("-") else f"{head} + {b}"
        return self.add(joined, number)

    def multiply(self, a: Int, b: Int) -> Int:
        """a * b."""
        if isinstance(a, int):
            a, b = b, a
        if isinstance(a, int):
            return a * int(b)
        if isinstance(b, int):
            if b in (0, 1):
                return a if b else 0
            return f"-{_factor(a)}" if b == -1 else f"{'-' if b < 0 else ''}{abs(b)} * {_factor(a)}"
        return f"{_factor(a)} * {_factor(b)}"

    def quotient(self, a: Int, b: Int) -> Int:
        """floor(a / b)."""
        if isinstance(a, int) and isinstance(b, int):
            return a // max(b, 1)
        return a if b == 1 else f"floor({_factor(a)} / {_factor(b)})"

    def remainder(self, a: Int, b: Int) -> Int:
        """a mod b."""
        if isinstance(a, int) and isinstance(b, int):
            return a % max(b, 1)
        return f"({_factor(a)} mod {_factor(b)})"

    def maximum(self, a: Int, b: Int) -> Int:
        """The larger one."""
        return _extremum("max", a, b)

    def minimum(self, a: Int, b: Int) -> Int:
        """The smaller one."""
        return _extremum("min", a, b)

    def at_most(self, a: Int, b: Int) -> Bool:
        """a <= b."""
        return a <= b if isinstance(a, int) and isinstance(b, int) else f"{a} <= {b}"

    def both(self, a: Bool, b: Bool) -> Bool:
        """a and b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(x, bool):
                return y if x else False
        return f"{a} and {b}"

    def either(self, a: Bool, b: Bool) -> Bool:
        """a or b."""
        for x, y in ((a, b), (b, a)):
            if isinstance(x, bool):
                return True if x else y
        return f"{a} or {b}"

    def opposite(self, a: Bool) -> Bool:
        """not a."""
        return not a if isinstance(a, bool) else f"not ({a})"

    def choose(self, condition: Bool, a: Int, b: Int) -> Int:
        """a where the condition holds, else b."""
        if isinstance(condition, bool):
            return a if condition else b
        return f"({a} if {condition} else {b})"

    def any_of(self, first: Int, last: Int, holds: Callable[[Any], Bool]) -> Bool:
        """Whether `holds(n)` for some n in [first, last]."""
        return f"some n in [{first}, {last}] has {holds('n')}"

    def extremes(self, tensor: str, ranges: Sequence[tuple[Int, Int]]) -> tuple[Int, Int]:
        """The least and the largest element of a tensor over ranges of indices."""
        at = ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in ranges)
        return f"min({tensor}[{at}])", f"max({tensor}[{at}])"


def _split_number(text: str) -> tuple[str, int]:
    """A sum, and the number at its end."""
    found = re.fullmatch(r"(.*\S) ([+-]) (\d+)", text)
    if not found:
        return text, 0
    return found[1], int(found[2] + found[3])


def _factor(value: Int) -> str:
    """Text that may stand beside a sign."""
    text = str(value)
    plain = re.fullmatch(r"[\w.\[\], ]+|(max|min|floor)?\([^()]*\)", text)
    return (
        text if plain and not re.search(r" [-+*/] |mod", re.sub(r"\(.*\)|\[.*\]", "", text)) else f"({text})"
    )


def _extremum(name: str, a: Int, b: Int) -> Int:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b) if name == "max" else min(a, b)
    if a == b:
        return a
    parts = [each for text in (a, b) for each in _arguments(name, str(text))]
    return f"{name}({', '.join(dict.fromkeys(parts))})"


def _arguments(name: str, text: str) -> list[str]:
    """The arguments of a call of `name` that is all of `text`, or the text alone."""
    if not (text.startswith(f"{name}(") and text.endswith(")")):
        return [text]
    inner, depth, parts = text[len(name) + 1 : -1], 0, [""]
    for letter in inner:
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            return [text]
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
