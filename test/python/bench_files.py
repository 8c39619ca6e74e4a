"""Modules below `bench/`, which is no package: a script there imports those beside it by their names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

BENCH = Path(__file__).parents[2] / "bench"


def load(name: str) -> ModuleType:
    """A module of that folder, by the name that scripts there know it by."""
    sys.path.append(str(BENCH))  # last: a file there has the name of a package
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCH))
