"""Processes of Python that work for this one, and may crash or hang without harm to it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 20.0


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package in another process."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which such a process finds the modules that this one does."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, **(more or {})}


def start(
    command: Sequence[str], *, more: Mapping[str, str] | None = None, **streams: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that what it starts can be ended with it."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env=environment(more), start_new_session=True, **streams
    )


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it has started, unless it has ended and was waited for."""
    if child.returncode is not None:
        return  # another process may have its number by now
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that a driver holds may never end
        child.wait(_PATIENCE_S)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, in native code as well."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
