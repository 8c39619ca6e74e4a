"""How often instructions were executed: by class, for a kernel and for its loops.

Counts are of wave instructions: one instruction of one wave of up to 64 threads. No time follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aecompiler.backends.amd.simulator.text import Body, Instruction

CLASSES = (
    *(
        "valu",
        "mfma",
        "salu",
        "lds_read",
        "lds_write",
        "lds_permute",
        "global_load",
        "global_store",
        "local_load",
    ),
    *("smem", "branch", "barrier", "waitcnt", "other"),
)
_OTHER = {"s_nop", "s_setprio", "s_sleep", "s_endpgm", "s_sethalt", "s_sched_barrier"}


def classify(instruction: Instruction) -> str:
    """The class of an instruction, one of `CLASSES`.

    "local_load" is a load from global memory straight into local memory, "lds_permute" an exchange between
    lanes through the crossbar of local memory, "other" what has no effect on values.
    """
    name = instruction.opcode
    if name.startswith("v_"):
        return "mfma" if name.startswith("v_mfma") else "valu"
    if name.startswith("ds_"):
        if "permute" in name or "swizzle" in name:
            return "lds_permute"
        return "lds_write" if name.startswith("ds_write") else "lds_read"
    if name.startswith(("buffer_", "global_", "flat_", "scratch_")):
        if "lds" in instruction.modifiers or "_lds_" in name:
            return "local_load"
        if "_load" in name:
            return "global_load"
        return "global_store" if "_store" in name else "other"
    if name in ("s_barrier", "s_waitcnt"):
        return name[2:]
    if name.startswith(("s_load", "s_buffer_load", "s_mem")):
        return "smem"
    if name.startswith(("s_branch", "s_cbranch")):
        return "branch"
    return "other" if name in _OTHER else "salu"


@dataclass
class Counts:
    """Instructions that a kernel, or a part of it, has executed.

    `classes` has every name of `CLASSES`. Conflict cycles are those of local memory, see `banks`. `lines` are
    the first and the last line of assembly. For a loop, `trips` is how often waves began it anew or entered
    it, and `label` its first label; for a whole kernel `trips` is the number of waves. `loops` are the
    innermost loops.
    """

    classes: dict[str, int]
    read_conflict_cycles: int
    write_conflict_cycles: int
    lines: tuple[int, int]
    trips: int
    label: str = ""
    loops: list[Counts] = field(default_factory=list)
    record: Record | None = field(default=None, repr=False)

    @property
    def instructions(self) -> int:
        """All wave instructions."""
        return sum(self.classes.values())

    @property
    def mfma_share(self) -> float:
        """The part of all wave instructions that are matrix instructions."""
        return self.classes["mfma"] / max(1, self.instructions)

    @property
    def hot_loop(self) -> Counts | None:
        """The innermost loop that executes the most instructions; one with matrix instructions goes first."""
        return max(self.loops, key=lambda loop: (loop.classes["mfma"] > 0, loop.instructions), default=None)

    def select(self, wanted: Callable[[Instruction], bool]) -> Counts:
        """Counts of those instructions of a whole kernel for which `wanted` is true."""
        if self.record is None:
            raise ValueError("only counts of a whole kernel know its instructions")
        chosen = [one for one in self.record.body.instructions if wanted(one)]
        return self.record.count(chosen, self.trips)

    def per_trip(self) -> dict[str, float]:
        """`classes` divided by `trips`."""
        return {name: count / max(1, self.trips) for name, count in self.classes.items()}


@dataclass(frozen=True)
class Record:
    """How often each instruction of a kernel was executed, and the conflict cycles of each."""

    body: Body
    executed: Sequence[int]
    conflicts: Sequence[int]

    def count(self, instructions: Sequence[Instruction], trips: int) -> Counts:
        """Counts of some of the instructions."""
        classes, reads, writes = dict.fromkeys(CLASSES, 0), 0, 0
        for one in instructions:
            name = classify(one)
            classes[name] += self.executed[one.index]
            if name == "lds_write":
                writes += self.conflicts[one.index]
            else:
                reads += self.conflicts[one.index]
        lines = (instructions[0].line, instructions[-1].line) if instructions else (0, 0)
        return Counts(classes, reads, writes, lines, trips)


def innermost_loops(body: Body) -> list[tuple[int, int, str]]:
    """First and last instruction and label of each loop that has no other loop inside.

    A loop is what stands between a label and the last branch back to it.
    """
    spans: dict[int, tuple[int, str]] = {}
    for instruction in body.instructions:
        if classify(instruction) != "branch":
            continue
        label = instruction.operands[0]
        target = body.labels.get(label, len(body.instructions))
        if target <= instruction.index:
            spans[target] = (instruction.index, label)
    loops = [(first, last, label) for first, (last, label) in sorted(spans.items())]
    return [
        loop
        for loop in loops
        if not any(other is not loop and loop[0] <= other[0] <= other[1] <= loop[1] for other in loops)
    ]


def count_program(record: Record, waves: int) -> Counts:
    """Counts of a whole kernel, with those of its innermost loops."""
    body = record.body
    total = record.count(body.instructions, waves)
    total.record = record
    for first, last, label in innermost_loops(body):
        loop = record.count(body.instructions[first : last + 1], record.executed[first])
        loop.label = label
        total.loops.append(loop)
    return total
