"""Calling LLVM in a process of its own, which may end by it without harm to this one.

`python -m aecompiler.backends.amd.codegen.isolation FOLDER` is that process: the folder holds what is to be
called, and receives the result.
"""

from __future__ import annotations

import importlib
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aecompiler.backends import processes
from aecompiler.errors import AecError, BackendError

_REQUEST, _RESULT, _WRITTEN, _DOING = "request", "result", "written", "doing"


class _Progress:
    """The file that says what the process is doing, for when it ends."""

    path: Path | None = None


def report(doing: str) -> None:
    """Say what comes next, as "kernel 'f'": an end of the process is reported as an error of that."""
    if _Progress.path is not None:
        _Progress.path.write_text(doing, encoding="utf-8")


def call_isolated(
    function: Callable[..., Any], *arguments: Any, explain: Callable[[str], str], timeout: float = 0.0
) -> Any:
    """What `function`, of a module's top level, returns for `arguments` in a process beside this one.

    Errors on purpose (`AecError`) are raised here as they are there. `BackendError` where the process ends
    before it is done, with what `explain` finds in what it wrote, or where it takes longer than `timeout`
    seconds (0: no limit).
    """
    with tempfile.TemporaryDirectory(prefix="aec-amd-") as folder_name:
        folder = Path(folder_name)
        request = (function.__module__, function.__qualname__, arguments)
        (folder / _REQUEST).write_bytes(pickle.dumps(request))
        end = _run(folder, timeout)
        written = (folder / _WRITTEN).read_text(encoding="utf-8", errors="backslashreplace")
        if (folder / _RESULT).exists():
            sys.stderr.write(written)
            result = pickle.loads((folder / _RESULT).read_bytes())
            if isinstance(result, Exception):
                raise result
            return result
        doing = (folder / _DOING).read_text(encoding="utf-8") if (folder / _DOING).exists() else "LLVM"
    raise BackendError(f"{doing}: {explain(written) or end}")


def _run(folder: Path, timeout: float) -> str:
    """Run the process to its end, and say which it was."""
    command = processes.module_command(__name__, str(folder))
    with open(folder / _WRITTEN, "wb") as written:
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
        return f"LLVM crashed ({signal.Signals(-status).name})"
    return f"LLVM ended the process with status {status}"


def _serve(folder: Path) -> None:
    processes.end_with_parent()
    module, function, arguments = pickle.loads((folder / _REQUEST).read_bytes())
    from aecompiler.backends.amd.codegen import (
        isolation,
    )  # this file is __main__ here, and that module as well

    isolation._Progress.path = folder / _DOING
    try:
        result = getattr(importlib.import_module(module), function)(*arguments)
    except AecError as error:
        result = error
    except Exception:
        result = RuntimeError(f"generating code failed:\n{traceback.format_exc()}")
    unfinished = folder / f"{_RESULT}.tmp"
    unfinished.write_bytes(pickle.dumps(result))
    unfinished.rename(folder / _RESULT)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
