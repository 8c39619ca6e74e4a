"""A simulator of AMDGCN assembly text (gfx90a, gfx942, gfx950) in numpy; see docs/backends/amd-simulator.md.

`Program.parse` loads a kernel, `simulate` runs it on numpy arrays and counts what it executes.
"""

from aecompiler.backends.amd.simulator.counts import Counts
from aecompiler.backends.amd.simulator.errors import (
    LocalMemoryError,
    LocalMemoryRace,
    MissingWait,
    Runaway,
    SimulationError,
    StrayAccess,
    UnknownInstruction,
)
from aecompiler.backends.amd.simulator.execution import simulate
from aecompiler.backends.amd.simulator.program import Program

__all__ = [
    "Counts",
    "LocalMemoryError",
    "LocalMemoryRace",
    "MissingWait",
    "Program",
    "Runaway",
    "SimulationError",
    "StrayAccess",
    "UnknownInstruction",
    "simulate",
]
