"""Registers every pass and named pipeline of the package, the backends' own included."""

from __future__ import annotations

import importlib

_REGISTRARS = (
    "aecompiler.passes",
    "aecompiler.backends.cpu.pipelines",
    "aecompiler.backends.nvidia.pipelines",
    "aecompiler.backends.amd.pipelines",
)


def register_all() -> None:
    """Import what registers our passes and pipelines; a second call is a no-op."""
    for name in _REGISTRARS:
        importlib.import_module(name)
