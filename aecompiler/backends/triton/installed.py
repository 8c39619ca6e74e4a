"""Which Triton is installed, without importing it: that would take longer than all else of a warm start."""

from __future__ import annotations

import functools
import importlib.util
import re


@functools.cache
def triton_version() -> str:
    """The version of Triton and where it is, "" where there is none."""
    found = importlib.util.find_spec("triton")
    if found is None or found.origin is None:
        return ""
    with open(found.origin, encoding="utf-8") as file:
        version = re.search(r"__version__ = '([^']+)'", file.read())
    return f"{version[1] if version else '?'} {found.origin}"


def triton_numbers() -> tuple[int, ...]:
    """The numbers of that version, () where there is no Triton."""
    return tuple(map(int, re.findall(r"\d+", triton_version().partition(" ")[0])[:3]))
