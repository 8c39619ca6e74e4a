"""What benchmarks run on: the processor, the threads of both sides, and the versions of everything."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from aecompiler.tools.command_line import versions_of


def cpu_model() -> str:
    """The processor, as the system calls it."""
    from aecompiler.backends.cpu.host import cpu_facts

    return cpu_facts(Path("/")).get("model name") or platform.processor() or platform.machine()


def loaded_torch() -> Any:
    """The module, if a case has imported it."""
    return sys.modules.get("torch")


def share_threads(kernel: Any) -> tuple[int | None, int | None]:
    """Let torch, where it is loaded, use as many threads as a call of `kernel`; the numbers of both.

    None for a side that has no such number. What torch compiles keeps the number that it had then.
    """
    threads = kernel.artifact.metadata.get("threads")
    torch = loaded_torch()
    if torch is None:
        return threads, None
    if threads is not None:
        torch.set_num_threads(threads)
    found = torch.get_num_threads()
    if found != threads:
        raise RuntimeError(f"expects torch to use {threads} threads, as ours does, got {found}")
    return threads, found


def versions() -> dict[str, str]:
    """What the numbers were measured with."""
    packages = ("aecompiler", "torch", "torch-mlir", "mlir-python-bindings", "triton", "numpy")
    return {"python": platform.python_version(), **versions_of(packages)}
