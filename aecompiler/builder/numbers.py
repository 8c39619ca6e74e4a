"""Numbers that are known while a program is traced: Python's, and the scalars of numpy and torch."""

from __future__ import annotations

from typing import Any


def plain_number(thing: Any) -> bool | int | float | None:
    """A Python number, or a scalar of numpy or torch, as a plain bool, int or float; None for anything else.

    Subclasses are unwrapped too: `numpy.float64` is a float whose operators are numpy's.
    """
    if type(thing) in (bool, int, float):
        return thing
    if isinstance(thing, (int, float)):
        return int(thing) if isinstance(thing, int) else float(thing)
    if getattr(thing, "ndim", None) == 0 and hasattr(thing, "item") and not hasattr(thing, "mask"):
        item = thing.item()
        if type(item) in (bool, int, float):
            return item
    return None  # numpy's masked arrays too: their `item` is a value that should not be seen


def found(thing: Any) -> str:
    """What `thing` is instead of the number or traced value that was expected, with advice."""
    kind = f"{type(thing).__module__.partition('.')[0]}.{type(thing).__name__}".removeprefix("builtins.")
    shape = getattr(thing, "shape", None)
    if isinstance(shape, tuple) and hasattr(thing, "dtype"):
        return (
            f"got a {kind} of shape {tuple(shape)}; declare it as an argument of the program: aec.tensor(...)"
        )
    if callable(thing) and not isinstance(thing, type):
        return f"got the function {thing!r}; call it"
    return f"got {kind}"
