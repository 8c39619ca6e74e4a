"""Programs: assembly text made ready for execution. Operands are decoded once, here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aecompiler.backends.amd.simulator.errors import UnknownInstruction
from aecompiler.backends.amd.simulator.global_operations import build_global
from aecompiler.backends.amd.simulator.lanes import build_lane_move
from aecompiler.backends.amd.simulator.local_operations import access_bytes, build_local
from aecompiler.backends.amd.simulator.matrix import build_matrix
from aecompiler.backends.amd.simulator.metadata import Metadata, check_modes, parse_metadata
from aecompiler.backends.amd.simulator.operands import Run, register_mask
from aecompiler.backends.amd.simulator.packed import build_packed
from aecompiler.backends.amd.simulator.scalar import build_scalar
from aecompiler.backends.amd.simulator.state import Wave
from aecompiler.backends.amd.simulator.text import Body, Instruction, parse_body
from aecompiler.backends.amd.simulator.vector import build_elementwise, build_masked
from aecompiler.backends.amd.simulator.waits import parse_wait
from aecompiler.backends.amd.target import AmdTarget, target_of

AT_BARRIER, AT_END = 1, 2
_OWN_CHECK = ("global_load", "flat_load", "buffer_load", "ds_read", "ds_bpermute", "ds_permute", "ds_swizzle")
_READS_VCC = {"s_cbranch_vccz", "s_cbranch_vccnz", "v_div_fmas_f32", "v_div_fmas_f64"}


@dataclass
class Program:
    """One kernel of an assembly text, ready for `simulate`.

    `steps` executes each instruction on a wave and returns AT_BARRIER, AT_END or nothing; `used` is for each
    instruction a mask of the registers that no operation may still have to write. `cell` is the size in bytes
    by which races in local memory are found.
    """

    kernel: str
    target: AmdTarget
    body: Body
    metadata: Metadata
    steps: list[Run]
    used: list[int]
    cell: int

    @classmethod
    def parse(cls, assembly: str, kernel: str, chip: str) -> Program:
        """The kernel named `kernel` of `assembly`, for a chip such as "gfx942".

        Raises `UnknownInstruction` that names all instructions that aren't known.
        """
        return cls.load(parse_body(assembly, kernel), parse_metadata(assembly, kernel), kernel, chip)

    @classmethod
    def load(cls, body: Body, metadata: Metadata, kernel: str, chip: str) -> Program:
        """A program from instructions that are already parsed; they may have been changed."""
        target = target_of(chip)
        check_modes(metadata.directives)
        widths = [access_bytes(instruction.opcode) for instruction in body.instructions]
        cell = min([4, *(width for width in widths if width)])
        steps: list[Run] = []
        unknown: dict[str, Instruction] = {}
        for instruction in body.instructions:
            try:
                step = build(instruction, body, target, cell)
            except UnknownInstruction as error:
                unknown.setdefault(f"{instruction.opcode} ({error.rule})", instruction)
                continue
            except (ValueError, IndexError, KeyError, TypeError) as error:
                unknown.setdefault(f"{instruction.opcode} (malformed operands: {error})", instruction)
                continue
            if step is None:
                unknown.setdefault(instruction.opcode, instruction)
            else:
                steps.append(step)
        if unknown:
            names = "; ".join(f"{name}, line {found.line}" for name, found in sorted(unknown.items()))
            raise UnknownInstruction(f"unsupported on {chip}: {names}")
        used = [used_registers(instruction) for instruction in body.instructions]
        return cls(kernel, target, body, metadata, steps, used, cell)


def used_registers(instruction: Instruction) -> int:
    """The registers that no operation under way may have to write when the instruction is issued.

    What a load writes isn't among them: `Counters.issue` looks after it.
    """
    operands = instruction.operands
    to_local = "lds" in instruction.modifiers or "_lds_" in instruction.opcode
    if instruction.opcode.startswith((*_OWN_CHECK, "s_load", "s_buffer_load", "s_mem")) and not to_local:
        operands = operands[1:]
    mask = 0
    for text in operands:
        mask |= register_mask(text[5:-1] if text.startswith("sext(") else text)
    if instruction.opcode in _READS_VCC:
        mask |= register_mask("vcc")
    return mask


def build(instruction: Instruction, body: Body, target: AmdTarget, cell: int) -> Run | None:
    """The closure that executes an instruction, or None where the chip or the simulator doesn't know it."""
    name = instruction.opcode
    if name == "s_endpgm":
        return build_end(instruction)
    if name == "s_barrier":
        return lambda wave: AT_BARRIER
    if name == "s_waitcnt":
        return build_wait(instruction, parse_wait(instruction))
    if name.startswith("v_mfma"):
        return build_matrix(instruction, target)
    if name.startswith("v_permlane") and not target.has_permlane_swaps:
        return None
    builders: list[Callable[[Instruction], Run | None]] = [
        build_elementwise,
        build_masked,
        build_packed,
        build_lane_move,
        lambda one: build_scalar(one, body.labels),
        lambda one: build_local(one, target, cell),
        lambda one: build_global(one, target),
    ]
    for builder in builders:
        step = builder(instruction)
        if step is not None:
            return step
    return None


def build_end(instruction: Instruction) -> Run:
    """s_endpgm, which waits for all that is under way: loads into local memory may be."""
    wait = build_wait(instruction, {"vmcnt": 0, "lgkmcnt": 0})

    def run(wave: Wave) -> int:
        wait(wave)
        return AT_END

    return run


def build_wait(instruction: Instruction, counts: dict[str, int]) -> Run:
    """s_waitcnt with `counts`: what it makes sure of is then known to be complete."""
    vmcnt, lgkmcnt = counts.get("vmcnt"), counts.get("lgkmcnt")

    def run(wave: Wave) -> None:
        for operation in wave.counters.wait(vmcnt, lgkmcnt):
            operation.completed_by = instruction
            if operation.local:
                wave.local.retire(operation.local, wave.epoch)

    return run
