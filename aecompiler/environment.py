"""Environment variables that hold numbers."""

from __future__ import annotations

import os

_MOST_DIGITS = 18
_SHOWN = 40


def read_number(name: str, default: int, maximum: int, expected: str) -> int:
    """The number that a variable holds, or `default` where it is not set or empty.

    Raises `ValueError` for anything but decimal digits, and for a number above `maximum`; `expected` says in
    the message what may stand there.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdecimal() and len(digits) <= _MOST_DIGITS and int(digits) <= maximum):
        got = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ValueError(f"expects the environment variable {name} to be {expected}, got '{got}'")
    return int(digits)
