"""What compiled code is known by in the cache on disk: all that it depends on."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import aecompiler
from aecompiler.bindings import load as load_bindings

_PARTS = ("algebra", "backends", "dialect", "passes")
"""The folders of the package that decide what code is made."""


def digest(parts: Iterable[str]) -> str:
    """A key for texts; other texts, or the same ones cut in other places, have another."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogateescape")
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


@functools.cache
def versions() -> tuple[str, ...]:
    """What tells this compiler, and the MLIR below it, from others: files by name, size and time."""
    package = Path(aecompiler.__file__).parent
    libraries = Path(load_bindings("_mlir_libs").__file__ or "").parent
    return (
        aecompiler.__version__,
        *(line for part in _PARTS for line in list_files(package / part, ".py", ".json")),
        *list_files(libraries, ".so", ".dylib", ".pyd", ".dll"),
    )


def list_files(folder: Path, *endings: str) -> list[str]:
    """A line for each file below a folder with one of these endings: its name, size and time."""
    lines = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(endings):
                status = os.stat(os.path.join(place, name))
                lines.append(f"{place}/{name} {status.st_size} {status.st_mtime_ns}")
    return lines
