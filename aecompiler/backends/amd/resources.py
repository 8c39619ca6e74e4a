"""What the assembly of a kernel for AMD's chips says that it needs."""

from __future__ import annotations

import dataclasses
import re

from aecompiler.errors import BackendError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """Needs of a kernel, from the metadata that LLVM appends to its assembly.

    `vgprs`: vector registers of a wave that any instruction can use, `agprs`: those for accumulation;
    `registers`: both, which share one file; `allocated_registers`: as many are given to a wave, before they
    are rounded up: LLVM asks for more than it uses where fewer waves are wanted.
    `sgprs`: scalar registers of a wave. `lds_bytes`: of a workgroup, beside what a launch adds.
    `scratch_bytes`: memory of a thread for what has no registers; `vgpr_spills`, `sgpr_spills`: how many
    registers were stored there.
    `threads`: the most of a workgroup. `kernarg_bytes`: the size of the kernel's parameters.
    """

    vgprs: int
    agprs: int
    registers: int
    allocated_registers: int
    sgprs: int
    lds_bytes: int
    scratch_bytes: int
    vgpr_spills: int
    sgpr_spills: int
    threads: int
    kernarg_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a kernel of the road "mlir" is said to need before there is code.

    `lds_bytes` of a workgroup: exact, unless LLVM finds that nothing of it is used. `registers`: an estimate
    of the vector registers of a lane, by the order of the program, which LLVM changes.
    """

    registers: int
    lds_bytes: int


_ENTRY = re.compile(r"^ {2}- (?=\.)", re.MULTILINE)
_ALLOCATED = re.compile(r"^\s*\.amdhsa_next_free_vgpr +(?P<count>\d+)$", re.MULTILINE)
_FIELDS = {
    "registers": "vgpr_count",
    "agprs": "agpr_count",
    "sgprs": "sgpr_count",
    "lds_bytes": "group_segment_fixed_size",
    "scratch_bytes": "private_segment_fixed_size",
    "vgpr_spills": "vgpr_spill_count",
    "sgpr_spills": "sgpr_spill_count",
    "threads": "max_flat_workgroup_size",
    "kernarg_bytes": "kernarg_segment_size",
}


def resources_of(assembly: str, name: str) -> Resources:
    """The needs of the kernel `name`, in assembly of ours or Triton's; `BackendError` without them."""
    _, _, metadata = assembly.partition("amdhsa.kernels:")
    for entry in _ENTRY.split(metadata)[1:]:
        named = re.search(r"^ *\.name: +'?(?P<name>[^'\n]+)'?$", entry, re.MULTILINE)
        if named is None or named["name"] != name:
            continue
        found = {field: _number(entry, key) for field, key in _FIELDS.items()}
        vgprs = found["registers"] - found["agprs"]
        allocated = _ALLOCATED.search(_descriptor(assembly, name))
        least = found["registers"] if allocated is None else int(allocated["count"])
        return Resources(vgprs=vgprs, allocated_registers=max(least, found["registers"]), **found)
    raise BackendError(f"the assembly has no metadata of a kernel '{name}'")


def _descriptor(assembly: str, name: str) -> str:
    """The directives between `.amdhsa_kernel` and `.end_amdhsa_kernel`."""
    _, _, after = assembly.partition(f".amdhsa_kernel {name}\n")
    return after.partition(".end_amdhsa_kernel")[0]


def _number(entry: str, key: str) -> int:
    found = re.search(rf"^ *\.{key}: +(?P<value>\d+)$", entry, re.MULTILINE)
    return int(found["value"]) if found else 0
