"""Dictionaries that remember no more than the last entries."""

from __future__ import annotations

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def keep(entries: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Add an entry, in place of the oldest ones where there are `most`; one thread at a time."""
    while len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
