"""Compiling a kernel in a process of its own, which may crash or hang without harm to this one.

`python -m aecompiler.backends.triton.isolation FOLDER` is that process: the folder holds what is to be
compiled, and receives the result.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aecompiler.backends import processes
from aecompiler.backends.base import Target
from aecompiler.backends.triton import complaints
from aecompiler.backends.triton.complaints import Source
from aecompiler.backends.triton.stages import WRITTEN, refuse
from aecompiler.diagnostics import Diagnostic
from aecompiler.errors import AecError

Made = TypeVar("Made")

_REQUEST, _RESULT = "request", "result"


def compile_isolated(
    compile_kernel: Callable[..., Made],
    text: str,
    name: str,
    target: Target,
    *,
    timeout: float,
    **options: Any,
) -> Made:
    """What `compile_kernel(text, name, target, **options)` returns, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="aec-triton-") as folder_name:
        folder = Path(folder_name)
        (folder / _REQUEST).write_bytes(pickle.dumps((compile_kernel, text, name, target, options)))
        end = _run(folder, timeout)
        logs = [*folder.glob(f"*/{WRITTEN}"), folder / WRITTEN]
        written = "".join(log.read_text(encoding="utf-8", errors="backslashreplace") for log in logs)
        if (folder / _RESULT).exists():
            sys.stderr.write(written)
            result = pickle.loads((folder / _RESULT).read_bytes())
            if isinstance(result, Exception):
                raise result
            return result
    complaint = complaints.first_complaint(written, Source(text, ""))
    said = complaint.message if complaint else complaints.first_line(written)
    place = complaint or Diagnostic("error", "")
    message = f"{end}: {said}" if said else end
    raise refuse(
        name, target.name, "Triton", Diagnostic("error", message, place.file, place.line, place.column)
    )


def _run(folder: Path, timeout: float) -> str:
    """Run the process to its end, and say which it was."""
    command = processes.module_command(__name__, str(folder))
    with open(folder / WRITTEN, "wb") as written:
        child = processes.start(command, more={"TMPDIR": str(folder)}, stdout=written, stderr=written)
        try:
            status = child.wait(timeout or None)
        except subprocess.TimeoutExpired:
            processes.end(child)
            return f"the compilation did not finish within {timeout:g} s"
        except BaseException:
            processes.end(child)
            raise
    if status < 0:
        return f"the compiler crashed ({signal.Signals(-status).name})"
    return f"the compiler ended with status {status}"


def _serve(folder: Path) -> None:
    processes.end_with_parent()
    compile_kernel, text, name, target, options = pickle.loads((folder / _REQUEST).read_bytes())
    try:
        result: Any = compile_kernel(text, name, target, **options)
    except AecError as error:
        result = error
    except Exception:
        result = RuntimeError(f"compiling kernel '{name}' failed:\n{traceback.format_exc()}")
    unfinished = folder / f"{_RESULT}.tmp"
    unfinished.write_bytes(pickle.dumps(result))
    unfinished.rename(folder / _RESULT)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
