"""Calling a compiler in a process of its own, which may crash or hang without harm to this one.

`python -m aecompiler.backends.isolated_calls FOLDER` is that process: the folder holds what is to be called,
and receives the result.
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
from aecompiler.errors import AecError

Made = TypeVar("Made")

WRITTEN = "written"
"""The file with what a process wrote. A call that catches this itself has such a file in a folder below."""

_REQUEST, _RESULT, _DOING = "request", "result", "doing"


class ProcessEnded(Exception):
    """A process ended before its call returned, or was ended: `how`, what it had `written`, what it did."""

    def __init__(self, how: str, written: str, doing: str):
        super().__init__(how)
        self.how, self.written, self.doing = how, written, doing


class _Progress:
    """Where the process says what it is doing."""

    path: Path | None = None


def report_progress(doing: str) -> None:
    """Say what comes next, as "kernel 'f'", for when the process ends; nothing outside of one."""
    if _Progress.path is not None:
        _Progress.path.write_text(doing, encoding="utf-8")


def call_isolated(
    function: Callable[..., Made], *arguments: Any, doing: str = "", timeout: float = 0.0, **options: Any
) -> Made:
    """What a function of a module's top level returns, called in a process beside this one.

    `doing` says what for, as "compiling kernel 'f'", until `report_progress` says more.
    Errors on purpose (`AecError`) are raised here as they are there. Raises `ProcessEnded` where the process
    ends before it is done, or takes longer than `timeout` seconds (0: no limit).
    """
    with tempfile.TemporaryDirectory(prefix="aec-call-") as folder_name:
        folder = Path(folder_name)
        (folder / _REQUEST).write_bytes(pickle.dumps((function, arguments, options)))
        (folder / _DOING).write_text(doing, encoding="utf-8")
        how = _run(folder, timeout)
        logs = [*folder.glob(f"*/{WRITTEN}"), folder / WRITTEN]
        written = "".join(log.read_text(encoding="utf-8", errors="backslashreplace") for log in logs)
        if not (folder / _RESULT).exists():
            raise ProcessEnded(how, written, (folder / _DOING).read_text(encoding="utf-8"))
        sys.stderr.write(written)
        result = pickle.loads((folder / _RESULT).read_bytes())
        if isinstance(result, Exception):
            raise result
        return result


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
    from aecompiler.backends import isolated_calls  # this file is __main__ here, and that module as well

    processes.end_with_parent()
    isolated_calls._Progress.path = folder / _DOING
    function, arguments, options = pickle.loads((folder / _REQUEST).read_bytes())
    result: Any
    try:
        result = function(*arguments, **options)
    except AecError as error:
        result = error
    except Exception:
        doing = (folder / _DOING).read_text(encoding="utf-8")
        result = RuntimeError(f"{doing or function.__qualname__} failed:\n{traceback.format_exc()}")
    unfinished = folder / f"{_RESULT}.tmp"
    unfinished.write_bytes(pickle.dumps(result))
    unfinished.rename(folder / _RESULT)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
