"""Running ptxas, the assembler that Triton brings with it, and reading what it says of a kernel."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path
from typing import Any

_FUNCTION = re.compile(
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
)
_REGISTERS = re.compile(r"Used (?P<registers>\d+) registers")
_BARRIERS = re.compile(r"used (?P<count>\d+) barriers")
_SHARED = re.compile(r"(?P<bytes>\d+) bytes smem")
_WARNING = re.compile(
    r"^ptxas\S*\s+(?:warning|info)\s*:\s*(?P<text>\(C\d+\).*)$|^ptxas\S*\s+warning\s*:\s*(?P<other>.*)$", re.M
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembled:
    """The binary of a kernel and what it takes of each thread; memory in bytes."""

    cubin: bytes
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    static_shared: int
    barriers: int
    warnings: tuple[str, ...]


class AssemblyError(Exception):
    """ptxas refused the text; the message is all that it wrote."""


def assemble(ptx: str, folder: str, tool: Any, gpu: str) -> Assembled:
    """The binary of `ptx` for `gpu`, as "sm_90a"; `tool` is Triton's entry for the assembler.

    Triton's own last stage is not used because it throws away what ptxas says beside errors, as the warnings
    that wgmma instructions are serialized.
    """
    # In a folder without the text that line information may refer to: ptxas would note when it was written.
    own = Path(folder, "ptxas")
    own.mkdir()
    source, binary = own / "kernel.ptx", own / "kernel.cubin"
    source.write_text(ptx, encoding="utf-8")
    command = [tool.path, "-v", "-lineinfo", *_workarounds(tool.version), f"--gpu-name={gpu}"]
    done = subprocess.run(
        [*command, source.name, "-o", binary.name], cwd=own, capture_output=True, text=True, check=False
    )
    written = done.stderr + done.stdout
    if done.returncode != 0:
        raise AssemblyError(written or f"ptxas ended with status {done.returncode}")
    function, registers = _FUNCTION.search(written), _REGISTERS.search(written)
    if function is None or registers is None:
        raise AssemblyError(f"ptxas does not say what the kernel uses: {written}")
    return Assembled(
        cubin=binary.read_bytes(),
        registers=int(registers["registers"]),
        stack=int(function["stack"]),
        spill_stores=int(function["stores"]),
        spill_loads=int(function["loads"]),
        static_shared=int(shared["bytes"]) if (shared := _SHARED.search(written)) else 0,
        barriers=int(barriers["count"]) if (barriers := _BARRIERS.search(written)) else 0,
        warnings=tuple(match["text"] or match["other"] for match in _WARNING.finditer(written)),
    )


def _workarounds(version: str) -> tuple[str, ...]:
    """Triton's own for a fault of ptxas 13; 12 is run as Triton 3.6 does."""
    return ("--regAllocOptLevel=2",) if int(version.partition(".")[0]) >= 13 else ()
