"""What the simulator refuses: each error names the rule that was broken and the instruction that broke it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecompiler.errors import AecError

if TYPE_CHECKING:
    from aecompiler.backends.amd.simulator.text import Instruction


class SimulationError(AecError):
    """A kernel broke a rule of the machine, or can't be simulated.

    `rule` says what, `line` and `text` give the instruction as it stands in the assembly (None where there is
    no single one), `wave` and `workgroup` who executed it.
    """

    def __init__(self, rule: str, instruction: Instruction | None = None):
        super().__init__(rule)
        self.rule = rule
        self.line = instruction.line if instruction else None
        self.text = instruction.text if instruction else None
        self.wave: int | None = None
        self.workgroup: tuple[int, ...] | None = None

    def __str__(self) -> str:
        who = "" if self.wave is None else f", wave {self.wave} of workgroup {self.workgroup}"
        where = "" if self.line is None else f" [line {self.line}: {self.text}{who}]"
        return self.rule + where


class UnknownInstruction(SimulationError):
    """The assembly has opcodes, operands or modifiers that are unknown; all are named at once."""


class StrayAccess(SimulationError):
    """A global access lies outside the arrays that were handed over."""


class LocalMemoryError(SimulationError):
    """An LDS access lies outside the workgroup's memory, or at an address that its width doesn't allow."""


class LocalMemoryRace(SimulationError):
    """Two waves access the same LDS bytes, at least one writes, and no barrier orders them."""


class MissingWait(SimulationError):
    """A register is used while the load or store that owns it may still be under way."""


class Runaway(SimulationError):
    """A wave executes more instructions than the limit, or runs off the end of the kernel."""
