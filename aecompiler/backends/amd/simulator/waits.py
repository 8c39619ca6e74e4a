"""The counters vmcnt and lgkmcnt of a wave, and what may still be under way.

vmcnt counts vector memory operations, loads and stores alike, which complete in the order of issue on these
chips. lgkmcnt counts LDS operations, which complete in order among themselves, and scalar loads, which
complete in any order, also towards LDS operations. So after a wait for `lgkmcnt(n)` the LDS operations before
the last n are complete, and scalar loads are only for n = 0 (CDNA3 ISA reference, "Manually Inserted Wait
States" and "Data dependency resolution"). Flat accesses count in both and complete in lgkmcnt in any order.

The largest value of a counter's field (63, 15) means no wait. No more operations are under way than that: an
instruction beyond it is issued when the oldest is complete, which LLVM relies on
(https://github.com/ROCm/rocm-systems/issues/11202).

A wave may end while operations are under way, also loads into local memory, which another workgroup may get
next: s_endpgm waits for all of them before it ends the wave (CDNA4 ISA reference, "SOPP Instructions").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aecompiler.backends.amd.simulator.errors import MissingWait, UnknownInstruction

if TYPE_CHECKING:
    from aecompiler.backends.amd.simulator.text import Instruction

LARGEST = {"vmcnt": 63, "lgkmcnt": 15, "expcnt": 7}


class Operation:
    """A memory operation that has been issued: `registers` is a mask of what it will write.

    `local` is its number in the records of local memory, or 0; `unit` is "vmem", "lds", "smem" or "flat";
    `completed_by` is the wait that made sure of it, once there was one.
    """

    __slots__ = ("completed_by", "instruction", "local", "registers", "unit")

    def __init__(self, instruction: Instruction, unit: str, registers: int, local: int):
        self.instruction = instruction
        self.unit = unit
        self.registers = registers
        self.local = local
        self.completed_by: Instruction | None = None


class Counters:
    """What a wave has issued and not yet waited for, in order of issue. `pending` is a mask of registers."""

    __slots__ = ("any_order", "local", "memory", "pending")

    def __init__(self) -> None:
        self.memory: list[Operation] = []
        self.local: list[Operation] = []
        self.any_order: list[Operation] = []
        self.pending = 0

    def issue(self, instruction: Instruction, unit: str, registers: int = 0, local: int = 0) -> None:
        """Record an operation. It may write what another of the same unit writes: they complete in order."""
        if self.pending & registers:
            for other in self.operations():
                if other.registers & registers and (other.unit != unit or unit in ("smem", "flat")):
                    raise missing_wait(other, instruction, "overwritten")
        operation = Operation(instruction, unit, registers, local)
        if unit in ("vmem", "flat"):
            self.memory.append(operation)
        if unit == "lds":
            self.local.append(operation)
        if unit in ("smem", "flat"):
            self.any_order.append(operation)
        self.pending |= registers
        if len(self.memory) > LARGEST["vmcnt"]:
            self._arrive(self.memory[-LARGEST["vmcnt"] - 1])
        if len(self.local) > LARGEST["lgkmcnt"]:
            self._arrive(self.local[-LARGEST["lgkmcnt"] - 1])

    def _arrive(self, operation: Operation) -> None:
        """What an operation writes is there; what it does to local memory is waited for by a later wait."""
        if operation.registers and operation.unit != "flat":
            operation.registers = 0
            self._find_pending()

    def _find_pending(self) -> None:
        self.pending = 0
        for operation in self.operations():
            self.pending |= operation.registers

    def operations(self) -> list[Operation]:
        """All that may be under way."""
        return [*self.memory, *self.local, *self.any_order]

    def complete(self, vmcnt: int | None, lgkmcnt: int | None) -> list[Operation]:
        """What is known to be complete while at most so many are under way; None says nothing."""
        done = []
        if vmcnt is not None and len(self.memory) > vmcnt:
            done += self.memory[: len(self.memory) - vmcnt]
        if lgkmcnt is not None:
            if len(self.local) > lgkmcnt:
                done += self.local[: len(self.local) - lgkmcnt]
            if lgkmcnt == 0:
                done += self.any_order
        return done

    def wait(self, vmcnt: int | None, lgkmcnt: int | None) -> list[Operation]:
        """Wait until at most so many are under way, None for no wait; returns what is now complete."""
        done = self.complete(vmcnt, lgkmcnt)
        if not done:
            return done
        if vmcnt is not None and len(self.memory) > vmcnt:
            del self.memory[: len(self.memory) - vmcnt]
        if lgkmcnt is not None:
            if len(self.local) > lgkmcnt:
                del self.local[: len(self.local) - lgkmcnt]
            if lgkmcnt == 0:
                self.any_order = []
        self._find_pending()
        return done

    def check(self, instruction: Instruction, registers: int) -> None:
        """Raise where `instruction` names a register that is still to be written."""
        for operation in self.operations():
            if operation.registers & registers:
                raise missing_wait(operation, instruction, "used")


def missing_wait(operation: Operation, instruction: Instruction, how: str) -> MissingWait:
    """The error for a register that is used or overwritten too early."""
    counter = "vmcnt" if operation.unit == "vmem" else "lgkmcnt"
    issued = operation.instruction
    load = f"its load at line {issued.line} ({issued.text})"
    return MissingWait(f"a register is {how} before s_waitcnt {counter} covers {load}", instruction)


def parse_wait(instruction: Instruction) -> dict[str, int]:
    """The counts that an s_waitcnt names; a count that is the field's largest value is left out."""
    text = instruction.operands[0] if instruction.operands else ""
    if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text):
        value = int(text, 0)
        counts = {
            "vmcnt": (value & 15) | (value >> 14 & 3) << 4,
            "expcnt": value >> 4 & 7,
            "lgkmcnt": value >> 8 & 15,
        }
    else:
        counts = {key: int(value, 0) for key, value in re.findall(r"(\w+)\((\w+)\)", text)}
    unknown = set(counts) - set(LARGEST)
    if unknown or not counts:
        raise UnknownInstruction(f"unknown counters in '{instruction.text}'", instruction)
    return {key: value for key, value in counts.items() if value < LARGEST[key]}
