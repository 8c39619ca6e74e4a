"""Names in code: what they begin with, which both halves of the backend use, and how new ones are found."""

from __future__ import annotations

import itertools

from aecompiler.bindings import ir
from aecompiler.passes import rewriting as rw

PREFIX = "aec."
"""What the names of functions begin with in code."""


def symbols(module: ir.Operation) -> set[str]:
    """The names that are taken in a module."""
    return {rw.symbol_name(op) for op in rw.walk_list(module) if "sym_name" in op.attributes}


def numbered(stem: str, taken: set[str]) -> str:
    """`stem` with the first number, from 0 on, that makes a name of its own; it is taken then."""
    name = next(name for number in itertools.count() if (name := f"{stem}{number}") not in taken)
    taken.add(name)
    return name


def unique(name: str, taken: set[str]) -> str:
    """`name`, or where it is taken, `name` with a number; it is taken then."""
    if name in taken:
        return numbered(f"{name}.", taken)
    taken.add(name)
    return name
