"""The kernel descriptor (`.amdhsa_` directives) and the metadata of arguments, as they stand in the assembly.

Layout of the kernel arguments, order of the scalar registers at entry and names of hidden arguments are those
of LLVM's "User Guide for AMDGPU Backend" (code object version 5, initial kernel execution state).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecompiler.backends.amd.simulator.errors import SimulationError

# The directives that give user registers at entry, in their order, and how many registers each takes.
_USER_REGISTERS = (
    ("private_segment_buffer", 4),
    ("dispatch_ptr", 2),
    ("queue_ptr", 2),
    ("kernarg_segment_ptr", 2),
    ("dispatch_id", 2),
    ("flat_scratch_init", 2),
    ("private_segment_size", 1),
)


ADDS_LANE = 1 << 23
"""The bit in the last word of a buffer's descriptor that is set for scratch memory: each lane has its own."""


@dataclass(frozen=True)
class Argument:
    """One entry of the kernel's argument segment: `kind` is the metadata's value kind."""

    offset: int
    size: int
    kind: str


@dataclass(frozen=True)
class Metadata:
    """What the assembly says about one kernel.

    `directives` are its `.amdhsa_` directives that have integer values; sizes are in bytes.
    """

    directives: dict[str, int]
    arguments: tuple[Argument, ...]
    kernarg_bytes: int
    lds_bytes: int
    private_bytes: int


def parse_metadata(assembly: str, kernel: str) -> Metadata:
    """The descriptor and the metadata of `kernel`."""
    descriptor = re.search(
        rf"^\s*\.amdhsa_kernel {re.escape(kernel)}\s*$(.*?)^\s*\.end_amdhsa_kernel",
        assembly,
        re.MULTILINE | re.DOTALL,
    )
    if descriptor is None:
        raise SimulationError(f"the assembly has no descriptor of kernel '{kernel}'")
    found = re.findall(r"\.amdhsa_(\w+) (-?\d+|0x[0-9a-fA-F]+)\s*$", descriptor.group(1), re.MULTILINE)
    directives = {key: int(value, 0) for key, value in found}
    arguments, values = _entry(assembly, kernel)
    return Metadata(
        directives=directives,
        arguments=arguments,
        kernarg_bytes=max([values.get("kernarg_segment_size", 0), *(a.offset + a.size for a in arguments)]),
        lds_bytes=directives.get("group_segment_fixed_size", 0),
        private_bytes=directives.get("private_segment_fixed_size", 0),
    )


_MODES = {
    **{f"float_round_mode_{types}": (0, "rounding to the nearest number") for types in ("32", "16_64")},
    **{f"float_denorm_mode_{types}": (3, "that denormal numbers are kept") for types in ("32", "16_64")},
}


def check_modes(directives: Mapping[str, int]) -> None:
    """Raise for a kernel that asks for another float arithmetic than the one that is simulated."""
    for name, (value, meaning) in _MODES.items():
        if directives.get(name, value) != value:
            raise SimulationError(f"expects .amdhsa_{name} {value}, {meaning}, got {directives[name]}")


def _entry(assembly: str, kernel: str) -> tuple[tuple[Argument, ...], dict[str, int]]:
    """Arguments and integer values of the entry of `kernel` in the list `amdhsa.kernels`."""
    whole = re.search(r"\.amdgpu_metadata\s*\n(.*?)\.end_amdgpu_metadata", assembly, re.DOTALL)
    entries = re.split(r"^  - ", whole.group(1), flags=re.MULTILINE)[1:] if whole else []
    for entry in entries:
        if not re.search(rf"^\s*\.name:\s+['\"]?{re.escape(kernel)}['\"]?\s*$", entry, re.MULTILINE):
            continue
        arguments = []
        listed = re.search(r"\.args:\s*\n(.*?)(?=^    \.\w+:|\Z)", entry, re.MULTILINE | re.DOTALL)
        for item in re.split(r"^      - ", listed.group(1), flags=re.MULTILINE)[1:] if listed else []:
            fields = dict(re.findall(r"\.(\w+):\s+(\S+)", item))
            arguments.append(Argument(int(fields["offset"]), int(fields["size"]), fields["value_kind"]))
        numbers = re.findall(r"^\s*\.(\w+):\s+(\d+)\s*$", entry, re.MULTILINE)
        return tuple(arguments), {key: int(value) for key, value in numbers}
    raise SimulationError(f"the metadata of the assembly has no kernel named '{kernel}'")


_SEGMENT_ALIGNMENT = 16


def pack_arguments(
    metadata: Metadata, values: Sequence[Any], grid: Sequence[int], threads: int, lds_bytes: int
) -> np.ndarray:
    """The argument segment: `values` are addresses for pointers, integers or floats for the others.

    Pointers at the end of the list that have no value are null: Triton adds two for scratch memory. The
    segment is a multiple of what it is aligned to: LLVM makes loads that read such a piece as a whole.
    """
    explicit = [argument for argument in metadata.arguments if not argument.kind.startswith("hidden_")]
    segment = bytearray(-(-metadata.kernarg_bytes // _SEGMENT_ALIGNMENT) * _SEGMENT_ALIGNMENT)
    if len(values) > len(explicit):
        raise SimulationError(f"the kernel takes {len(explicit)} arguments, got {len(values)}")
    for position, argument in enumerate(explicit):
        if position < len(values):
            raw = _encode(position, argument, values[position])
            segment[argument.offset : argument.offset + argument.size] = raw
        elif argument.kind != "global_buffer":
            raise SimulationError(f"the kernel takes {len(explicit)} arguments, got {len(values)}")
    hidden = {"hidden_grid_dims": 1, "hidden_dynamic_lds_size": lds_bytes}
    for axis, name in enumerate("xyz"):
        hidden[f"hidden_block_count_{name}"] = grid[axis]
        hidden[f"hidden_group_size_{name}"] = threads if axis == 0 else 1
    for argument in metadata.arguments:
        if argument.kind in hidden:
            raw = hidden[argument.kind].to_bytes(argument.size, "little")
            segment[argument.offset : argument.offset + argument.size] = raw
    return np.frombuffer(segment, np.uint8)


def _encode(position: int, argument: Argument, value: Any) -> bytes:
    """`value` as the bytes of an argument."""
    if isinstance(value, np.generic):
        raw = value.tobytes()
        if len(raw) != argument.size:
            raise SimulationError(f"argument {position} has {argument.size} bytes, got {value.dtype}")
        return raw
    if isinstance(value, float):
        formats = {2: "<e", 4: "<f", 8: "<d"}
        return struct.pack(formats[argument.size], value)
    if isinstance(value, int):
        return (value & ((1 << 8 * argument.size) - 1)).to_bytes(argument.size, "little")
    raise SimulationError(f"argument {position} expects an array or a number, got {type(value).__name__}")


def entry_registers(metadata: Metadata, kernarg_address: int, workgroup: Sequence[int]) -> list[int]:
    """The scalar registers at entry, from s0.

    Preloaded arguments are left out: a kernel that asks for them starts with code that loads them, for
    firmware that doesn't, and it is executed here from that start.
    """
    directives, registers = metadata.directives, []
    for name, count in _USER_REGISTERS:
        if directives.get(f"user_sgpr_{name}", 0):
            given = {
                "kernarg_segment_ptr": [kernarg_address & 0xFFFFFFFF, kernarg_address >> 32],
                "private_segment_buffer": [0, 0, 0, ADDS_LANE],
            }
            registers += given.get(name, [0] * count)
    registers += [0] * (directives.get("user_sgpr_count", len(registers)) - len(registers))
    for axis, name in enumerate("xyz"):
        if directives.get(f"system_sgpr_workgroup_id_{name}", axis == 0):
            registers.append(workgroup[axis])
    if directives.get("system_sgpr_workgroup_info", 0):
        registers.append(0)
    registers.append(0)  # the wave's offset in scratch memory, where the kernel asks for it
    return registers
