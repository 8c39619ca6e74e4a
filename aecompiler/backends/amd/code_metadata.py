"""What the metadata at the end of a kernel's assembly says: its arguments, registers and memory.

Keys and their meaning are those of code object version 5 in LLVM's "User Guide for AMDGPU Backend".
"""

from __future__ import annotations

import dataclasses
import re

from aecompiler.errors import BackendError

_WHOLE = re.compile(r"\.amdgpu_metadata\s*\n(.*?)\.end_amdgpu_metadata", re.DOTALL)
_KERNEL = re.compile(r"^  - ", re.MULTILINE)
_NUMBER = re.compile(r"^    \.(\w+):\s+(\d+)\s*$", re.MULTILINE)
_ARGUMENTS = re.compile(r"\.args:\s*\n(.*?)(?=^    \.\w+:|\Z)", re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^      - ", re.MULTILINE)
_FIELD = re.compile(r"\.(\w+):\s+(\S+)")
_HIDDEN = "hidden_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelMetadata:
    """The needs of a kernel: registers of a lane, scalar registers of a wave, bytes.

    `arguments`: offset and size of each in the segment of arguments; behind them are those that the runtime
    writes, such as sizes of the grid. `lds_bytes`: local memory that is part of the code, beside what a
    launch adds; `scratch_bytes`: memory of a lane beside registers.
    """

    arguments: tuple[tuple[int, int], ...]
    kernarg_bytes: int
    vgprs: int
    agprs: int
    sgprs: int
    vgpr_spills: int
    sgpr_spills: int
    lds_bytes: int
    scratch_bytes: int
    threads: int


def metadata_of(assembly: str, kernel: str) -> KernelMetadata:
    """What the metadata says of `kernel`; `BackendError` where it says nothing."""
    whole = _WHOLE.search(assembly)
    for entry in _KERNEL.split(whole[1])[1:] if whole else []:
        entry = f"    {entry}"  # the first key stands behind the dash
        if not re.search(rf"^\s*\.name:\s+['\"]?{re.escape(kernel)}['\"]?\s*$", entry, re.MULTILINE):
            continue
        numbers = {key: int(value) for key, value in _NUMBER.findall(entry)}
        listed = _ARGUMENTS.search(entry)
        places = []
        for item in _ARGUMENT.split(listed[1])[1:] if listed else []:
            fields = dict(_FIELD.findall(item))
            if not fields["value_kind"].startswith(_HIDDEN):
                places.append((int(fields["offset"]), int(fields["size"])))
        return KernelMetadata(
            arguments=tuple(places),
            kernarg_bytes=numbers["kernarg_segment_size"],
            vgprs=numbers["vgpr_count"] - numbers.get("agpr_count", 0),
            agprs=numbers.get("agpr_count", 0),
            sgprs=numbers["sgpr_count"],
            vgpr_spills=numbers["vgpr_spill_count"],
            sgpr_spills=numbers["sgpr_spill_count"],
            lds_bytes=numbers["group_segment_fixed_size"],
            scratch_bytes=numbers["private_segment_fixed_size"],
            threads=numbers["max_flat_workgroup_size"],
        )
    raise BackendError(f"the assembly has no metadata of a kernel '{kernel}'")
