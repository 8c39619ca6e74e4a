"""What the CPU backend knows of the machine it runs on."""

from __future__ import annotations

import dataclasses

from aecompiler.backends.base import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuTarget(Target):
    """The processor of this process: LLVM asks it for its features, so there is nothing to describe yet."""

    name: str = "cpu"
