"""Where a kernel's arguments lie in memory, from the metadata at the end of its assembly.

Keys and their meaning are those of code object version 5 in LLVM's "User Guide for AMDGPU Backend".
"""

from __future__ import annotations

import re

from aecompiler.errors import BackendError

_WHOLE = re.compile(r"\.amdgpu_metadata\s*\n(.*?)\.end_amdgpu_metadata", re.DOTALL)
_KERNEL = re.compile(r"^  - ", re.MULTILINE)
_ARGUMENTS = re.compile(r"\.args:\s*\n(.*?)(?=^    \.\w+:|\Z)", re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^      - ", re.MULTILINE)
_FIELD = re.compile(r"\.(\w+):\s+(\S+)")
_HIDDEN = "hidden_"


def arguments_of(assembly: str, kernel: str) -> list[list[int]]:
    """Offset and size in bytes of each argument of `kernel`, in their order.

    Behind them the runtime may write some of its own, such as the sizes of the grid. `BackendError` where the
    assembly does not say it.
    """
    whole = _WHOLE.search(assembly)
    for entry in _KERNEL.split(whole[1])[1:] if whole else []:
        if not re.search(rf"^\s*\.name:\s+['\"]?{re.escape(kernel)}['\"]?\s*$", entry, re.MULTILINE):
            continue
        listed = _ARGUMENTS.search(entry)
        found = [dict(_FIELD.findall(item)) for item in (_ARGUMENT.split(listed[1])[1:] if listed else [])]
        given = [each for each in found if not each["value_kind"].startswith(_HIDDEN)]
        return [[int(each["offset"]), int(each["size"])] for each in given]
    raise BackendError(f"the assembly has no metadata of a kernel '{kernel}'")
